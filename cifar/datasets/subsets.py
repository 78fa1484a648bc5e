"""Parts of a data set: images held out, long tails, and weights that make up for these."""

from __future__ import annotations

import dataclasses

import numpy as np

import minigrad as mg
from cifar.datasets import Dataset
from cifar.errors import UserError


def split(data: Dataset, validation: int, long_tail: float) -> tuple[Dataset, Dataset | None]:
    """(what is trained on, what is held out or None) of a training set, as a recipe of these
    values takes it: images are held out first, of what is left a long tail is kept.

    Raises:
        UserError: a value is out of range.
    """
    held = None
    if validation:
        data, held = hold_out(data, validation)
    return (long_tailed(data, long_tail) if long_tail != 1 else data), held


def hold_out(data: Dataset, count: int) -> tuple[Dataset, Dataset]:
    """(the rest, ``count`` images held out): a fixed random split, each part in its old order, the
    second with "validation" for its ``split``.

    Raises:
        UserError: ``count`` leaves nothing of one of them.
    """
    if not 0 < count < len(data):
        raise UserError(f"validation: expected 1 to {len(data) - 1} images, got {count}")
    order = mg.data.replayable(0, 0).permutation(len(data))
    held = _pick(data, order[:count])
    return _pick(data, order[count:]), dataclasses.replace(held, split="validation")


def _pick(data: Dataset, chosen: np.ndarray) -> Dataset:
    chosen = np.sort(chosen)
    return dataclasses.replace(data, images=data.images[chosen], labels=data.labels[chosen])


def class_counts(labels: np.ndarray, classes: int) -> np.ndarray:
    """Images per class, int64 (classes,)."""
    return np.bincount(labels, minlength=classes)


def tail_counts(largest: int, classes: int, imbalance: float) -> list[int]:
    """⌊n · r^(c / (C − 1))⌋ for c = 0 … C − 1: from n = ``largest`` down to n · r.

    >>> tail_counts(5000, 10, 0.01)
    [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    """
    steps = max(1, classes - 1)
    # The nudge keeps 5000 · 0.01 at 50 where rounding would make it 49.999….
    return [int(largest * imbalance ** (c / steps) * (1 + 1e-12)) for c in range(classes)]


def long_tailed(data: Dataset, imbalance: float) -> Dataset:
    """The subset in which class c keeps ``tail_counts``'s number of images, a fixed random choice
    of each class, in their old order (Cui et al., CVPR 2019, §5.1).

    Args:
        imbalance: share of the largest class that the smallest keeps, in (0, 1].

    Raises:
        UserError: ``imbalance`` is out of range.
    """
    if not 0 < imbalance <= 1:
        raise UserError(f"long_tail: expected a number above 0 and at most 1, got {imbalance}")
    classes = len(data.classes)
    largest = int(class_counts(data.labels, classes).max())
    order = mg.data.replayable(0, 1).permutation(len(data))
    kept = [
        order[data.labels[order] == c][:count]
        for c, count in enumerate(tail_counts(largest, classes, imbalance))
    ]
    return _pick(data, np.concatenate(kept))


def class_balanced_weights(counts: np.ndarray, beta: float) -> np.ndarray:
    """(1 − β) / (1 − β^n) for a class of n images, scaled to sum to C; float64 (C,).

    The inverse of the effective number of samples (Cui et al., CVPR 2019, eq. 4): β = 0 weighs all
    classes alike, β → 1 by 1/n.

    Raises:
        ValueError: β is not in [0, 1), or a class has no image.
    """
    if not 0 <= beta < 1:
        raise ValueError(f"beta: expected a number in [0, 1), got {beta}")
    if counts.min() < 1:
        raise ValueError(f"counts: expected at least one image of each class, got {counts}")
    effective = (1 - beta ** counts.astype(np.float64)) / (1 - beta)
    weights: np.ndarray = 1 / effective
    return weights * (len(counts) / weights.sum())
