"""Small pictures of large arrays: a few maps of one image, and a histogram of a sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..device import CPU, Array, move

MAPS = 8  # channels of an image that are shown, and filters of a convolution
SIDE = 64  # pixels of a map at most along each side
SPREAD = 4096  # values that a histogram counts
BINS = 32


@dataclass
class Sample:
    """A part of an array to display, and evenly spaced values of the whole array for a histogram.

    Attributes:
        maps: float32 (maps, rows, columns).
        step: every ``step``-th row and column is shown.
        values: up to :data:`SPREAD` evenly spaced values.
        norm: √Σ x² of the whole array.
        filters: maps[k] is filter k // across on channel k % across of a convolution's weight.
        across: channels shown of each filter, 0 unless these are filters.
    """

    maps: np.ndarray
    step: tuple[int, int]
    values: np.ndarray
    norm: float
    across: int = 0

    @property
    def nbytes(self) -> int:
        return self.maps.nbytes + self.values.nbytes


def take(array: Array, weight: bool = False) -> Sample:
    """A sample of ``array``: the first :data:`MAPS` channels of its first image, or the first
    filters on the first channels of a ``weight``; with fewer axes, the first rows and columns.

    It costs one pass over the array, for the norm, and copies of the parts that are shown.
    """
    across = 0
    part = array
    if weight and array.ndim == 4:
        part = array[:MAPS, :MAPS]
        across = part.shape[1]
        part = part.reshape(-1, *part.shape[2:])
    else:
        while part.ndim > 3:
            part = part[0] if len(part) else part.reshape((*part.shape[1:-1], 0))
    if part.ndim == 3:
        part = part[:MAPS] if not across else part
    else:
        part = part.reshape((1,) * (3 - part.ndim) + part.shape)
    step = tuple(max(1, -(-n // SIDE)) for n in part.shape[1:])
    maps = _float32(part[:, :: step[0], :: step[1]])
    return Sample(maps, (step[0], step[1]), spread(array), norm(array), across)


def only_norm(array: Array) -> Sample:
    """A sample with only the norm."""
    nothing = np.zeros((0, 0, 0), np.float32)
    return Sample(nothing, (1, 1), nothing.reshape(-1), norm(array))


def spread(array: Array) -> np.ndarray:
    """Up to :data:`SPREAD` values of ``array``, evenly spaced in its memory."""
    flat = _memory(array)
    every = -(-flat.size // SPREAD) | 1  # odd: an even step would meet the same images alone
    return _float32(flat[::every])


def norm(array: Array) -> float:
    """√Σ x², of NaN if there is one."""
    if array.dtype.kind != "f":
        array = array.astype(np.float32)
    flat = _memory(array)
    with np.errstate(all="ignore"):
        square = float(flat @ flat) if flat.dtype != np.float16 else np.inf
        if not 1e-30 < square < 1e30 and flat.size:  # too small or too large for its dtype
            exact = flat.astype(np.float64)
            square = float(exact @ exact)
        repeats = array.size // flat.size if flat.size else 1
        return float(np.sqrt(square * repeats))


def _memory(array: Array) -> Array:
    """The elements of ``array`` in the order of memory, as a view if possible. Elements repeated by
    a stride of 0 occur once."""
    if 0 in array.strides:
        array = array[tuple(slice(0, 1) if s == 0 else slice(None) for s in array.strides)]
    order = sorted(range(array.ndim), key=lambda i: -abs(array.strides[i]))
    return array.transpose(order).reshape(-1)


def _float32(array: Array) -> np.ndarray:
    """A contiguous copy on the CPU."""
    with np.errstate(all="ignore"):
        return np.array(move(array, CPU), np.float32, order="C")


def histogram(values: np.ndarray) -> tuple[list[int], float, float]:
    """Counts in :data:`BINS` equal bins of the finite ones among ``values``, and their range."""
    finite = values[np.isfinite(values)].astype(np.float64)
    if not finite.size:
        return [0] * BINS, 0.0, 0.0
    low, high = float(finite.min()), float(finite.max())
    if low == high:
        half = max(0.5, abs(low) / 100)
        low, high = low - half, high + half
    places = ((finite - low) * (BINS / (high - low))).astype(np.int64).clip(0, BINS - 1)
    return np.bincount(places, minlength=BINS).tolist(), low, high
