"""Products, convolution, batch norm and pooling."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...device import Array
from ...ops.conv import Pair, Window
from ...ops.resize import _places
from ..graph import Graph, Operand, Value, rule
from ..trace import varies


@rule
def _linear(g: Graph, y: Value, x: Any, w: Any, b: Any) -> str:
    return g("Gemm", x, w, b, transB=1)


@rule
def _conv2d(
    g: Graph, y: Value, x: Any, w: Any, b: Any, *, padding: Pair, window: Window, groups: int
) -> str:
    return g(
        "Conv",
        *(x, w, b),
        kernel_shape=window.kernel,
        strides=window.stride,
        dilations=window.dilation,
        pads=padding * 2,
        group=groups,
    )


@rule
def _conv_transpose2d(
    g: Graph,
    y: Value,
    x: Any,
    w: Any,
    b: Any,
    *,
    padding: Pair,
    window: Window,
    groups: int,
    out: Pair,
) -> str:
    sizes = zip(out, x.shape[2:], window.stride, padding, window.reach, strict=True)
    more = [o - ((n - 1) * s - 2 * p + r) for o, n, s, p, r in sizes]
    return g(
        "ConvTranspose",
        *(x, w, b),
        kernel_shape=window.kernel,
        strides=window.stride,
        dilations=window.dilation,
        pads=padding * 2,
        output_padding=more,
        group=groups,
    )


@rule
def _unfold(g: Graph, y: Value, x: Any, *, padding: Pair, window: Window, places: Pair) -> str:
    """A convolution of each channel with kernels that pick one element each."""
    channels, size = known(x.shape[1:2], "unfold")[0], math.prod(window.kernel)
    picks = np.eye(size, dtype=y.dtype).reshape(size, 1, *window.kernel)
    columns = g(
        "Conv",
        *(x, np.tile(picks, (channels, 1, 1, 1))),
        kernel_shape=window.kernel,
        strides=window.stride,
        dilations=window.dilation,
        pads=padding * 2,
        group=channels,
    )
    return g("Reshape", columns, np.array((0, channels * size, -1), np.int64))


@rule
def _fold(
    g: Graph, y: Value, x: Any, *, size: Pair, padding: Pair, window: Window, places: Pair
) -> str:
    return g(
        "Col2Im",
        *(x, np.array(size, np.int64), np.array(window.kernel, np.int64)),
        strides=window.stride,
        dilations=window.dilation,
        pads=padding * 2,
    )


@rule
def _batch_norm(
    g: Graph,
    y: Value,
    x: Any,
    w: Any,
    b: Any,
    residual: Any,
    *,
    mean: Any,
    var: Any,
    batch: bool,
    eps: float,
    relu: bool,
) -> str:
    scale = np.ones(mean.shape, y.dtype) if w is None else w
    shift = np.zeros(mean.shape, y.dtype) if b is None else b
    out = g("BatchNormalization", x, scale, shift, mean, var, epsilon=eps)
    if residual is not None:
        out = g("Add", out, residual)
    return g("Relu", out) if relu else out


@rule
def _layer_norm(g: Graph, y: Value, x: Any, w: Any, b: Any, *, dims: int, eps: float) -> str:
    scale = np.ones(known(x.shape[-dims:], "layer_norm"), y.dtype) if w is None else w
    return g("LayerNormalization", x, scale, b, axis=-dims, epsilon=eps)


@rule
def _group_norm(g: Graph, y: Value, x: Any, w: Any, b: Any, *, groups: int, eps: float) -> str:
    """Instance norm of the groups as channels, then the channels' own scale and shift."""
    sizes = known(x.shape[1:], "group_norm")
    rows = g("Reshape", x, np.array((0, groups, -1), np.int64))
    ones, zeros = np.ones(groups, y.dtype), np.zeros(groups, y.dtype)
    out = g("InstanceNormalization", rows, ones, zeros, epsilon=eps)
    out = g("Reshape", out, np.array((-1, *sizes), np.int64))
    beside = np.array((-1, *(1,) * (len(sizes) - 1)), np.int64)
    if w is not None:
        out = g("Mul", out, g("Reshape", w, beside))
    return out if b is None else g("Add", out, g("Reshape", b, beside))


def known(sizes: tuple[Any, ...], what: str) -> tuple[int, ...]:
    """``sizes``, which must not depend on the batch's."""
    if not all(isinstance(n, int) for n in sizes):
        raise varies(f"a size of {what}")
    return sizes


