"""Plots of images, with predictions or augmentation."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import minigrad as mg
from cifar.datasets import Dataset
from cifar.datasets.augment import Augmentation, augmented
from cifar.results.record import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure
from cifar.results.metrics import log_probabilities
from cifar.results.plots.figure import BLUE, picture, short


def predictions(data: Dataset, logits: np.ndarray, record: Record, path: Path) -> None:
    """Plot the first images of ``data`` with true class, predicted class and its probability.

    Args:
        logits: (count, classes).
    """
    guesses = logits.argmax(axis=1)
    correct = int((guesses == data.labels[: len(logits)]).sum())
    title = (
        f"{record.recipe.name} on {data.name} test images: {correct} of {len(logits)} right\n"
        "Predicted class and its confidence; mistakes in bold, with the true class"
    )
    with _grid(data, logits, range(len(logits)), path, ".0%", "bold") as figure:
        figure.suptitle(title)


@contextmanager
def _grid(
    data: Dataset, logits: np.ndarray, shown: Sequence[int], path: Path, form: str, weight: str
) -> Iterator[Figure]:
    """Plot the images ``shown`` of ``data`` below the prediction from ``logits``, with the
    confidence in the given format and mistakes in the given font weight."""
    scores = np.exp(log_probabilities(logits))
    columns = 8
    rows = max(1, -(-len(shown) // columns))
    with picture(path, rows, columns, (12, 1.95 * rows + 0.8)) as (figure, axes):
        for axis in axes.flat:
            axis.axis("off")
        for axis, i in zip(axes.flat, shown, strict=False):
            axis.imshow(data.images[i].transpose(1, 2, 0), interpolation="nearest")
            guess, truth = int(scores[i].argmax()), int(data.labels[i])
            right = guess == truth
            text = f"{short(data.classes[guess])} {scores[i, guess]:{form}}"
            axis.set_title(
                text if right else f"{text}\nis: {short(data.classes[truth])}",
                fontsize=9,
                fontweight="normal" if right else weight,
            )
        yield figure


def mistakes(data: Dataset, logits: np.ndarray, title: str, path: Path, count: int = 32) -> None:
    """Plot the most confident mistakes, with prediction, its probability, and the true class.

    Args:
        logits: (images, classes) for all of ``data``.
        count: largest number of images.
    """
    wrong = np.flatnonzero(logits.argmax(axis=1) != data.labels)
    surety = np.exp(log_probabilities(logits)).max(axis=1)[wrong]
    surest = wrong[np.argsort(-surety, kind="stable")][:count]
    shown = f"the {len(surest)} surest of {len(wrong):,}" if len(wrong) else "none"
    with _grid(data, logits, surest.tolist(), path, ".1%", "normal") as figure:
        figure.suptitle(f"{title}\nMistakes: {shown}, with predicted class and its confidence")


def augmentations(
    data: Dataset,
    augmentation: Augmentation,
    title: str,
    path: Path,
    images: int = 6,
    versions: int = 7,
    seed: int = 0,
) -> None:
    """Draw a contact sheet of images of different classes, each with augmented versions.

    Args:
        images: largest number of rows, each with the first image of another class.
        versions: number of columns besides the original.
        seed: seed of the augmentation.
    """
    _, first = np.unique(data.labels, return_index=True)
    first = first[:images]
    originals = data.images[first]
    copies = mg.tensor(np.repeat(originals, versions, axis=0))
    one_by_one = dataclasses.replace(augmentation, alternating=False)  # a draw of its own for each
    changed = augmented(copies, one_by_one, mg.data.replayable(seed)).numpy()
    shown = changed.round().astype(np.uint8).reshape(len(first), versions, *originals.shape[1:])
    size = (1.35 * versions + 2, 1.4 * len(first) + 0.9)
    with picture(path, len(first), versions + 1, size) as (figure, axes):
        for i, (row, label) in enumerate(zip(axes, data.labels[first], strict=True)):
            for axis, image in zip(row, (originals[i], *shown[i]), strict=True):
                axis.imshow(image.transpose(1, 2, 0), interpolation="nearest")
                axis.set_xticks([])
                axis.set_yticks([])
                axis.spines[:].set_visible(False)
            row[0].spines[:].set(visible=True, color=BLUE, linewidth=3)
            row[0].set_ylabel(short(data.classes[label]))
        axes[0, 0].set_title("original", fontsize=10, color=BLUE)
        for number, axis in enumerate(axes[0, 1:], 1):
            axis.set_title(f"version {number}", fontsize=10)
        figure.suptitle(f"{title}\nAugmentation: {augmentation}")
