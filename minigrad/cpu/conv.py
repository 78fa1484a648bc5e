"""Convolution on the CPU: forward and its two gradients, each by the fastest of five algorithms.

All arrays here are batch-innermost, (C, H, W, N) (see :mod:`minigrad.layout`).

- :mod:`minigrad.cpu.conv_winograd` serves 3 x 3 filters where it needs fewer operations,
- :mod:`minigrad.cpu.conv_rows` serves few pixels and many filters;
- :mod:`minigrad.cpu.conv_shifted` serves few images, at stride 1;
- :mod:`minigrad.cpu.conv_direct` serves everything else; these are compiled;
- :mod:`minigrad.cpu.conv_columns` is plain NumPy.
"""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np

from ..device import Array
from ..layout import from_batch_last
from ..ops.conv import Pair, Window, _conv2d, flip_filters
from ..tape import Backward, keeping
from . import conv_columns, conv_direct, conv_rows, conv_shifted
from . import conv_winograd as winograd
from .compiled import kernels
from .elementwise import to_batch_last
from .threads import get_num_threads, parallel, split_range


@_conv2d.on("cpu", when=lambda x, *_, **__: x.size > 0)
def conv2d(
    x: Array, w: Array, b: Array | None, *, padding: Pair, window: Window, groups: int
) -> tuple[Array, Backward]:
    h, wide = x.shape[2:]
    size = window.output(h + 2 * padding[0], wide + 2 * padding[1])
    x = to_batch_last(x)
    options = padding, window, groups
    plain = window == Window((3, 3)) and groups == 1 and max(padding) <= 2
    fast = plain and winograd.is_supported(x, len(w), size)
    few = not fast and conv_rows.is_supported(x, w, size, groups)

    def general(a: Array) -> ModuleType:
        return conv_rows if few else _general(a, *options)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        g = to_batch_last(g)
        gx = gw = None
        if needs[0] and plain and winograd.is_supported(g, w.shape[1], (h, wide)):
            gx = winograd.correlate(g, flip_filters(w, 1), None, (2 - padding[0], 2 - padding[1]))
        elif needs[0]:
            gx = general(g).input_gradient(g, w, (h, wide), *options)
        if needs[1] and fast:
            gw = winograd.weight_gradient(x, g, padding)
        elif needs[1]:
            gw = general(x).weight_gradient(x, g, w.shape, *options)
        return (
            None if gx is None else from_batch_last(gx),
            gw,
            bias_gradient(g) if needs[2] else None,
        )

    way = keeping(backward, from_batch_last(x), w, b)
    if fast:
        return from_batch_last(winograd.correlate(x, w, b, padding)), way
    return from_batch_last(general(x).correlate(x, w, b, *options)), way


def _general(x: Array, padding: Pair, window: Window, groups: int) -> ModuleType:
    """The module that convolves x (C, H, W, N), or makes gradients of it, with any filters."""
    if kernels("direct", x.dtype) is None:
        return conv_columns
    return conv_shifted if conv_shifted.is_supported(x, window, padding, groups) else conv_direct


def bias_gradient(g: Array) -> Array:
    """dL/db[o] = Σ of g[o] over positions and images."""
    gb = np.empty(len(g), g.dtype)
    channels = split_range(len(g), get_num_threads())

    def task(i: int) -> None:
        part = g[channels[i]]
        part.reshape(len(part), math.prod(part.shape[1:])).sum(axis=1, out=gb[channels[i]])

    parallel(task, len(channels), g.size)
    return gb
