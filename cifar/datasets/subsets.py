"""Parts of a data set: a validation split, long tails, and class weights that balance them."""

from __future__ import annotations

import dataclasses

import numpy as np

import minigrad as mg
from cifar.datasets import Dataset
from cifar.errors import UserError


def split(
    data: Dataset, validation: int, long_tail: float, subset: int = 0
) -> tuple[Dataset, Dataset | None]:
    """(training images, validation images or None) from a training set. The validation images are
    chosen first, then the long tail from the rest, then the subset from that.

    Args:
        validation: number of validation images.
        long_tail: see :func:`long_tailed`; 1 keeps all images.
        subset: number of images to keep, a fixed random choice in their old order; 0 keeps all.

    Raises:
        UserError: a value is out of range.
    """
    val = None
    if validation:
        data, val = hold_out(data, validation)
    if long_tail != 1:
        data = long_tailed(data, long_tail)
    if subset > len(data):
        raise UserError(f"subset: expected at most {len(data)} images, got {subset}")
    if subset:
        data = _pick(data, mg.data.replayable(0, 2).permutation(len(data))[:subset])
    return data, val


def hold_out(data: Dataset, count: int) -> tuple[Dataset, Dataset]:
    """(the rest, ``count`` validation images): a fixed random split, each part in its old order.

    Raises:
        UserError: ``count`` would leave one of them empty.
    """
    if not 0 < count < len(data):
        raise UserError(f"validation: expected 1 to {len(data) - 1} images, got {count}")
    order = mg.data.replayable(0, 0).permutation(len(data))
    val = dataclasses.replace(_pick(data, order[:count]), split="validation")
    return _pick(data, order[count:]), val


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
    # The last factor keeps 5000 · 0.01 at 50 where rounding would make it 49.999….
    return [int(largest * imbalance ** (c / steps) * (1 + 1e-12)) for c in range(classes)]


def long_tailed(data: Dataset, imbalance: float) -> Dataset:
    """The subset that has :func:`tail_counts` images of each class, a fixed random choice in their
    old order (Cui et al., CVPR 2019, §5.1).

    Args:
        imbalance: size of the smallest class as a fraction of the largest, in (0, 1].

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

    The inverse of the effective number of samples (Cui et al., CVPR 2019, eq. 4): β = 0 gives all
    classes the same weight, β → 1 weights proportional to 1/n.

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
