"""Convolution on the CPU: forward and its two gradients, each by the fastest of five algorithms.

All arrays here are batch-innermost, (C, H, W, N) (see :mod:`minigrad.layout`).

- :mod:`minigrad.cpu.conv_winograd` serves 3 x 3 filters where it needs fewer operations,
- :mod:`minigrad.cpu.conv_rows` serves few pixels and many filters;
- :mod:`minigrad.cpu.conv_shifted` serves few images;
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
from ..tape import Backward, keeping
from . import conv_columns, conv_direct, conv_rows, conv_shifted
from . import conv_winograd as winograd
from .compiled import is_compiled, kernels
from .elementwise import to_batch_last
from .threads import get_num_threads, parallel, split_range


class _Ways(NamedTuple):
    """The modules that serve a convolution, or None for Winograd's algorithm."""

    forward: ModuleType | None
    input: ModuleType | None
    weights: ModuleType | None


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
    size = window.output(h + 2 * padding[0], wide + 2 * padding[1])
    x, w, g = (np.broadcast_to(dtype.type(0), s) for s in (image, filters, (o, *size, n)))
    plain = window == Window((3, 3)) and groups == 1 and max(padding) <= 2
    fast = plain and winograd.is_supported(x, o, size)
    few = not fast and conv_rows.is_supported(x, w, size, groups)
    most = few and not conv_shifted.fills_vectors(size[0] * size[1] * n, dtype)
    return _Ways(
        None if fast else conv_rows if most else _general(x, groups),
        None if plain and winograd.is_supported(g, c, (h, wide))
        else conv_rows if most else _general(g, groups),
        None if fast else conv_rows if few else _general(x, groups),
    )  # fmt: skip


def _general(x: Array, groups: int) -> ModuleType:
    """The module that convolves x (C, H, W, N), or makes gradients of it, with any filters."""
    if kernels("direct", x.dtype) is None:
        return conv_columns
    return conv_shifted if conv_shifted.is_supported(x, groups) else conv_direct


@_conv2d.on("cpu", when=lambda x, *_, **__: x.size > 0)
def conv2d(
    x: Array, w: Array, b: Array | None, *, padding: Pair, window: Window, groups: int
) -> tuple[Array, Backward]:
    h, wide = x.shape[2:]
    x = to_batch_last(x)
    options = padding, window, groups
    ways = _ways(x.shape, w.shape, x.dtype, *options, is_compiled())

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        g = to_batch_last(g)
        gx = gw = None
        if needs[0] and ways.input is not None:
            gx = ways.input.input_gradient(g, w, (h, wide), *options)
        elif needs[0]:
            gx = winograd.correlate(g, flip_filters(w, 1), None, (2 - padding[0], 2 - padding[1]))
        if needs[1] and ways.weights is not None:
            gw = ways.weights.weight_gradient(x, g, w.shape, *options)
        elif needs[1]:
            gw = winograd.weight_gradient(x, g, padding)
        return (
            None if gx is None else from_batch_last(gx),
            gw,
            bias_gradient(g) if needs[2] else None,
        )

    way = keeping(backward, from_batch_last(x), w, b)
    if ways.forward is None:
        return from_batch_last(winograd.correlate(x, w, b, padding)), way
    return from_batch_last(ways.forward.correlate(x, w, b, *options)), way


def bias_gradient(g: Array) -> Array:
    """dL/db[o] = Σ of g[o] over positions and images."""
    gb = np.empty(len(g), g.dtype)
    channels = split_range(len(g), get_num_threads())

    def task(i: int) -> None:
        part = g[channels[i]]
        part.reshape(len(part), math.prod(part.shape[1:])).sum(axis=1, out=gb[channels[i]])

    parallel(task, len(channels), g.size)
    return gb
