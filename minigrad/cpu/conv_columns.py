"""Convolution as matrix products with im2col columns, in plain NumPy.

**Blocks.** The column matrix of a whole layer is KH·KW times as large as its input, and writing it
to memory and reading it back would cost time for nothing. Instead, each core takes one block of
neighbouring output positions at a time, copies their columns into a reused buffer that fits its
cache, and multiplies.
"""

from __future__ import annotations

import numpy as np

from ..device import Array
from ..memory import empty, zeros
from ..ops.conv import Pair, Window, flip_filters
from .threads import get_num_threads, parallel, split_range, workspace

Edges = tuple[Pair, Pair]  # zeros (before, after) the rows and the columns; negative crops
Block = tuple[slice, slice]  # rows and columns of output positions

MAX_COLUMN_BYTES = 3 << 19  # of one block's columns, to fit a core's second-level cache


def both(padding: Pair) -> Edges:
    """As many zeros before as after."""
    return (padding[0], padding[0]), (padding[1], padding[1])


def correlate(
    x: Array, w: Array, b: Array | None, padding: Pair, window: Window, groups: int
) -> Array:
    """The correlation of x (C, H, W, N), zero-padded, with w (O, C/G, KH, KW), plus b: (O, OH, OW,
    N)."""
    return correlate_padded(x, w, b, both(padding), window, groups)


