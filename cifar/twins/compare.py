"""Comparison with PyTorch: both train a recipe from the same weights, on the same batches in the
same order, with the same dropout masks.

    comparison, out = run(Settings("simple", steps=50, dtype="float64"))

The results are loss and accuracy of both, the differences of their logits, gradients and weights at
each step, and time and memory of each in its own process. docs/pytorch.md explains them.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import tyro

import minigrad as mg
from cifar import environment, own_code, process, recipes
from cifar.device import find_device, use_precision
from cifar.errors import UserError
from cifar.recipes import overrides
from cifar.results import plots
from cifar.training import train
from cifar.training.run import Settings as TrainingSettings
from cifar.twins import reference, timing
from cifar.twins.lockstep import Comparison, lockstep
from cifar.twins.sides import OURS, THEIRS, class_counts, make_sides

DTYPES: Final = ("float32", "float64")


@dataclass(frozen=True)
class Settings:
    """Train a recipe with minigrad and with PyTorch, from the same weights, on the same batches and
    with the same dropout masks, and show their differences, and the time and memory of each.

    Attributes:
        recipe: the recipe's name; `cifar recipes` lists them.
        epochs: passes over the training set.
        steps: stop after this many steps in all.
        dtype: float32 or float64, for weights, batches and all arithmetic.
        rerun_threads: also train PyTorch on each of these numbers of threads on the CPU, from the
            same weights and on the same batches, to show the spread of its own runs.
        device: cpu, gpu, gpu:N or auto, for both.
        dataset: cifar10, synthetic, or auto: CIFAR-10 if it is on this machine, otherwise the
            built-in synthetic set, with a note.
        data_dir: folder of CIFAR-10 (default: the usual places).
        seed: seed of initialisation, order, augmentation and dropout.
        out: folder for compare.json and compare.png, which are replaced (default:
            runs/compare-RECIPE-seedSEED).
        timing: --no-timing skips the measurement of time and memory.
        overrides: recipe fields to replace, such as {"batch_size": 32}.
        progress: --no-progress hides the progress bar of a terminal.
        set: FIELD=VALUE, any field of the recipe, such as batch_size=32; may be repeated.
    """

    recipe: tyro.conf.Positional[str]
    epochs: int = 1
    steps: int | None = None
    dtype: str = "float32"
    rerun_threads: tuple[int, ...] = ()
    device: str = "auto"
    dataset: str = "auto"
    data_dir: str | None = None
    seed: int = 0
    out: str | None = None
    timing: bool = True
    overrides: tyro.conf.Suppress[dict[str, Any]] = field(default_factory=dict)
    progress: bool = True
    set: tyro.conf.UseAppendAction[tuple[str, ...]] = ()


@process.suggest_smaller_batch()
def run(settings: Settings) -> tuple[Comparison, Path]:
    """Compare; returns the figures and the folder they were written to.

    Raises:
        UserError: a mistake in the settings, the data or the output folder; PyTorch is missing; or
            a loss became infinite or NaN.
        KeyboardInterrupt: Ctrl-C or SIGTERM, after the figures so far have been written.
    """
    reference.require_torch("cifar compare")
    from cifar.twins.reference import training

    if recipes.is_own(settings.recipe) or own_code.is_path(
        overrides.parse(recipes.load(settings.recipe), settings.set).get("model", "")
    ):
        raise UserError("recipe: only the studies' recipes and models have a twin in PyTorch")
    given = recipes.load(settings.recipe).lasting(settings.epochs)
    changes = settings.overrides | overrides.parse(given, settings.set)
    if "epochs" in changes:
        raise UserError(f"set: epochs: give --epochs instead, got {changes['epochs']}")
    out = Path(settings.out or f"runs/compare-{settings.recipe}-seed{settings.seed}")
    training_settings = TrainingSettings(
        settings.recipe,
        settings.device,
        settings.dataset,
        settings.data_dir,
        settings.seed,
        str(out),
        overrides={**changes, "epochs": settings.epochs},
    )
    recipe = train.checked_recipe(training_settings)
    device = find_device(settings.device)
    _check(settings, device)
    overrides.refuse_idle(recipe, changes)
    use_precision("fp32", device)  # as PyTorch does here
    torch_device = training.find_device(device.type, device.index)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"out: cannot make the folder {out}: {error.strerror}") from None

    prepared, _ = train.prepare(training_settings, recipe, device, out)
    record = prepared.record.as_note()
    record |= {name: getattr(settings, name) for name in ("dtype", "steps", "rerun_threads")}
    machine = {**environment.describe("torch"), "gpu": training.gpu_name(torch_device)}
    comparison = Comparison(record, machine)
    if settings.timing:
        for name in (OURS, THEIRS):
            comparison.speed[name] = timing.measure_alone(
                name,
                recipe,
                class_counts(prepared),
                settings.dtype,
                str(device),
                torch_device,
                mg.get_num_threads(),
            )
    sides = make_sides(prepared, settings.dtype, torch_device, settings.rerun_threads)
    progress = settings.progress and sys.stderr.isatty()
    with process.stop_on_signals() as stop:
        for _ in lockstep(prepared, sides, comparison, stop, progress):
            _write(comparison, out)
    if stop:
        steps = len(comparison.losses[OURS])
        print(f"stopped after step {steps}; the figures so far are in {out}", file=sys.stderr)
        raise KeyboardInterrupt
    return comparison, out


def _write(comparison: Comparison, out: Path) -> None:
    figures = dataclasses.asdict(comparison)
    text = json.dumps(figures, ensure_ascii=False)
    mg.checkpoint.write_text(out / "compare.json", text + "\n")
    with plots.beside(out / "compare.png") as path:
        plots.comparison(figures, path)


def _check(settings: Settings, device: mg.device) -> None:
    """Check the settings that the recipe's own check does not cover."""
    steps, reruns, threads = settings.steps, settings.rerun_threads, mg.get_num_threads()
    for name, fits, expected in (
        ("steps", steps is None or steps >= 1, "at least 1"),
        ("dtype", settings.dtype in DTYPES, f"one of {', '.join(DTYPES)}"),
        ("rerun_threads", not reruns or device.type == "cpu", f"none on {device}"),
        (
            "rerun_threads",
            all(n >= 1 for n in reruns) and len({threads, *reruns}) == 1 + len(reruns),
            f"numbers from 1 that differ from each other and from the first run's {threads}",
        ),
    ):
        if not fits:
            raise UserError(f"{name}: expected {expected}, got {getattr(settings, name)}")
