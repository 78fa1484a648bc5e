"""A recipe trained with PyTorch on minigrad's batches: time of the steps, and accuracy.

    python -m benchmarks.torch_recipe speed-94 --dataset cifar10 --steps 10
    python -m benchmarks.torch_recipe speed-94 --dataset cifar10 --out torch-speed-94-cpu.json

The network, optimisers, schedules and loss are PyTorch's (see :mod:`cifar.twins.reference`), run
eagerly in channels_last, its faster layout on the CPU, with glibc keeping freed memory (see
:mod:`benchmarks.contest`). The initial weights, the order of the images and their augmentation are
those of ``cifar train`` with the same seed. A step is timed until the loss is read as a number.
Batches are made by minigrad and timed separately; evaluation is not timed. With ``--steps``
training ends early, and the time of the whole recipe is extrapolated.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import minigrad as mg
from benchmarks import contest
from cifar import environment
from cifar.errors import UserError
from cifar.results import tta
from cifar.training import train
from cifar.training.run import Run, Settings
from cifar.twins.reference.training import Training, num_threads
from cifar.twins.sides import class_counts

LAYOUTS = {"channels_last": torch.channels_last, "nchw": torch.contiguous_format}


def twin_of(run: Run, layout: str) -> Training:
    """PyTorch's side, with the run's initial weights, on as many threads."""
    threads, steps = mg.get_num_threads(), len(run.train)
    twin = Training(
        run.recipe,
        class_counts(run),
        threads=threads,
        steps=steps,
        memory_format=LAYOUTS[layout],
    )
    twin.load({name: value.numpy() for name, value in run.model.state_dict().items()})
    return twin


def timed(run: Run, twin: Training, steps: int) -> Iterator[dict[str, float]]:
    """Train for ``steps`` steps; yields, for each, its epoch, the mean loss of its images, and the
    seconds of the batch and of the step."""
    done = 0
    for epoch in range(run.recipe.epochs):
        twin.start_epoch(epoch)
        start = time.perf_counter()
        for images, labels in run.train.epoch(epoch):
            batch = images.numpy(), labels.numpy()
            fetched = time.perf_counter()
            loss, _ = twin.step(*batch)
            now = time.perf_counter()
            done += 1
            images_in_loss = len(labels) if run.recipe.reduction == "sum" else 1
            times = {"batch_seconds": fetched - start, "step_seconds": now - fetched}
            yield {"epoch": epoch + 1, "loss": loss / images_in_loss, **times}
            if done == steps:
                return
            start = time.perf_counter()
        if run.recipe.schedule_every == "epoch":
            twin.end_epoch(evaluate(run, twin)["loss"])


def evaluate(run: Run, twin: Training) -> dict[str, float]:
    """Loss and accuracy on what the recipe evaluates after an epoch."""
    batches = ((images.numpy(), labels.numpy()) for images, labels in run.val)
    loss, accuracy = twin.evaluate(batches)
    return {"loss": loss, "accuracy": accuracy}


def accuracy(run: Run, twin: Training, augmented: bool) -> float:
    """Accuracy on the test set, from one view of each image or from six."""
    twin.model.eval()
    right = 0
    with num_threads(twin.threads), torch.no_grad():
        for images, labels in run.test:
            views = tta.views(images) if augmented else [(1.0, images)]
            parts = [w * twin.model(twin.images(view.numpy())).numpy() for w, view in views]
            right += int((np.sum(parts, axis=0).argmax(1) == labels.numpy()).sum())
    return right / len(run.test.dataset)


def measure(settings: Settings, steps: int | None, layout: str) -> dict[str, Any]:
    """Train and time, with a line on stdout after each step. Accuracy is only measured after a
    complete training."""
    recipe = train.checked_recipe(settings)
    with tempfile.TemporaryDirectory() as folder:
        run, _ = train.prepare(settings, recipe, mg.device("cpu"), Path(folder))
    twin = twin_of(run, layout)
    whole = recipe.epochs * len(run.train)
    count = min(steps or whole, whole)
    lines = []
    for line in timed(run, twin, count):
        lines.append(line)
        print(
            f"step {len(lines)} of {count}: loss {line['loss']:.4f}, "
            f"{line['step_seconds']:.3f} s, batch {line['batch_seconds']:.3f} s",
            flush=True,
        )
    spent = sum(line["step_seconds"] + line["batch_seconds"] for line in lines)
    results = {
        "record": run.record.as_note(),
        "layout": layout,
        "threads": twin.threads,
        "steps_of_recipe": whole,
        "steps_timed": count,
        "seconds_per_step": statistics.median(line["step_seconds"] for line in lines),
        "batch_seconds_per_step": statistics.median(line["batch_seconds"] for line in lines),
        "seconds_timed": spent,
        "seconds_of_recipe": spent / count * whole,
        "peak_memory_mb": environment.peak_memory_mb(),
        "steps": lines,
    }
    if count == whole:
        results["test_accuracy"] = accuracy(run, twin, augmented=False)
        if recipe.tta:
            results["test_tta_accuracy"] = accuracy(run, twin, augmented=True)
    return results


def show(results: dict[str, Any]) -> str:
    """The figures in two lines."""
    whole, timed = results["steps_of_recipe"], results["steps_timed"]
    estimate = "" if timed == whole else f" (estimated from {timed})"
    lines = [
        f"PyTorch {torch.__version__}, {results['layout']}, {results['threads']} threads: "
        f"{results['seconds_per_step']:.3f} s a step and "
        f"{results['batch_seconds_per_step']:.3f} s its batch (medians of {timed} steps); "
        f"{whole} steps take {results['seconds_of_recipe']:.1f} s"
        f"{estimate}"
    ]
    shares = {k: v for k, v in results.items() if k.endswith("accuracy")}
    lines += [f"{name.replace('_', ' ')}: {share:.2%}" for name, share in shares.items()]
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("recipe", help="a study's recipe")
    parser.add_argument("--steps", type=int, help="end after so many (default: the whole recipe)")
    parser.add_argument("--layout", choices=list(LAYOUTS), default="channels_last")
    parser.add_argument("--dataset", default="auto", help="cifar10, synthetic or auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", help="the JSON file to write")
    given = parser.parse_args()
    if not contest.KEEPING.items() <= os.environ.items():  # glibc reads them when a process starts
        again = [sys.executable, "-m", "benchmarks.torch_recipe", *sys.argv[1:]]
        os.execve(sys.executable, again, {**os.environ, **contest.KEEPING})
    try:
        if given.steps is not None and given.steps < 1:
            raise UserError(f"steps: expected at least 1, got {given.steps}")
        settings = Settings(given.recipe, "cpu", given.dataset, seed=given.seed, out="")
        results = measure(settings, given.steps, given.layout)
    except UserError as error:
        sys.exit(f"error: {error}")
    if given.out is not None:
        environment.write(given.out, {"machine": environment.describe("torch"), **results})
    print(show(results))


if __name__ == "__main__":
    main()