def _pool(
    g: Graph, y: Value, x: Any, kind: str, window: Window, pads: Pair, out: Pair, fill: float
) -> str:
    """Pooling of the input after padding it exactly as far as the windows reach, which covers both
    rounding modes and all padding."""
    need = [(o - 1) * s + r for o, s, r in zip(out, window.stride, window.reach, strict=True)]
    after = [max(m - n - p, 0) for m, n, p in zip(need, x.shape[2:], pads, strict=True)]
    if any((*pads, *after)):
        ends = np.array([0, 0, *pads, 0, 0, *after], np.int64)
        x = g("Pad", x, ends, np.asarray(fill, y.dtype))
    return g(
        kind,
        x,
        kernel_shape=window.kernel,
        strides=window.stride,
        dilations=window.dilation,
    )


@rule
def _max_pool2d(g: Graph, y: Value, x: Any, *, window: Window, pads: Pair, out: Pair) -> str:
    lowest = -math.inf if y.dtype.kind == "f" else np.iinfo(y.dtype).min
    return _pool(g, y, x, "MaxPool", window, pads, out, lowest)


@rule
def _avg_pool2d(
    g: Graph, y: Value, x: Any, *, window: Window, pads: Pair, out: Pair, divisor: Array
) -> str:
    mean = _pool(g, y, x, "AveragePool", window, pads, out, 0)
    share = (math.prod(window.kernel) / divisor).astype(y.dtype)
    return mean if (share == 1).all() else g("Mul", mean, share)


@rule
def _adaptive_avg_pool2d(g: Graph, y: Value, x: Any, *, out: Pair) -> str:
    if out == (1, 1):
        return g("GlobalAveragePool", x)
    if not all(isinstance(n, int) for n in x.shape[2:]):
        raise varies("adaptive_avg_pool2d's window")
    down, right = (_cells(n, o, y.dtype) for n, o in zip(x.shape[2:], out, strict=True))
    return g("MatMul", g("MatMul", down, x), np.ascontiguousarray(right.T))


def _cells(size: int, count: int, dtype: Any) -> Array:
    """(count, size): row i holds the weights of the mean over ⌊i size / count⌋ … ⌈(i+1) …⌉."""
    shares = np.zeros((count, size), dtype)
    for i in range(count):
        cell = slice(i * size // count, -(-(i + 1) * size // count))
        shares[i, cell] = 1 / (cell.stop - cell.start)
    return shares


@rule
def _adaptive_max_pool2d(g: Graph, y: Value, x: Any, *, out: Pair) -> str:
    if out == (1, 1):
        return g("GlobalMaxPool", x)
    size = known(x.shape[2:], "adaptive_max_pool2d")
    if any(n % o for n, o in zip(size, out, strict=True)):
        raise NotImplementedError(f"onnx: adaptive_max_pool2d of {size} to {out}, uneven cells")
    kernel = [n // o for n, o in zip(size, out, strict=True)]
    return g("MaxPool", x, kernel_shape=kernel, strides=kernel)


@rule
def _interpolate(
    g: Graph,
    y: Value,
    x: Any,
    *,
    size: tuple[int, ...],
    scales: tuple[float | None, ...],
    mode: str,
    align: bool,
) -> str:
    before = known(x.shape[2:], "interpolate")
    given = zip(before, size, scales, strict=True)
    plain = all(f is None or o in (n, n * f) for n, o, f in given)
    if not mode.startswith("nearest") and (align or plain):
        where = "align_corners" if align else "half_pixel"
        axes, sizes = range(2, len(x.shape)), np.array(size, np.int64)
        return g(
            *("Resize", x, None, None, sizes),
            axes=list(axes),
            mode="linear",
            coordinate_transformation_mode=where,
        )
    # ONNX computes places in float32 from a size or a factor in float32, and so takes other pixels,
    # and of some factors makes other sizes. Indices leave it no choice.
    out: Operand = x
    for axis, (n, o, factor) in enumerate(zip(before, size, scales, strict=True), 2):
        i, j, t = _places(n, o, factor, mode, align, len(size) == 2)
        if n == o and (i == np.arange(n)).all():
            continue
        first = g("Gather", out, i, axis=axis)
        if j is not None:
            second = g("Gather", out, j, axis=axis)
            part = t.astype(y.dtype).reshape(-1, *(1,) * (len(x.shape) - 1 - axis))
            first = g("Add", g("Mul", first, 1 - part), g("Mul", second, part))
        out = first
    return g.name(out)
