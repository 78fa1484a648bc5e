"""Convolution on the CPU: forward and its two gradients, each by the fastest of six algorithms.
Transposed convolution is the same three. :mod:`minigrad.cpu.conv_pixels` serves 1 x 1 filters of
images in C order.

All other arrays here are batch-innermost, (C, H, W, N) (see :mod:`minigrad.layout`).

- :mod:`minigrad.cpu.conv_winograd` serves 3 x 3 filters where it needs fewer operations,
- :mod:`minigrad.cpu.conv_dense` serves images with fewer pixels than a filter has,
- :mod:`minigrad.cpu.conv_rows` serves few pixels and many filters;
- :mod:`minigrad.cpu.conv_shifted` serves few images or channels;
- :mod:`minigrad.cpu.conv_direct` serves everything else; these are compiled;
- :mod:`minigrad.cpu.conv_columns` is plain NumPy.
"""

from __future__ import annotations

import functools
import math
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from ..device import Array
from ..layout import from_batch_last
from ..ops.conv import Pair, Window, _conv2d, flip_filters
from ..ops.conv_transpose import _conv_transpose2d
from ..tape import Backward, keeping
from . import conv_columns, conv_dense, conv_direct, conv_pixels, conv_rows, conv_shifted
from . import conv_winograd as winograd
from .compiled import is_compiled, kernels
from .elementwise import to_batch_last
from .threads import get_num_threads, parallel, split_range


class _Ways(NamedTuple):
    """The modules that serve a convolution, or None for Winograd's algorithm; and its options."""

    forward: ModuleType | None
    input: ModuleType | None
    weights: ModuleType | None
    padding: Pair
    window: Window
    groups: int

    def correlate(self, x: Array, w: Array, b: Array | None) -> Array:
        """The result: (O, OH, OW, N) of x (C, H, W, N)."""
        if self.forward is None:
            return winograd.correlate(x, w, b, self.padding)
        result: Array = self.forward.correlate(x, w, b, *self[3:])
        return result

    def input_gradient(self, g: Array, w: Array, size: Pair, b: Array | None = None) -> Array:
        """dL/dx + b, (C, H, W, N), for g = dL/dy."""
        if self.input is None:
            around = 2 - self.padding[0], 2 - self.padding[1]
            return winograd.correlate(g, flip_filters(w, 1), b, around)
        result: Array = self.input.input_gradient(g, w, size, *self[3:], b)
        return result

    def weight_gradient(self, x: Array, g: Array, shape: tuple[int, ...]) -> Array:
        """dL/dw."""
        if self.weights is None:
            return winograd.weight_gradient(x, g, self.padding)
        result: Array = self.weights.weight_gradient(x, g, shape, *self[3:])
        return result


@functools.lru_cache(maxsize=1024)  # the same few in every step
def _ways(
    image: tuple[int, ...],
    filters: tuple[int, ...],
    dtype: np.dtype[Any],
    padding: Pair,
    window: Window,
    groups: int,
    compiled: bool,
) -> _Ways:
    """For x (C, H, W, N) and w (O, C / G, KH, KW)."""
    _, h, wide, n = image
    o, c = filters[:2]
    size = window.output((h, wide), padding)
    x, w, g = (np.broadcast_to(dtype.type(0), s) for s in (image, filters, (o, *size, n)))
    plain = window == Window((3, 3)) and groups == 1 and max(padding) <= 2
    fast = plain and winograd.is_supported(x, o, size)
    few = conv_rows.is_supported(x, w, size, groups)
    most = few and not conv_shifted.fills_vectors(size[0] * size[1] * n, dtype)
    tiny = conv_dense if conv_dense.is_supported(x, window.kernel, groups) else None
    rows = conv_rows if most else None
    return _Ways(
        None if fast else tiny or rows or _of_results(x, window, window.stride, groups),
        None if plain and winograd.is_supported(g, c, (h, wide))
        else tiny or rows or _of_results(g, window, (1, 1), groups),
        None if fast else tiny or (conv_rows if few else _general(x, groups)),
        *(padding, window, groups),
    )  # fmt: skip


def _of_results(x: Array, window: Window, stride: Pair, groups: int) -> ModuleType:
    """The module that convolves x (C, H, W, N), with any filters, at a stride of its pixels."""
    way = _general(x, groups)
    shifted = conv_shifted.serves_results(x.shape, window.kernel, stride, groups)
    return conv_shifted if way is conv_direct and shifted else way


def _general(x: Array, groups: int) -> ModuleType:
    """The module that makes any gradients of x (C, H, W, N), and convolves it."""
    if kernels("direct", x.dtype) is None:
        return conv_columns
    return conv_shifted if conv_shifted.is_supported(x, groups) else conv_direct


_conv2d.on("cpu", when=conv_pixels.is_supported)(conv_pixels.conv2d)


@_conv2d.on("cpu", when=lambda x, *_, **__: x.size > 0)
def conv2d(
    x: Array, w: Array, b: Array | None, *, padding: Pair, window: Window, groups: int
) -> tuple[Array, Backward]:
    size = x.shape[2:]
    x = to_batch_last(x)
    ways = _ways(x.shape, w.shape, x.dtype, padding, window, groups, is_compiled())

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        g = to_batch_last(g)
        return (
            from_batch_last(ways.input_gradient(g, w, size)) if needs[0] else None,
            ways.weight_gradient(x, g, w.shape) if needs[1] else None,
            bias_gradient(g) if needs[2] else None,
        )

    y = from_batch_last(ways.correlate(x, w, b))
    return y, keeping(backward, from_batch_last(x), w, b)


def _reads_all(x: Array, *_: Any, padding: Pair, window: Window, groups: int, out: Pair) -> bool:
    """Whether the convolution of the result has as many outputs as x has pixels, and not more."""
    return x.size > 0 and window.output(out, padding) == x.shape[2:]


@_conv_transpose2d.on("cpu", when=_reads_all)
def conv_transpose2d(
    x: Array, w: Array, b: Array | None, *, padding: Pair, window: Window, groups: int, out: Pair
) -> tuple[Array, Backward]:
    """The input gradient of a convolution, whose result and other gradient are the derivatives."""
    x = to_batch_last(x)
    image = w.shape[1] * groups, *out, x.shape[3]
    ways = _ways(image, w.shape, x.dtype, padding, window, groups, is_compiled())

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        g = to_batch_last(g)
        return (
            from_batch_last(ways.correlate(g, w, None)) if needs[0] else None,
            ways.weight_gradient(g, x, w.shape) if needs[1] else None,
            bias_gradient(g) if needs[2] else None,
        )

    y = from_batch_last(ways.input_gradient(x, w, out, b))
    return y, keeping(backward, from_batch_last(x), w, b)


def bias_gradient(g: Array) -> Array:
    """dL/db[o] = Σ of g[o] over positions and images."""
    gb = np.empty(len(g), g.dtype)
    channels = split_range(len(g), get_num_threads())

    def task(i: int) -> None:
        part = g[channels[i]]
        part.reshape(len(part), math.prod(part.shape[1:])).sum(axis=1, out=gb[channels[i]])

    parallel(task, len(channels), g.size)
    return gb
