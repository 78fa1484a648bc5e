"""Matrix products on the CPU, shared among the cores
(:func:`minigrad.cpu.matrices.matmul2d`)."""

from __future__ import annotations

import math

import numpy as np

from .. import tape
from ..device import Array
from ..ops.conv import Window
from ..ops.linear import _linear, _matmul, takes_vectors
from ..sums import total
from ..tape import Backward
from . import conv_rows
from .elementwise import contiguous, to_batch_last
from .matrices import matmul2d, matrix_product, matrix_products

MOST_ROWS = 16  # of a linear layer, up to which this measured faster than BLAS
NARROW = 32  # results of a row, from which rows stay rows
MIN_WEIGHTS = 1 << 17  # numbers that a core's cache does not hold


def _few(x: Array, w: Array, b: Array | None) -> bool:
    """True if x has so few rows that w takes most of the time: BLAS copies it for its products."""
    if not 1 < len(x) <= MOST_ROWS or w.size < MIN_WEIGHTS:
        return False  # BLAS has a fast product with one row
    return conv_rows.is_supported(_pixels(x), _filters(w), (1, 1), 1)


def _pixels(x: Array) -> Array:
    """(N, C) as images (C, 1, 1, N)."""
    return to_batch_last(x)[:, None, None]


def _filters(w: Array) -> Array:
    return w[:, :, None, None]


@_linear.on("cpu", when=_few)
def linear_of_few(x: Array, w: Array, b: Array | None) -> tuple[Array, Backward]:
    """A convolution: each row of x is a pixel, and w has filters of one."""
    images, filters, options = _pixels(x), _filters(w), ((0, 0), Window((1, 1)), 1)
    y = conv_rows.correlate(images, filters, b, *options)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        gy = _pixels(g)
        gx = gw = None
        if needs[0]:
            gx = conv_rows.input_gradient(gy, filters, (1, 1), *options)[:, 0, 0].T
        if needs[1]:
            gw = conv_rows.weight_gradient(images, gy, filters.shape, *options).reshape(w.shape)
        return gx, gw, total(g, 0) if needs[2] else None

    return y[:, 0, 0].T, backward


@_linear.on("cpu")
def linear(x: Array, w: Array, b: Array | None) -> tuple[Array, Backward]:
    """Yᵀ = W Xᵀ + b, which keeps the batch innermost in memory; of many rows in C order, such as
    tokens, Y = X Wᵀ + b, in C order too."""
    plain = x.flags.c_contiguous and not x.flags.f_contiguous
    in_rows = len(x) >= len(w) >= NARROW and plain
    if in_rows:
        y = matmul2d(x, w.T, shift=None if b is None else b[None])
    elif plain and len(w) < NARROW <= len(x):  # BLAS prefers the long side first
        y = np.asarray(matmul2d(x, w.T, shift=None if b is None else b[None]), order="F")
    else:
        y = matmul2d(w, x.T, shift=None if b is None else b[:, None]).T

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        gx = gw = None
        if needs[0]:
            rows = in_rows and g.flags.c_contiguous
            gx = matmul2d(g, w) if rows else matmul2d(w.T, g.T).T
        if needs[1]:
            gw = matrix_product(g.T, x)
        return gx, gw, tape.add_along.run(g, (0,)).reshape(-1) if needs[2] else None

    return y, backward


@_matmul.on("cpu", when=lambda a, b: a.ndim == b.ndim == 2)
def matmul(a: Array, b: Array) -> tuple[Array, Backward]:
    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        return (
            matrix_product(g, b.T) if needs[0] else None,
            matrix_product(a.T, g) if needs[1] else None,
        )

    return matrix_product(a, b), backward


@_matmul.on("cpu", when=lambda a, b: a.ndim > b.ndim == 2)
def matmul_by_one(a: Array, b: Array) -> tuple[Array, Backward]:
    """Many matrices by one are a tall matrix by it."""
    y, slopes = matmul(_tall(a), b)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        by_a, by_b = slopes(_tall(g), needs)
        return None if by_a is None else by_a.reshape(a.shape), by_b

    return y.reshape(*a.shape[:-1], b.shape[1]), backward


def _tall(a: Array) -> Array:
    return contiguous(a).reshape(math.prod(a.shape[:-1]), a.shape[-1])


@_matmul.on("cpu", when=lambda a, b: a.ndim > 2 and b.ndim > 2)
def matmul_of_many(a: Array, b: Array) -> tuple[Array, Backward]:
    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        return (
            matrix_products(g, b.swapaxes(-1, -2)) if needs[0] else None,
            matrix_products(a.swapaxes(-1, -2), g) if needs[1] else None,
        )

    return matrix_products(a, b), backward


@_matmul.on("cpu", when=lambda a, b: a.ndim == 1 or b.ndim == 1)
@takes_vectors
def matmul_of_vector(a: Array, b: Array) -> tuple[Array, Backward]:
    product: tuple[Array, Backward] = _matmul.run(a, b)
    return product
