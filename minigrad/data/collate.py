"""Collation of samples into a batch."""

from __future__ import annotations

import copy
from collections.abc import Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

from .. import check
from ..creation import tensor
from ..ops.shape import stack
from ..tensor import Tensor

NUMBERS = bool, int, float, np.bool_, np.integer, np.floating


def default_collate(batch: Sequence[Any]) -> Any:
    """A batch from a list of samples of the same structure, as in
    ``torch.utils.data.default_collate``: Tensors and NumPy arrays are stacked, numbers become a
    Tensor (floats become float64), strings are not changed, and dicts, lists, tuples and named
    tuples of these are collated entry by entry; a tuple becomes a list.

    Raises:
        TypeError: samples of another type, or of several dtypes.
        ValueError: samples of several shapes or lengths, or no samples.
    """
    samples = check.items("batch", batch, "samples")
    if not samples:
        raise ValueError("batch: expected at least one sample, got none")
    first = samples[0]
    if isinstance(first, Tensor):
        return _stacked(samples, [sample.shape for sample in samples])
    if isinstance(first, np.ndarray):
        return _of_arrays(samples)
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, NUMBERS):
        return _of_numbers(samples)
    if isinstance(first, Mapping):
        return _of_dicts(samples)
    if isinstance(first, Sequence):
        return _of_sequences(samples)
    what = "Tensors, NumPy arrays, numbers, strings, dicts, lists or tuples"
    raise TypeError(f"batch: expected samples of {what}, got {type(first).__name__}")


def _stacked(samples: list[Tensor], shapes: list[tuple[int, ...]]) -> Tensor:
    if len(set(shapes)) > 1:
        other = next(shape for shape in shapes if shape != shapes[0])
        raise ValueError(f"batch: expected samples of one shape, got {shapes[0]} and {other}")
    return stack(samples)


def _of_arrays(samples: list[Any]) -> Tensor:
    kinds = {type(sample) if not hasattr(sample, "dtype") else sample.dtype for sample in samples}
    if len(kinds) > 1:
        raise TypeError(f"batch: expected arrays of one dtype, got {' and '.join(map(str, kinds))}")
    if samples[0].dtype not in check.DTYPES:
        what = "bool, integer or float up to 64 bits"
        raise TypeError(f"batch: expected arrays of {what}, got {samples[0].dtype}")
    shapes = {sample.shape for sample in samples}
    if len(shapes) > 1:
        one, other, *_ = sorted(shapes)
        raise ValueError(f"batch: expected samples of one shape, got {one} and {other}")
    return Tensor(np.stack(samples))


def _of_numbers(samples: list[Any]) -> Tensor:
    for sample in samples:
        if not isinstance(sample, NUMBERS):
            raise TypeError(f"batch: expected numbers, got {type(sample).__name__}")
    if isinstance(samples[0], np.generic):
        return _of_arrays([np.asarray(sample) for sample in samples])
    return tensor(samples, dtype="float64" if isinstance(samples[0], float) else None)


def _of_dicts(samples: list[Any]) -> Any:
    first = samples[0]
    for sample in samples:
        if not isinstance(sample, Mapping) or sample.keys() != first.keys():
            raise ValueError("batch: expected dicts with the same keys")
    entries = {key: default_collate([sample[key] for sample in samples]) for key in first}
    if isinstance(first, MutableMapping):  # it may be more than its entries
        try:
            made = copy.copy(first)
            made.update(entries)
            return made
        except TypeError:
            return entries
    try:
        return type(first)(entries)
    except TypeError:
        return entries


def _of_sequences(samples: list[Any]) -> Any:
    first = samples[0]
    if not all(isinstance(s, Sequence) and len(s) == len(first) for s in samples):
        raise ValueError("batch: expected samples of as many entries each")
    entries = [default_collate(entry) for entry in zip(*samples, strict=True)]
    if isinstance(first, tuple):
        return type(first)(*entries) if hasattr(first, "_fields") else entries
    if isinstance(first, MutableSequence):
        try:
            made = copy.copy(first)
            made[:] = entries
            return made
        except TypeError:
            return entries
    return entries


def without_samples(batch: Any) -> Any:
    """An empty batch with the structure of ``batch``."""
    if isinstance(batch, Tensor):
        return batch[:0]
    if isinstance(batch, Mapping):
        return {key: without_samples(entry) for key, entry in batch.items()}
    if not isinstance(batch, Sequence) or isinstance(batch, (str, bytes)):
        raise TypeError(f"batch: expected Tensors or lists of them, got {type(batch).__name__}")
    if batch and isinstance(batch[0], (str, bytes)):
        return []
    entries = [without_samples(entry) for entry in batch]
    return type(batch)(*entries) if hasattr(batch, "_fields") else entries
