"""Time and memory of a recipe's training step with minigrad and with PyTorch, each in its own
process."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Final

import numpy as np

import minigrad as mg
from cifar import environment, models, recipes
from cifar.twins.sides import THEIRS, Ours, Side

WARM_UP_STEPS: Final = 3
MAX_TIMED_STEPS: Final = 20
MAX_SECONDS: Final = 60.0  # about
MOST_STEPS: Final = WARM_UP_STEPS + MAX_TIMED_STEPS


def measure_alone(*arguments: Any) -> dict[str, float | None]:
    """:func:`measure` in a new process, so that threads and memory of the engines are separate."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, *arguments).result()


def measure(
    name: str,
    recipe: recipes.Recipe,
    counts: Sequence[int],
    dtype: str,
    device: str,
    torch_device: str,
    threads: int,
) -> dict[str, float | None]:
    """Time and memory of the recipe's training step on one random batch; see
    :attr:`cifar.twins.lockstep.Comparison.speed`. Each engine draws its own dropout masks;
    PyTorch runs eagerly and in NCHW.

    Args:
        name: "minigrad" or "PyTorch".
        counts: training images of each class.
        threads: of either on the CPU.
    """
    if name == THEIRS:
        from cifar.twins.reference import training
    else:
        mg.functional.relu(mg.zeros(1))  # loads Numba and LLVM, which count as import
    before = environment.peak_memory_mb()
    side: Side
    if name == THEIRS:
        side = training.Training(recipe, counts, dtype, torch_device, threads, MOST_STEPS)
    else:
        mg.set_num_threads(threads)
        mg.set_precision("fp32")
        model = models.create(recipe.model, len(counts), **recipe.model_options)
        model = model.to(device).to(dtype)
        side = Ours(recipe, model, counts, MOST_STEPS)
    rng = np.random.default_rng(0)
    images = rng.standard_normal((recipe.batch_size, 3, 32, 32)).astype(dtype)
    labels = np.arange(recipe.batch_size) % len(counts)
    side.start_epoch(0)
    times: list[float] = []
    while len(times) < WARM_UP_STEPS + 3 or (
        len(times) < WARM_UP_STEPS + MAX_TIMED_STEPS and sum(times) < MAX_SECONDS
    ):
        start = time.perf_counter()
        side.step(images, labels)
        times.append(time.perf_counter() - start)
    median = statistics.median(times[WARM_UP_STEPS:])
    return {
        "seconds_per_step": median,
        "images_per_second": recipe.batch_size / median,
        "peak_memory_mb": environment.peak_memory_mb() - before if device == "cpu" else None,
    }