def correlate_padded(
    x: Array, w: Array, b: Array | None, edges: Edges, window: Window, groups: int
) -> Array:
    """y[o] = Σ_c,kh,kw w[o, c, kh, kw] · (padded x[c] at that offset of each window) + b[o].

    x (C, H, W, N); w (O, C/G, KH, KW); y (O, OH, OW, N).
    """
    n = x.shape[3]
    o, cg = w.shape[:2]
    oh, ow = window.output([n + sum(e) for n, e in zip(x.shape[1:3], edges, strict=True)])
    windows = all_windows(pad(x, edges), window)
    filters = w.reshape(groups, o // groups, -1)
    y = empty((o, oh, ow, n), x.dtype)
    pieces = blocks(oh, ow, filters.shape[2] * n * x.itemsize)

    def task(i: int) -> None:
        rows, cols = pieces[i // groups]
        g = i % groups
        part = windows[g * cg : (g + 1) * cg]
        channels = slice(g * o // groups, (g + 1) * o // groups)
        out = y[channels, rows, cols].reshape(o // groups, -1)
        np.matmul(filters[g], columns(part, (rows, cols)), out=out)
        if b is not None:
            out += b[channels, None]

    parallel(task, len(pieces) * groups)
    return y


def weight_gradient(
    x: Array, g: Array, shape: tuple[int, ...], padding: Pair, window: Window, groups: int
) -> Array:
    """dL/dw[o, c, kh, kw] = Σ over positions of g[o] · (padded x[c] at that offset of each window).

    Columns are computed again, block by block, rather than kept from the forward pass. Each thread
    sums a fixed share of the blocks, so the rounding is the same from run to run.
    """
    o, cg = shape[:2]
    oh, ow, n = g.shape[1:]
    windows = all_windows(pad(x, both(padding)), window)
    depth = cg * shape[2] * shape[3]
    pieces = blocks(oh, ow, depth * n * x.itemsize)
    shares = split_range(len(pieces), get_num_threads())
    sums = np.zeros((len(shares), groups, o // groups, depth), x.dtype)

    def task(i: int) -> None:
        for rows, cols in pieces[shares[i]]:
            for k in range(groups):
                gk = g[k * o // groups : (k + 1) * o // groups, rows, cols]
                part = columns(windows[k * cg : (k + 1) * cg], (rows, cols))
                sums[i, k] += gk.reshape(o // groups, -1) @ part.T

    parallel(task, len(shares))
    return sums.sum(axis=0).reshape(shape)


def input_gradient(
    g: Array,
    w: Array,
    size: Pair,
    padding: Pair,
    window: Window,
    groups: int,
    b: Array | None = None,
) -> Array:
    """dL/dx of :func:`correlate`, zero-padded, plus b: (C, H, W, N) for ``size`` (H, W).

    At stride 1 it is itself a correlation (:func:`by_correlation`); at other strides it is
    :func:`col2im`. At stride 1 too, col2im measured faster where the output has many more channels
    than the input.
    """
    o, cg = w.shape[:2]
    unstrided = window.stride == (1, 1)
    algorithm = by_correlation if unstrided and o < 2 * groups * cg else col2im
    gx = algorithm(g, w, size, padding, window, groups)
    return gx if b is None else gx + b[:, None, None, None]


def by_correlation(
    g: Array, w: Array, size: Pair, padding: Pair, window: Window, groups: int
) -> Array:
    """dL/dx at stride 1 as a correlation of the padded g with the flipped filters, which only
    gathers."""
    # Outputs i + p − d(k−1) … i + p read the input pixel i.
    height, width = (
        (reach - 1 - p, n + p - g.shape[axis])
        for axis, (reach, p, n) in enumerate(zip(window.reach, padding, size, strict=True), 1)
    )
    return correlate_padded(g, flip_filters(w, groups), None, (height, width), window, groups)


def col2im(g: Array, w: Array, size: Pair, padding: Pair, window: Window, groups: int) -> Array:
    """The transpose of im2col, for any stride: dL/dcolumns = wᵀ g, block by block, with each row
    added back to the pixels it was read from. Threads write to different input channels."""
    o, cg, kh, kw = w.shape
    oh, ow, n = g.shape[1:]
    gx = zeros((groups * cg, size[0] + 2 * padding[0], size[1] + 2 * padding[1], n), g.dtype)
    windows = all_windows(gx, window)
    shares = [(k, part) for k in range(groups) for part in split_range(cg, get_num_threads())]

    def task(i: int) -> None:
        k, part = shares[i]
        og = slice(k * o // groups, (k + 1) * o // groups)
        # Kernel offsets are outermost, so the columns of each one are contiguous.
        filters = np.ascontiguousarray(w[og, part].transpose(2, 3, 1, 0)).reshape(-1, o // groups)
        target = windows[k * cg + part.start : k * cg + part.stop]
        for rows, cols in blocks(oh, ow, len(filters) * n * g.itemsize):
            gpart = g[og, rows, cols]
            gcolumns = np.matmul(filters, gpart.reshape(o // groups, -1))
            gcolumns = gcolumns.reshape(kh, kw, -1, *gpart.shape[1:])
            for a in range(kh):
                for b in range(kw):
                    target[:, a, b, rows, cols] += gcolumns[a, b]

    parallel(task, len(shares))
    return gx[:, padding[0] : padding[0] + size[0], padding[1] : padding[1] + size[1]]


# ---------------------------------------------------------------------------- blocks of columns


def pad(x: Array, edges: Edges) -> Array:
    """(C, H, W, N) padded with zeros; ``x`` itself, or a view of it, if no zeros are added."""
    (top, bottom), (left, right) = edges
    x = x[:, max(-top, 0) : x.shape[1] + min(bottom, 0), max(-left, 0) : x.shape[2] + min(right, 0)]
    top, bottom, left, right = (max(edge, 0) for edge in (top, bottom, left, right))
    if not (top or bottom or left or right):
        return x
    c, h, w, n = x.shape
    y = empty((c, h + top + bottom, w + left + right, n), x.dtype)
    channels = split_range(c, get_num_threads())

    def task(i: int) -> None:
        part = y[channels[i]]
        part[:, :top] = part[:, top + h :] = 0
        part[:, :, :left] = part[:, :, left + w :] = 0
        part[:, top : top + h, left : left + w] = x[channels[i]]

    parallel(task, len(channels), y.size)
    return y


def all_windows(x: Array, window: Window) -> Array:
    """All windows of x (C, H, W, N): a view of shape (C, KH, KW, OH, OW, N)."""
    c, h, w, n = x.shape
    (dh, dw), (sh, sw) = window.dilation, window.stride
    tc, th, tw, tn = x.strides
    return np.lib.stride_tricks.as_strided(
        x,
        (c, *window.kernel, *window.output((h, w)), n),
        (tc, th * dh, tw * dw, th * sh, tw * sw, tn),
    )


def blocks(oh: int, ow: int, bytes_per_position: int) -> list[Block]:
    """OH x OW output positions in blocks whose columns fit a core's cache: several whole rows, or a
    part of one row."""
    positions = max(1, MAX_COLUMN_BYTES // max(1, bytes_per_position))
    if positions >= ow:
        count, threads = -(-oh * ow // positions), get_num_threads()
        count = -(-count // threads) * threads  # the same number for each core
        return [(rows, slice(0, ow)) for rows in split_range(oh, count)]
    parts = split_range(ow, -(-ow // positions))
    return [(slice(r, r + 1), part) for r in range(oh) for part in parts]


def columns(windows: Array, block: Block) -> Array:
    """The im2col columns (C·KH·KW, positions·N) of one block, in this thread's buffer; a view where
    the window is a single pixel."""
    part = windows[:, :, :, block[0], block[1]]
    c, kh, kw = part.shape[:3]
    if (kh, kw) != (1, 1):
        buffer = workspace("columns", part.shape, part.dtype)
        np.copyto(buffer, part)
        part = buffer
    return part.reshape(c * kh * kw, -1)
