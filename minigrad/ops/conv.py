"""Convolution in two dimensions as matrix products over im2col columns.

One letter per size, here and in every kernel: N images, C input and O output channels, H x W
input, KH x KW kernel, OH x OW output, G groups. Arrays inside this file are batch-innermost,
(C, H, W, N) (see :mod:`minigrad.layout`).

**Blocks.** The column matrix of a whole layer is KH·KW times its input and would be written to
and read from memory for nothing. Here one core at a time takes one block of neighbouring output
positions, copies their columns into a reused buffer that fits its cache, and multiplies.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .. import check
from ..cpu import conv_direct as direct
from ..cpu import conv_winograd as winograd
from ..cpu.threads import get_num_threads, parallel, split_range, workspace
from ..device import Array, get_xp
from ..gpu import implicit_gemm as implicit
from ..layout import from_batch_last, to_batch_last
from ..memory import empty, zeros
from ..sums import in_float32
from ..tape import Backward, op
from ..tensor import Tensor

Pair = tuple[int, int]
Edges = tuple[Pair, Pair]  # zeros (before, after) rows and columns; negative cuts off
Block = tuple[slice, slice]  # rows and columns of output positions

COLUMN_BYTES = 3 << 19  # of one block's columns: a core's second-level cache


@dataclass(frozen=True)
class Window:
    """How a kernel slides: sizes, steps and spacing, each as (height, width)."""

    kernel: Pair
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)

    @property
    def reach(self) -> Pair:
        """Input pixels that one window spans."""
        (kh, kw), (dh, dw) = self.kernel, self.dilation
        return dh * (kh - 1) + 1, dw * (kw - 1) + 1

    def output(self, height: int, width: int) -> Pair:
        """Output positions over an input that is already padded."""
        (rh, rw), (sh, sw) = self.reach, self.stride
        return (height - rh) // sh + 1, (width - rw) // sw + 1

    def views(self, x: Array) -> Array:
        """(C, H, W, N) as all its windows, a view of shape (C, KH, KW, OH, OW, N)."""
        c, h, w, n = x.shape
        oh, ow = self.output(h, w)
        (dh, dw), (sh, sw) = self.dilation, self.stride
        tc, th, tw, tn = x.strides
        return get_xp(x).lib.stride_tricks.as_strided(
            x,
            (c, *self.kernel, oh, ow, n),
            (tc, th * dh, tw * dw, th * sh, tw * sw, tn),
        )


def frame(x: Array, edges: Edges) -> Array:
    """(C, H, W, N) with zeros around; ``x`` itself, or a view, where none are added."""
    (top, bottom), (left, right) = edges
    x = x[:, max(-top, 0) : x.shape[1] + min(bottom, 0), max(-left, 0) : x.shape[2] + min(right, 0)]
    top, bottom, left, right = (max(edge, 0) for edge in (top, bottom, left, right))
    if not (top or bottom or left or right):
        return x
    c, h, w, n = x.shape
    y = empty((c, h + top + bottom, w + left + right, n), x.dtype, get_xp(x))

    def task(i: int) -> None:
        part = y[channels[i]]
        part[:, :top] = part[:, top + h :] = 0
        part[:, :, :left] = part[:, :, left + w :] = 0
        part[:, top : top + h, left : left + w] = x[channels[i]]

    channels = split(x, c)
    parallel(task, len(channels), y.size)
    return y


def split(x: Array, count: int) -> tuple[slice, ...]:
    """``count`` channels shared out over the CPU's cores; all in one piece on a GPU."""
    return split_range(count, get_num_threads() if isinstance(x, np.ndarray) else 1)


def over(x: Array, task: Callable[[int], object], count: int) -> None:
    """``task(0) … task(count - 1)``: on the CPU in parallel; on a GPU on this thread, for another
    would have another device and stream."""
    if isinstance(x, np.ndarray):
        parallel(task, count)
    else:
        for i in range(count):
            task(i)


