"""Products of two matrices, and of stacks of them, that the cores share."""

from __future__ import annotations

import math

import numpy as np

from ..device import Array
from ..memory import empty
from ..ops.arithmetic import mul
from . import elementwise
from .compiled import kernels
from .elementwise import contiguous, matmul2d
from .threads import get_num_threads, launch, parallel, parts_of, split_range


def matrix_product(a: Array, b: Array) -> Array:
    """a @ b of two matrices."""
    if 1 in (a.size, b.size):
        x, number = (a, b.reshape(())) if b.size == 1 else (b, a.reshape(()))
        return elementwise.elementwise(lambda out, x: np.multiply(x, number, out=out), x)
    if a.shape[1] == 1:  # a column and a row, of which BLAS makes little
        outer: Array = mul.run(a, b)[0]
        return outer
    if len(a) == b.shape[1] == 1 and a.size >= elementwise.MIN_HELD_PRODUCT:
        return _dot(contiguous(a).reshape(-1), contiguous(b).reshape(-1))
    return matmul2d(a, b)


def _dot(a: Array, b: Array) -> Array:
    """The product of a row and a column, given as vectors."""
    fast = kernels("product", a.dtype)
    if fast is None:
        parts = split_range(a.size, get_num_threads(), align=16)
        sums = np.empty(len(parts), a.dtype)
        parallel(lambda i: np.dot(a[parts[i]], b[parts[i]], out=sums[i, ...]), len(parts))
    else:
        sums = np.zeros(parts_of(a.size, a.size))
        launch(fast.dot, a.size, a.size, sums, a, b, align=16, parts=len(sums))
    return sums.sum(dtype=a.dtype).reshape(1, 1)


def matrix_products(a: Array, b: Array) -> Array:
    """a @ b of stacks of matrices, the first axis shared among the cores."""
    a, b = _for_blas(a), _for_blas(b)
    beside = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    shape = (*beside, a.shape[-2], b.shape[-1])
    products = math.prod(shape) * a.shape[-1]
    if products < elementwise.MIN_HELD_PRODUCT or beside[0] == 1:
        return np.matmul(a, b)
    count = 4 * get_num_threads() if elementwise.is_shared(products, a, b) else 1
    y, parts = empty(shape, a.dtype), split_range(beside[0], count)

    def task(i: int) -> None:
        left, right = (x[parts[i]] if x.ndim == y.ndim and len(x) > 1 else x for x in (a, b))
        np.matmul(left, right, out=y[parts[i]])

    parallel(task, len(parts))
    return y


def _for_blas(a: Array) -> Array:
    """``a``, or a copy if rows and columns have gaps, which NumPy multiplies without BLAS."""
    return a if a.itemsize in a.strides[-2:] else contiguous(a)
