"""Products of two matrices, and of stacks of them, that the cores share.

Matrices that a core's cache holds, and long ones by small ones, are multiplied by
:mod:`minigrad.cpu.kernels.matrices`, larger and tiny ones by NumPy's BLAS. Both take transposed
views without a copy. Inside :func:`~minigrad.cpu.threads.parallel` a product is done on the task's
thread.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from ..device import Array
from ..layout import broadcast_shapes
from ..memory import empty
from ..ops.arithmetic import mul
from . import elementwise
from .caches import second_level_bytes
from .compiled import kernels
from .elementwise import contiguous
from .threads import Scratch, get_num_threads, launch, parallel, parts_of, split_range

# Multiply-adds. Fewer than these take some 5 µs, as much as it takes to hold BLAS to one thread,
MIN_HELD_PRODUCT = (1 << 18) + 1
MIN_SHARED_PRODUCT = 3 << 20  # and fewer than these are done when another thread could begin.
READ = 8  # multiply-adds in the time in which a core reads a number
MIN_IN_CACHE = 1 << 20  # fewer than these are done by BLAS when a kernel could begin
MIN_BY_VECTOR = 1 << 18  # and of products with a vector fewer than these
SMALL = 1 << 16  # bytes of a matrix, with which the other one may be of any length
ALIGN = 32  # of a thread's rows or columns: a multiple of those that a kernel sums together
NARROW = 32  # rows or columns of a result, below which BLAS measured faster


def matrix_product(a: Array, b: Array) -> Array:
    """a @ b of two matrices."""
    if 1 in (a.size, b.size):
        x, number = (a, b.reshape(())) if b.size == 1 else (b, a.reshape(()))
        return elementwise.elementwise(lambda out, x: np.multiply(x, number, out=out), x)
    if a.shape[1] == 1:  # a column and a row, of which BLAS makes little
        outer: Array = mul.run(a, b)[0]
        return outer
    if len(a) == b.shape[1] == 1 and a.size >= MIN_HELD_PRODUCT:
        return _dot(contiguous(a).reshape(-1), contiguous(b).reshape(-1))
    if b.shape[1] == 1 and _takes_vector(a):
        return _by_vector(a, contiguous(b).reshape(-1))[:, None]
    if len(a) == 1 and _takes_vector(b.T):
        return _by_vector(b.T, contiguous(a).reshape(-1))[None]
    return matmul2d(a, b)


def _takes_vector(a: Array) -> bool:
    """Whether :func:`_by_vector` serves a, and measured faster than BLAS."""
    many = a.flags.c_contiguous and a.size >= MIN_BY_VECTOR
    return many and kernels("product", a.dtype) is not None


def _by_vector(a: Array, x: Array) -> Array:
    """a @ x of a matrix in C order and a vector."""
    fast: Any = kernels("product", a.dtype)
    y = empty((len(a),), a.dtype)
    launch(fast.by_vector, y.size, a.size, y, a.reshape(-1), x)
    return y


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


def matmul2d(
    a: Array,
    b: Array,
    shift: Array | None = None,
    alpha: float = 1.0,
    beta: float = 1.0,
) -> Array:
    """alpha a @ b + beta ``shift``, in C order: (M, K) @ (K, N) -> (M, N), which ``shift``, if
    there is one, broadcasts to."""
    if a.size * b.shape[1] < MIN_HELD_PRODUCT:
        # np.dot takes half of np.matmul's time to begin. For it 0 times NaN is 0 if one matrix is a
        # single number.
        y: Array = np.dot(a, b) if a.size > 1 and b.size > 1 else np.matmul(a, b)
        _complete(y, alpha, shift, beta)
        return y
    return matrix_products(a, b, shift, alpha, beta)


def matrix_products(
    a: Array, b: Array, shift: Array | None = None, alpha: float = 1.0, beta: float = 1.0
) -> Array:
    """:func:`matmul2d` of stacks of matrices, whose leading sizes broadcast."""
    beside = broadcast_shapes(a.shape[:-2], b.shape[:-2])
    shape = (*beside, a.shape[-2], b.shape[-1])
    a, b = _for_blas(a), _for_blas(b)
    if math.prod(shape) * a.shape[-1] < MIN_HELD_PRODUCT:
        y: Array = np.matmul(a, b)
        _complete(y, alpha, shift, beta)
    else:
        y = empty(shape, a.dtype)
        shift = None if shift is None else np.broadcast_to(shift, shape)
        multiply = _multiply_in_cache if _fits_in_cache(a, b, y) else _multiply
        multiply(a, b, y, shift, alpha, beta)
    return y


def _complete(y: Array, alpha: float, shift: Array | None, beta: float) -> None:
    """Turn a product into alpha times it, plus beta ``shift``."""
    if alpha != 1:
        y *= y.dtype.type(alpha)
    if shift is not None:
        y += shift if beta == 1 else shift * y.dtype.type(beta)


def _for_blas(a: Array) -> Array:
    """``a``, or a copy if rows and columns have gaps, which NumPy multiplies without BLAS."""
    return a if a.itemsize in a.strides[-2:] else contiguous(a)


def _fits_in_cache(a: Array, b: Array, y: Array) -> bool:
    """Whether a kernel serves y = a b, and measured faster than BLAS."""
    (m, n), depth = y.shape[-2:], a.shape[-1]
    if min(m, n) < NARROW or y.size * depth < MIN_IN_CACHE:
        return False
    fast = kernels("matrices", y.dtype)
    if fast is None or not fast.BEATS_BLAS:
        return False
    small, all_three = min(m, n) * depth, m * depth + depth * n + m * n
    return small * y.itemsize <= SMALL or all_three * y.itemsize <= second_level_bytes()


@functools.lru_cache(maxsize=1024)  # the same few in every training step
def steps_of(sizes: tuple[int, ...], strides: tuple[int, ...], beside: tuple[int, ...]) -> Array:
    """Where the matrices of a stack begin, in the unit of ``strides``. Its leading ``sizes``
    broadcast to ``beside``."""
    found = np.zeros((), np.int64)
    for count, step in zip(sizes, strides, strict=True):
        found = found[..., None] + np.arange(count) * step
    return np.broadcast_to(found, beside).reshape(-1)


def address_of(x: Array) -> int:
    address: int = x.__array_interface__["data"][0]
    return address


@functools.lru_cache(maxsize=1024)
def _plan(
    shape: tuple[int, ...],
    depth: int,
    itemsize: int,
    threads: int,
    *given: tuple[tuple[int, ...], ...],
) -> tuple[Array, Array, int]:
    """Where the matrices of a, b, y and what is added begin, of which ``given`` are the shapes and
    strides; how they lie, as :func:`minigrad.cpu.kernels.matrices.multiply` takes it; and how many
    blocks there are."""
    *beside, m, n = shape
    steps = [steps_of(sizes[:-2], strides[:-2], tuple(beside)) for sizes, strides in given]
    # Blocks are parts of the longer of a matrix's rows and columns, as many for each thread.
    many, count = max(m, n), math.prod(beside)
    share = many if count >= threads else -(-many // threads)
    few = min(m, n)  # all of which meet as many of the others as fit a core's cache with them
    fitting = (second_level_bytes() // itemsize - depth * few) // (depth + few)
    pieces = -(-share // max(ALIGN, fitting))
    part = -(-share // (pieces * ALIGN)) * ALIGN
    height, width = (part, n) if m >= n else (m, part)
    blocks = count * -(-many // part)
    apart = [step // itemsize for _, strides in given for step in strides[-2:]]
    layout = [m, n, depth, height, width, *apart]
    return np.stack(steps, axis=1), np.array(layout, np.int64), blocks


def _multiply_in_cache(
    a: Array, b: Array, y: Array, shift: Array | None, alpha: float, beta: float
) -> None:
    """:func:`_multiply` by a kernel."""
    fast: Any = kernels("matrices", y.dtype)
    given, depth = (a, b, y) if shift is None else (a, b, y, shift), a.shape[-1]
    lies = ((x.shape, x.strides) for x in given)
    steps, layout, blocks = _plan(y.shape, depth, y.itemsize, get_num_threads(), *lies)
    launch(
        fast.multiply,
        blocks,
        y.size * depth // READ,
        tuple(map(address_of, (a, b, y, y if shift is None else shift))),
        steps,
        layout,
        y.dtype.type(alpha),
        y.dtype.type(beta),
        Scratch("product", fast.scratch_size(y.itemsize), y.dtype),
    )


def _multiply(a: Array, b: Array, y: Array, shift: Array | None, alpha: float, beta: float) -> None:
    """y = alpha a @ b + beta ``shift``, which has the shape of y, of two matrices or of stacks."""
    stacked, (m, n), threads = y.ndim > 2, y.shape[-2:], get_num_threads()
    if stacked and len(y) == 1:
        a, b = (x[0] if x.ndim == y.ndim else x for x in (a, b))
        _multiply(a, b, y[0], None if shift is None else shift[0], alpha, beta)
        return
    shared = y.size * a.shape[-1] + READ * (a.size + b.size) >= MIN_SHARED_PRODUCT
    count = (4 * threads if stacked else threads) if shared else 1
    if shift is not None:  # is added while a part is in a cache
        count *= -(-y.size // (count * elementwise.BLOCK))
    # Of two matrices, the longer of rows and columns is shared.
    by_columns, every = not stacked and m < n, slice(None)
    length = len(y) if stacked else max(m, n)
    parts = split_range(length, count, align=1 if stacked else 16)

    def task(i: int) -> None:
        part, left, right = parts[i], a, b
        here = (every, part) if by_columns else part
        if stacked:
            left, right = (x[part] if x.ndim == y.ndim and len(x) > 1 else x for x in (a, b))
        elif by_columns:
            right = b[:, part]
        else:
            left = a[part]
        np.matmul(left, right, out=y[here])
        _complete(y[here], alpha, None if shift is None else shift[here], beta)

    parallel(task, len(parts))