def blocks(x: Array, oh: int, ow: int, bytes_per_position: int) -> list[Block]:
    """Cut OH x OW output positions into runs: several whole rows, or a part of one row.

    On the CPU the columns of a run fit a core's cache; a GPU takes the image in one piece.
    """
    positions = max(1, COLUMN_BYTES // max(1, bytes_per_position))
    if not isinstance(x, np.ndarray):
        positions = oh * ow
    if positions >= ow:
        threads = get_num_threads() if isinstance(x, np.ndarray) else 1
        count = -(-oh * ow // positions)
        count = -(-count // threads) * threads  # as many for each core
        return [(rows, slice(0, ow)) for rows in split_range(oh, count)]
    parts = split_range(ow, -(-ow // positions))
    return [(slice(r, r + 1), part) for r in range(oh) for part in parts]


def columns(windows: Array, block: Block) -> Array:
    """The im2col columns (C·KH·KW, positions·N) of one block: in this thread's buffer on the CPU,
    and not copied at all where the window is a single pixel."""
    part = windows[:, :, :, block[0], block[1]]
    c, kh, kw = part.shape[:3]
    if isinstance(part, np.ndarray) and (kh, kw) != (1, 1):
        buffer = workspace("columns", part.shape, part.dtype)
        np.copyto(buffer, part)
        part = buffer
    return part.reshape(c * kh * kw, -1)


def correlate(
    x: Array, w: Array, b: Array | None, edges: Edges, window: Window, groups: int
) -> Array:
    """y[o] = Σ over c, kh, kw of w[o, c, kh, kw] · x[c], framed, seen through the window, + b[o].

    x (C, H, W, N); w (O, C/G, KH, KW); y (O, OH, OW, N).
    """
    xp = get_xp(x)
    c, n = x.shape[0], x.shape[3]
    o, cg = w.shape[:2]
    oh, ow = window.output(*(size + sum(e) for size, e in zip(x.shape[1:3], edges, strict=True)))
    if window.stride == (1, 1) and direct.suits(x, w.shape, groups, direct.FORWARD):
        before = edges[0][0], edges[1][0]
        return direct.correlate(x, w, b, before, window.dilation, (oh, ow))
    windows = window.views(frame(x, edges))
    filters = w.reshape(groups, o // groups, -1)
    y = empty((o, oh, ow, n), x.dtype, xp)
    pieces = blocks(x, oh, ow, filters.shape[2] * n * x.itemsize)

    def task(i: int) -> None:
        rows, cols = pieces[i // groups]
        g = i % groups
        part = windows[g * cg : (g + 1) * cg]
        channels = slice(g * o // groups, (g + 1) * o // groups)
        out = y[channels, rows, cols].reshape(o // groups, -1)
        xp.matmul(filters[g], columns(part, (rows, cols)), out=out)
        if b is not None:
            out += b[channels, None]

    assert c == cg * groups
    over(x, task, len(pieces) * groups)
    return y


def weight_gradient(
    x: Array, g: Array, shape: tuple[int, ...], edges: Edges, window: Window, groups: int
) -> Array:
    """dL/dw[o, c, kh, kw] = Σ over positions of g[o] · x[c], framed, seen through the window at
    (kh, kw).

    The columns are made again, block by block, not kept since forward. Every thread adds up its
    own fixed share of the blocks, so the rounding is the same from run to run.
    """
    if direct.suits(x, shape, groups, direct.BACKWARD):
        before = edges[0][0], edges[1][0]
        return direct.weight_gradient(x, g, shape, before, window.stride, window.dilation)
    xp = get_xp(x)
    o, cg = shape[:2]
    oh, ow, n = g.shape[1:]
    windows = window.views(frame(x, edges))
    depth = cg * shape[2] * shape[3]
    pieces = blocks(x, oh, ow, depth * n * x.itemsize)
    shares = split_range(len(pieces), get_num_threads())
    sums = xp.zeros((len(shares), groups, o // groups, depth), x.dtype)

    def task(i: int) -> None:
        for rows, cols in pieces[shares[i]]:
            for k in range(groups):
                gk = g[k * o // groups : (k + 1) * o // groups, rows, cols]
                part = columns(windows[k * cg : (k + 1) * cg], (rows, cols))
                sums[i, k] += gk.reshape(o // groups, -1) @ part.T

    parallel(task, len(shares))
    return sums.sum(axis=0).reshape(shape)


def bias_gradient(g: Array) -> Array:
    """dL/db[o] = Σ of g[o] over positions and images."""
    gb = get_xp(g).empty(len(g), g.dtype)
    channels = split(g, len(g))

    def task(i: int) -> None:
        part = g[channels[i]]
        part.reshape(len(part), math.prod(part.shape[1:])).sum(axis=1, out=gb[channels[i]])

    parallel(task, len(channels), g.size)
    return gb


def input_gradient(
    g: Array, w: Array, size: Pair, padding: Pair, window: Window, groups: int
) -> Array:
    """dL/dx of :func:`correlate` over a zero-padded input, (C, H, W, N) for ``size`` (H, W).

    At stride 1 it is itself a correlation, :func:`flipped`, otherwise :func:`col2im`; of two ways
    at stride 1 the second measured faster where it multiplies by a much taller matrix, the first
    where channels are as many on both sides.
    """
    o, cg = w.shape[:2]
    stays = window.stride == (1, 1)
    few = stays and direct.suits(g, w.shape, groups, direct.FORWARD)
    way = flipped if few or (stays and o < 2 * groups * cg) else col2im
    return way(g, w, size, padding, window, groups)


def flipped(g: Array, w: Array, size: Pair, padding: Pair, window: Window, groups: int) -> Array:
    """dL/dx at stride 1 as a correlation: of g, padded, with the filters turned by 180° and their
    channel axes exchanged. It only gathers."""
    # An input pixel at i is seen by outputs i + p − d(k−1) … i + p.
    height, width = (
        (reach - 1 - p, n + p - g.shape[axis])
        for axis, (reach, p, n) in enumerate(zip(window.reach, padding, size, strict=True), 1)
    )
    return correlate(g, turned(w, groups), None, (height, width), window, groups)


def turned(w: Array, groups: int) -> Array:
    """Filters turned by 180°, channel axes exchanged: (O, C/G, KH, KW) to (C, O/G, KH, KW)."""
    o, cg, kh, kw = w.shape
    w = w.reshape(groups, o // groups, cg, kh, kw)[..., ::-1, ::-1].swapaxes(1, 2)
    return w.reshape(groups * cg, o // groups, kh, kw)


def col2im(g: Array, w: Array, size: Pair, padding: Pair, window: Window, groups: int) -> Array:
    """The transpose of im2col, for any stride: dL/dcolumns = wᵀ g, block by block, each row added
    back to where it was read from. Every thread has input channels of its own, so none collide."""
    xp = get_xp(g)
    o, cg, kh, kw = w.shape
    oh, ow, n = g.shape[1:]
    gx = zeros((groups * cg, size[0] + 2 * padding[0], size[1] + 2 * padding[1], n), g.dtype, xp)
    seen = window.views(gx)
    shares = [(k, part) for k in range(groups) for part in split(g, cg)]

    def task(i: int) -> None:
        k, part = shares[i]
        og = slice(k * o // groups, (k + 1) * o // groups)
        # Kernel places outermost, so that each one's columns are in one piece.
        filters = xp.ascontiguousarray(w[og, part].transpose(2, 3, 1, 0)).reshape(-1, o // groups)
        target = seen[k * cg + part.start : k * cg + part.stop]
        for rows, cols in blocks(g, oh, ow, len(filters) * n * g.itemsize):
            gpart = g[og, rows, cols]
            gcolumns = xp.matmul(filters, gpart.reshape(o // groups, -1))
            gcolumns = gcolumns.reshape(kh, kw, -1, *gpart.shape[1:])
            for a in range(kh):
                for b in range(kw):
                    target[:, a, b, rows, cols] += gcolumns[a, b]

    over(g, task, len(shares))
    return gx[:, padding[0] : padding[0] + size[0], padding[1] : padding[1] + size[1]]


@op
@in_float32
def _conv2d(
    x: Array, w: Array, b: Array | None, *, padding: Pair, window: Window, groups: int
) -> tuple[Array, Backward]:
    """y = w ⋆ pad(x) + b; see correlate, input_gradient and weight_gradient for the three maps,
    :mod:`minigrad.cpu.conv_winograd` for the faster ones of 3 x 3 filters, and
    :mod:`minigrad.gpu.implicit_gemm` for those on a GPU."""
    h, wide = x.shape[2:]
    size = window.output(h + 2 * padding[0], wide + 2 * padding[1])
    if not x.size:
        return _nothing(x, w, b, size)
    x = to_batch_last(x)
    if implicit.suits(x):
        return _on_gpu(x, w, b, size, padding, window, groups)
    edges = (padding[0], padding[0]), (padding[1], padding[1])
    plain = window == Window((3, 3)) and groups == 1 and max(padding) <= 2
    fast = plain and winograd.suits(x, len(w), size)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        g = to_batch_last(g)
        gx = gw = None
        if needs[0] and plain and winograd.suits(g, w.shape[1], (h, wide)):
            gx = winograd.correlate(g, turned(w, 1), None, (2 - padding[0], 2 - padding[1]))
        elif needs[0]:
            gx = input_gradient(g, w, (h, wide), padding, window, groups)
        if needs[1] and fast:
            gw = winograd.weight_gradient(x, g, padding)
        elif needs[1]:
            gw = weight_gradient(x, g, w.shape, edges, window, groups)
        return (
            None if gx is None else from_batch_last(gx),
            gw,
            bias_gradient(g) if needs[2] else None,
        )

    if fast:
        return from_batch_last(winograd.correlate(x, w, b, padding)), backward
    return from_batch_last(correlate(x, w, b, edges, window, groups)), backward


def _on_gpu(
    x: Array, w: Array, b: Array | None, size: Pair, padding: Pair, window: Window, groups: int
) -> tuple[Array, Backward]:
    """The convolution of x (C, H, W, N) by CUDA kernels."""
    look = implicit.ahead(padding, window.stride, window.dilation)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        g = to_batch_last(g)
        gx = None
        if needs[0]:
            behind = implicit.back(window.kernel, padding, window.stride, window.dilation)
            gx = from_batch_last(
                implicit.correlate(g, turned(w, groups), None, x.shape[1:3], behind)
            )
        return (
            gx,
            implicit.weight_gradient(x, g, w.shape, look) if needs[1] else None,
            bias_gradient(g) if needs[2] else None,
        )

    return from_batch_last(implicit.correlate(x, w, b, size, look)), backward


def _nothing(x: Array, w: Array, b: Array | None, size: Pair) -> tuple[Array, Backward]:
    """The convolution of an empty batch."""
    xp = get_xp(x)
    gradients = tuple(None if a is None else xp.zeros_like(a) for a in (x, w, b))
    return xp.zeros((len(x), len(w), *size), x.dtype), lambda g, needs: gradients


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Pair = 1,
    padding: int | Pair | str = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
) -> Tensor:
    """Two-dimensional cross-correlation, as every deep-learning library calls convolution.

    y[n, o, i, j] = bias[o] +
        Σ_{c, a, b} weight[o, c, a, b] · input[n, c, i s + a d − p, j s + b d − p]

    Args:
        input: (N, C, H, W), or (C, H, W) for a single image.
        weight: (O, C / groups, KH, KW).
        bias: (O,) or None.
        stride, padding, dilation: int or (height, width). ``padding`` zeros go on both sides;
            "valid" means none, "same" as many as keep the size at stride 1 (the extra one of an
            odd total at the bottom and right).
        groups: the number of groups that C and O are cut into; group k of the outputs sees group
            k of the inputs.

    Returns:
        (N, O, OH, OW) with OH = ⌊(H + 2p − d(KH − 1) − 1) / s⌋ + 1, likewise OW.

    Raises:
        ValueError: shapes that do not fit together, or a window larger than the padded input.
    """
    check.tensor("input", input, (3, 4), "(N, C, H, W) or (C, H, W)")
    check.tensor("weight", weight, (4,), "(O, C/groups, KH, KW)")
    check.floating("input", input)
    if weight.dtype != input.dtype:
        raise TypeError(f"weight: expected dtype {input.dtype} as input, got {weight.dtype}")
    if input.ndim == 3:
        return conv2d(input.unsqueeze(0), weight, bias, stride, padding, dilation, groups).squeeze(
            0
        )
    check.integer("groups", groups, 1)
    o, cg, kh, kw = weight.shape
    c = input.shape[1]
    if c != cg * groups or o % groups or 0 in weight.shape:
        raise ValueError(
            f"weight: expected (O, {c}/{groups}, KH, KW) with O a multiple of groups={groups} "
            f"for input {input.shape}, got {weight.shape}"
        )
    check.vector("bias", bias, o, input)
    window = Window((kh, kw), check.pair("stride", stride, 1), check.pair("dilation", dilation, 1))
    if isinstance(padding, str):
        input, padding = _named_padding(input, padding, window)
    pads = check.pair("padding", padding, 0)
    h, w = (n + 2 * p for n, p in zip(input.shape[2:], pads, strict=True))
    if h < window.reach[0] or w < window.reach[1]:
        raise ValueError(
            f"weight: the window {window.reach} is larger than the padded input ({h}, {w})"
        )
    return _conv2d(input, weight, bias, padding=pads, window=window, groups=groups)


def _named_padding(input: Tensor, padding: str, window: Window) -> tuple[Tensor, Pair]:
    check.choice("padding", padding, ("valid", "same"))
    if padding == "valid":
        return input, (0, 0)
    if window.stride != (1, 1):
        raise ValueError(f"padding: 'same' needs stride 1, got {window.stride}")
    rh, rw = window.reach
    odd_h, odd_w = (rh - 1) % 2, (rw - 1) % 2
    if odd_h or odd_w:
        input = input.pad((0, odd_w, 0, odd_h))
    return input, ((rh - 1) // 2, (rw - 1) // 2)
