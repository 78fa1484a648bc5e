"""Samples by number, under the names of ``torch.utils.data``."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any, Generic, TypeVar

import numpy as np

from .. import check
from ..device import device_of, move
from ..nn.state import raw
from ..rng import Generator, drawn_by
from ..tensor import Tensor

T = TypeVar("T")


class Dataset(Generic[T]):
    """Base of datasets: a subclass defines ``__len__`` and ``__getitem__(index)``.

    A ``DataLoader`` also accepts other objects with these methods. If there is a method
    ``__getitems__(indices)``, which returns a list of samples, it is called instead.
    """

    def __getitem__(self, index: int) -> T:
        raise NotImplementedError(f"{type(self).__name__}: a subclass defines __getitem__")

    def __add__(self, other: Dataset[T]) -> ConcatDataset[T]:
        return ConcatDataset([self, other])


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Sample i is a tuple with ``tensor[i]`` of each tensor.

    Args:
        tensors: Tensors (N, …) of the same length.
    """

    def __init__(self, *tensors: Tensor) -> None:
        if not tensors:
            raise ValueError("tensors: expected at least one Tensor, got none")
        for tensor in tensors:
            if check.tensor("tensors", tensor).ndim == 0:
                raise ValueError("tensors: expected shape (N, …), got ()")
        if len({len(tensor) for tensor in tensors}) > 1:
            shapes = ", ".join(str(tensor.shape) for tensor in tensors)
            raise ValueError(f"tensors: expected Tensors of one length, got shapes {shapes}")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self) -> int:
        return len(self.tensors[0])


class Subset(Dataset[T]):
    """The samples of a dataset at some indices.

    Args:
        dataset: any object with ``__len__`` and ``__getitem__``.
        indices: indices of the samples in the dataset.
    """

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset = by_number("dataset", dataset)
        if not hasattr(indices, "__len__") or not hasattr(indices, "__getitem__"):
            kind = type(indices).__name__
            raise TypeError(f"indices: expected a sequence of whole numbers, got {kind}")
        self.indices = indices

    def __getitem__(self, index: Any) -> T:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __getitems__(self, indices: list[int]) -> list[T]:
        return samples_of(self.dataset, [self.indices[i] for i in indices])

    def __len__(self) -> int:
        return len(self.indices)


class ConcatDataset(Dataset[T]):
    """The concatenation of datasets.

    Args:
        datasets: at least one dataset.
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = check.items("datasets", datasets, "datasets")
        if not self.datasets:
            raise ValueError("datasets: expected at least one, got none")
        for dataset in self.datasets:
            by_number("datasets", dataset)
        self.cumulative_sizes = [*accumulate(len(dataset) for dataset in self.datasets)]

    def __getitem__(self, index: int) -> T:
        if not -len(self) <= index < len(self):
            raise IndexError(f"index: expected one of {len(self)} samples, got {index}")
        index %= len(self)
        which = bisect_right(self.cumulative_sizes, index)
        before = self.cumulative_sizes[which - 1] if which else 0
        return self.datasets[which][index - before]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]


def random_split(
    dataset: Any, lengths: Sequence[float], generator: Generator | None = None
) -> list[Subset[Any]]:
    """Split a dataset at random into subsets that do not overlap.

    Args:
        dataset: any object with ``__len__`` and ``__getitem__``.
        lengths: the numbers of samples, whose sum is the length of the dataset; or fractions whose
            sum is 1: sizes are rounded down, and the remaining samples go to the first subsets.
        generator: draws the order (default: the sequence of ``manual_seed``).

    Raises:
        ValueError: the lengths have the wrong sum.
    """
    count = len(by_number("dataset", dataset))
    sizes = check.items("lengths", lengths, "numbers")
    if sizes and math.isclose(sum(check.number("lengths", size, 0) for size in sizes), 1):
        shares = [math.floor(count * check.number("lengths", size, 0, 1)) for size in sizes]
        for i in range(count - sum(shares)):
            shares[i % len(shares)] += 1
        sizes = shares
    sizes = [check.integer("lengths", size, 0) for size in sizes]
    if sum(sizes) != count:
        what = f"expected numbers whose sum is {count}, or fractions whose sum is 1"
        raise ValueError(f"lengths: {what}, got {check.shown(lengths)}")
    order = drawn_by("generator", generator).permutation(count).tolist()
    ends = [*accumulate(sizes)]
    return [Subset(dataset, order[end - n : end]) for end, n in zip(ends, sizes, strict=True)]


def by_number(name: str, dataset: Any) -> Any:
    """``dataset``, after checking that it has ``__len__`` and ``__getitem__``."""
    if isinstance(dataset, type) or not (
        hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")
    ):
        kind = type(dataset).__name__
        raise TypeError(f"{name}: expected an object with __len__ and __getitem__, got {kind}")
    return dataset


def samples_of(dataset: Any, indices: list[int]) -> list[Any]:
    """The samples at ``indices``."""
    at_once = getattr(dataset, "__getitems__", None)
    if at_once is None:
        return [dataset[i] for i in indices]
    samples = at_once(indices)
    if len(samples) != len(indices):
        what = f"expected {len(indices)} samples from its __getitems__, got {len(samples)}"
        raise ValueError(f"dataset: {what}")
    return list(samples)


def gathered(dataset: Any, indices: list[int]) -> list[Tensor] | None:
    """A batch of a ``TensorDataset``, or of a subset of one, made by indexing each tensor once: the
    same as ``default_collate`` of the samples. None for other datasets."""
    if _is_as_made(dataset, Subset):
        return gathered(dataset.dataset, [dataset.indices[i] for i in indices])
    if not _is_as_made(dataset, TensorDataset) or any(t.requires_grad for t in dataset.tensors):
        return None
    index = raw(indices) if len(indices) else np.empty(0, np.int64)
    if index.dtype.kind not in "iu" or index.ndim != 1:
        raise TypeError(f"sampler: expected whole numbers of it, got {check.shown(indices)}")
    return [Tensor(t.data[move(index, device_of(t.data))]) for t in dataset.tensors]


def _is_as_made(dataset: Any, kind: type) -> bool:
    """Whether no subclass of ``kind`` overrides the methods that return samples."""
    return isinstance(dataset, kind) and all(
        getattr(type(dataset), name, None) is getattr(kind, name, None)
        for name in ("__getitem__", "__getitems__")
    )
