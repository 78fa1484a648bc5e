"""Convolution at stride 1 straight from the image, for layers of few channels.

im2col copies KH·KW times the image, and a matrix product of few rows cannot make up for it. In
batch-innermost memory a row of outputs and everything that one weight multiplies for it are
contiguous runs, so the sums of :func:`minigrad.ops.conv.correlate` can be taken where the image
lies. The loops are compiled (:mod:`minigrad.kernels.direct`).
"""

from __future__ import annotations

from types import ModuleType

import numpy as np

from ..backend import Array, empty, get_num_threads, parallel, spans
from ..compiled import kernels

Pair = tuple[int, int]

FORWARD, BACKWARD = 16, 32  # channels: in `correlate`, in `weight_gradient`


def suits(x: Array, w_shape: tuple[int, ...], stride: Pair, groups: int, few: int) -> bool:
    """True if this file's way is there, and x (C, H, W, N) or the output has ``few`` channels:
    FORWARD or BACKWARD, up to where it measured faster than matrix products."""
    if not isinstance(x, np.ndarray) or stride != (1, 1) or groups != 1 or x.shape[3] < 4:
        return False
    return min(w_shape[0], w_shape[1]) <= few and kernels("direct", x.dtype) is not None


def _compiled(x: Array) -> ModuleType:
    module = kernels("direct", x.dtype)
    assert module is not None  # see `suits`
    return module


def _offsets(x: Array, kernel: tuple[int, ...], dilation: Pair) -> Array:
    """Where each tap (c, kh, kw) reads for the first output, counted in elements of flat x."""
    c, h, w, n = x.shape
    places = np.arange(x.size // n).reshape(c, h, w) * n
    (kh, kw), (dh, dw) = kernel, dilation
    return places[:, : dh * kh : dh, : dw * kw : dw].reshape(-1)


def correlate(x: Array, w: Array, b: Array | None, dilation: Pair, size: Pair) -> Array:
    """As :func:`minigrad.ops.conv.correlate` at stride 1, for an output of ``size`` (OH, OW)."""
    compiled = _compiled(x)
    wide, n = x.shape[2:]
    o, (oh, ow) = len(w), size
    offsets, bias = _offsets(x, w.shape[2:], dilation), np.zeros(0, x.dtype) if b is None else b
    y = empty((o, oh, ow, n), x.dtype)
    rows = spans(oh, 4 * get_num_threads())
    flat = x.reshape(-1), wide * n, offsets, np.ascontiguousarray(w).reshape(-1), bias, o, oh

    def task(i: int) -> None:
        compiled.correlate(*flat, ow * n, rows[i].start, rows[i].stop, y.reshape(-1))

    parallel(task, len(rows))
    return y


def weight_gradient(x: Array, g: Array, shape: tuple[int, ...], dilation: Pair) -> Array:
    """As :func:`minigrad.ops.conv.weight_gradient` at stride 1. Every thread adds up rows of its
    own, so the rounding is the same from run to run."""
    compiled = _compiled(x)
    wide, n = x.shape[2:]
    o, oh, ow = g.shape[:3]
    offsets = _offsets(x, shape[2:], dilation)
    rows = spans(oh, get_num_threads())
    sums = np.zeros((len(rows), o * len(offsets)), x.dtype)

    def task(i: int) -> None:
        first, last = rows[i].start, rows[i].stop
        flat = x.reshape(-1), wide * n, offsets, g.reshape(-1), o, oh, ow * n
        compiled.weight_gradient(*flat, first, last, sums[i])

    parallel(task, len(rows))
    return sums.sum(axis=0).reshape(shape)
