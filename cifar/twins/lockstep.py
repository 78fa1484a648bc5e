"""Training of all sides of a comparison on the same batches, and the resulting figures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

import minigrad as mg
from cifar import progress_bar
from cifar.errors import UserError
from cifar.training.run import Run
from cifar.twins.sides import THEIRS, Array, Ours, Side

QUANTITIES: Final = ("logits", "gradients", "weights")


@dataclass
class Comparison:
    """The figures of each side: "minigrad", "PyTorch" and PyTorch's runs on other numbers of
    threads.

    Attributes:
        record: settings and everything that can change the results, as in a run's files, and dtype,
            steps and rerun_threads.
        machine: processor, versions, commit, command.
        losses, accuracies: by side, means over the images of each batch, before its update, in
            training mode.
        differences: by side other than "PyTorch", against it: one dict per compared step with
            "step" (from 1) and, for logits and gradients of that step and weights after it,
            "X_absolute", the largest absolute difference of any value, and "X_relative", that
            divided by PyTorch's largest absolute value.
        epochs: one dict per epoch: "epoch" (from 1), "steps", and by side its lr, the means of
            loss and accuracy over the epoch's training images, and, unless the epoch was cut
            short, loss and accuracy on the validation or test images.
        speed: by side "seconds_per_step" (median), "images_per_second" and "peak_memory_mb": the
            growth of the process's largest resident size since the library was imported, None on
            a GPU.
    """

    record: dict[str, Any]
    machine: dict[str, Any]
    losses: dict[str, list[float]] = field(default_factory=dict)
    accuracies: dict[str, list[float]] = field(default_factory=dict)
    differences: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    epochs: list[dict[str, Any]] = field(default_factory=list)
    speed: dict[str, dict[str, float | None]] = field(default_factory=dict)

    @property
    def sides(self) -> list[str]:
        """minigrad, PyTorch, then PyTorch's other runs."""
        return list(self.losses)


def lockstep(
    run: Run,
    sides: Mapping[str, Side],
    comparison: Comparison,
    stop: Sequence[int] = (),
    progress: bool = False,
) -> Iterator[None]:
    """Train all sides on the same batches and fill in ``comparison``. Yields after every epoch; the
    last time is after ``comparison.record["steps"]`` steps, or when ``stop`` is not empty.

    Raises:
        UserError: a loss became infinite or NaN.
    """
    recipe, limit = run.recipe, comparison.record["steps"] or math.inf
    losses = comparison.losses = {name: [] for name in sides}
    accuracies = comparison.accuracies = {name: [] for name in sides}
    comparison.differences = {name: [] for name in sides if name != THEIRS}
    done, ended = 0, False
    total = int(min(recipe.epochs * len(run.train), limit))
    with progress_bar.Bar(total, disable=not progress, unit="step") as bar:
        for epoch in range(recipe.epochs):
            batch_sizes: list[int] = []
            for side in sides.values():
                side.start_epoch(epoch)
            for images, labels in _arrays(run.train.epoch(epoch)):
                logits = {}
                images_in_loss = len(labels) if recipe.reduction == "sum" else 1
                with bar.step(1):
                    for name, side in sides.items():
                        mg.manual_seed(run.settings.seed, epoch, len(batch_sizes))  # for dropout
                        loss, logits[name] = side.step(images, labels)
                        losses[name].append(loss / images_in_loss)
                        accuracies[name].append(float((logits[name].argmax(1) == labels).mean()))
                batch_sizes.append(len(labels))
                done += 1
                _check_finite({name: values[-1] for name, values in losses.items()}, done)
                ended = done >= limit or bool(stop)
                if ended or len(batch_sizes) == len(run.train) or is_compared(done):
                    _note_differences(comparison, sides, logits, done)
                if ended:
                    break
            _end_epoch(run, sides, comparison, batch_sizes)
            yield
            if ended:
                return


def is_compared(step: int) -> bool:
    """Whether gradients and weights are compared at ``step``, counted from 1; not at every step,
    because it takes about as long as a step."""
    return step <= 20 or step % 10 == 0


def _arrays(batches: Iterable[tuple[mg.Tensor, mg.Tensor]]) -> Iterator[tuple[Array, Array]]:
    return ((images.cpu().numpy(), labels.cpu().numpy()) for images, labels in batches)


def _check_finite(losses: Mapping[str, float], step: int) -> None:
    if not all(map(math.isfinite, losses.values())):
        each = ", ".join(f"{name} {loss}" for name, loss in losses.items())
        raise UserError(f"loss: became infinite or NaN at step {step} ({each}): try a smaller lr")


def difference(a: Mapping[str, Array], b: Mapping[str, Array]) -> tuple[float, float]:
    """The largest |a − b| over all values of all arrays, and that divided by the largest |b|.

    All arrays share one scale, because the gradient of a bias before batch norm is 0 except for
    rounding, so that its relative difference between two engines is about 1.
    """
    largest = max(float(np.abs(a[name] - values).max()) for name, values in b.items())
    scale = max(float(np.abs(values).max()) for values in b.values())
    return largest, largest / scale if scale else largest


def _note_differences(
    comparison: Comparison, sides: Mapping[str, Side], logits: Mapping[str, Array], step: int
) -> None:
    def values(name: str) -> tuple[dict[str, Array], ...]:
        return {"": logits[name]}, sides[name].gradients(), sides[name].weights()

    expected = values(THEIRS)
    for name, lines in comparison.differences.items():
        line: dict[str, float] = {"step": step}
        for quantity, *pair in zip(QUANTITIES, values(name), expected, strict=True):
            absolute, relative = difference(*pair)
            line |= {f"{quantity}_absolute": absolute, f"{quantity}_relative": relative}
        lines.append(line)


def _end_epoch(
    run: Run, sides: Mapping[str, Side], comparison: Comparison, batch_sizes: Sequence[int]
) -> None:
    """Evaluate after a complete epoch, step the schedules, and store the epoch's figures."""
    whole, val = len(batch_sizes) == len(run.train), run.val_name
    line: dict[str, Any] = {"epoch": len(comparison.epochs) + 1, "steps": len(batch_sizes)}
    for name, side in sides.items():
        figures = line[name] = {"lr": side.lr}
        for metric, values in (
            ("loss", comparison.losses[name]),
            ("accuracy", comparison.accuracies[name]),
        ):
            last = values[-len(batch_sizes) :]
            figures[f"train_{metric}"] = float(np.average(last, weights=batch_sizes))
        if whole:
            if isinstance(side, Ours):
                loss, accuracy = side.evaluate(run.val)
            else:
                loss, accuracy = side.evaluate(_arrays(run.val))
            figures |= {f"{val}_loss": loss, f"{val}_accuracy": accuracy}
            side.end_epoch(loss)
    comparison.epochs.append(line)
