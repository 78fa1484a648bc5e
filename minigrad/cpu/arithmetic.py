"""Arithmetic on the CPU: large arrays in blocks that the cores share."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import tape, writes
from ..device import Array
from ..layout import memory_order
from ..memory import MIN_POOLED_BYTES, empty
from ..ops import arithmetic
from ..ops import elementwise as functions
from ..ops.arithmetic import Pair, are_floats, check_broadcast
from . import elementwise, matrices
from .along import Along
from .compiled import kernels
from .copy import copied
from .threads import GRAIN, launch, parallel, split_range

LARGE = 2 * GRAIN
NUMBERS = int, float
FEW = 1 << 12  # numbers, for which NumPy is done before a kernel has begun
SHORT = 64  # numbers of a row, below which several rows become one
# The kernel in which the second operand repeats, and that in which the first does.
KERNELS: dict[np.ufunc, tuple[str, str]] = {
    np.add: ("add", "add"),
    np.subtract: ("subtract", "subtract_from"),
    np.multiply: ("multiply", "multiply"),
    np.divide: ("divide", "divide_by"),
}


def _apply(ufunc: np.ufunc, a: Any, b: Any) -> Array:
    if type(a) in NUMBERS:
        return _with_one(ufunc, KERNELS[ufunc][1], b, a)
    if a.nbytes < MIN_POOLED_BYTES and (type(b) in NUMBERS or a.shape == b.shape):
        return ufunc(a, b, a if writes.takes(a) else None)
    if type(b) in NUMBERS:
        return _with_one(ufunc, KERNELS[ufunc][0], a, b)
    if a.size * b.size <= FEW:
        return ufunc(a, b)
    if b.size == 1 and b.ndim <= a.ndim:
        return _with_one(ufunc, KERNELS[ufunc][0], a, b.reshape(()))
    if a.shape == b.shape:
        return _elementwise(ufunc, KERNELS[ufunc][0], a, b)
    fast = kernels("arithmetic", a.dtype)
    if fast is not None and _is_outer(a, b):
        return _of_columns_and_rows(fast.loop(KERNELS[ufunc][1]), a, b)
    if fast is not None and max(a.size, b.size) >= FEW:
        for x, v, name in zip((a, b), (b, a), KERNELS[ufunc], strict=True):
            if (found := _layout(x, v)) is not None:
                return _with_repeated(fast.loop(name), *found, x, v, x is a)
    return elementwise.elementwise(lambda out, a, b: ufunc(a, b, out=out), a, b)


def _elementwise(ufunc: np.ufunc, name: str, *arrays: Array) -> Array:
    """``ufunc`` of arrays of one shape, by the kernel ``name`` where threads help."""
    fast = kernels("activation", arrays[0].dtype) if arrays[0].size >= LARGE else None
    if fast is None:
        return elementwise.elementwise(lambda out, *parts: ufunc(*parts, out=out), *arrays)
    kernel = fast.blend(name, len(arrays), arrays[0].dtype)
    return elementwise.elementwise(kernel, *arrays, options=((),))


def _with_one(ufunc: np.ufunc, name: str, x: Array, number: Any) -> Array:
    """``ufunc`` of x and a number, in the order of the kernel ``name``."""
    fast = kernels("activation", x.dtype) if x.size >= LARGE else None
    if fast is not None:
        options = ((x.dtype.type(number),),)
        return elementwise.elementwise(fast.blend(name, 1, x.dtype), x, options=options)
    if name == KERNELS[ufunc][0]:
        return elementwise.elementwise(lambda out, x: ufunc(x, number, out=out), x)
    return elementwise.elementwise(lambda out, x: ufunc(number, x, out=out), x)


def _checked(name: str, ufunc: np.ufunc, a: Any, b: Any) -> Array:
    """The result of the operation ``name``, whose operands must broadcast."""
    check_broadcast(name, a, b)
    return _apply(ufunc, a, b)


def _negative(x: Array) -> Array:
    return -x if x.size < LARGE else _elementwise(np.negative, "negative", x)


def _layout(x: Array, v: Array) -> tuple[Along, int] | None:
    """How x lies in memory along the axes of v, if v repeats over the others, and those of v are
    side by side: see :func:`minigrad.cpu.kernels.arithmetic.loop`."""
    if v.ndim > x.ndim:
        return None
    sizes = (1,) * (x.ndim - v.ndim) + v.shape
    return _repeating(x.shape, tuple(memory_order(x)), sizes)


@functools.lru_cache(maxsize=1024)  # the same few shapes in every training step
def _repeating(
    shape: tuple[int, ...], order: tuple[int, ...], sizes: tuple[int, ...]
) -> tuple[Along, int] | None:
    """The layout of rows, and for how many a row of v stays the same; the rows of v may belong to
    other axes than those innermost in memory."""
    axes = tuple(i for i in order if sizes[i] != 1)
    if not axes or any(sizes[i] != shape[i] for i in axes):
        return None
    layout = Along(shape, order, axes)
    if tuple(layout.order) == order:
        return layout, layout.outer
    inner = len(order) - next(k for k, i in enumerate(reversed(order)) if sizes[i] == 1)
    outer = next(k for k in range(inner, 0, -1) if sizes[order[k - 1]] != 1)
    begin = outer - len(axes) + len(order) - inner
    if inner == len(order) or axes != (*order[begin:outer], *order[inner:]):
        return None
    return Along(shape, order, order[inner:]), math.prod(shape[i] for i in order[outer:inner])


def _with_repeated(
    kernel: Callable[..., None], layout: Along, repeat: int, x: Array, v: Array, is_first: bool
) -> Array:
    """The result of x, which may be the first operand, and of numbers v that repeat as in
    ``layout``."""
    flat, dense = layout.flat(x), x.transpose(layout.order).flags.c_contiguous
    here = is_first and dense and writes.takes(x)
    y = flat if here else empty((layout.size,), x.dtype)
    axes = [i - x.ndim + v.ndim for i in layout.order if i >= x.ndim - v.ndim]
    numbers = np.ascontiguousarray(v.transpose(axes)).reshape(-1)
    n, inner = layout.n, layout.inner
    rows = layout.outer * (1 if inner == 1 else n)
    if inner == 1 and len(numbers) == n < SHORT:  # as one for each of a few images
        several = math.gcd(rows, SHORT)
        numbers, n, rows = np.tile(numbers, several), n * several, rows // several
        repeat = rows
    launch(kernel, rows, layout.size, y, flat, numbers, n, inner, repeat)
    return layout.array(y)


def _is_outer(a: Any, b: Any) -> bool:
    """Whether a is a column and b a row: each number of a meets every number of b."""
    dims = getattr(a, "ndim", 0), getattr(b, "ndim", 0)
    if dims not in ((2, 1), (2, 2)) or a.shape[1] != 1:
        return False
    return len(a) > 1 and bool(b.size == b.shape[-1])


def _of_columns_and_rows(kernel: Callable[..., None], a: Array, b: Array) -> Array:
    """The result of a column and a row, which ``kernel`` takes in the other order."""
    (n, inner), y = (a.size, b.size), empty((a.size, b.size), a.dtype)
    row, column = (np.ascontiguousarray(x.reshape(-1)) for x in (b, a))
    launch(kernel, n, y.size, y.reshape(-1), row, column, n, inner, 1)
    return y


def _with_number(a: Any, b: Any) -> bool:
    """Whether one operand is a floating array and the other a number, and threads help."""
    x, number = (b, a) if type(a) in NUMBERS else (a, b)
    return type(number) in NUMBERS and getattr(x, "size", 0) >= LARGE and x.dtype.kind == "f"


def _are_floats(a: Any, b: Any) -> bool:
    if type(b) in NUMBERS:
        return hasattr(a, "dtype") and a.dtype.kind == "f"
    return are_floats(a, b) or _with_number(a, b)


def _large_floats(a: Any, b: Any) -> bool:
    """Whether threads help: NumPy's own loop is faster for fewer."""
    return _with_number(a, b) or (are_floats(a, b) and max(a.size, b.size) >= LARGE)


@arithmetic.neg.on("cpu", when=lambda x: x.size >= LARGE and x.dtype.kind == "f")
def neg(x: Array) -> Pair:
    return _negative(x), lambda g, needs: (_negative(g),)


@arithmetic.add.on("cpu", when=_are_floats)
def add(a: Any, b: Any) -> Pair:
    return _checked("add", np.add, a, b), lambda g, needs: (g, g)


@arithmetic.sub.on("cpu", when=_are_floats)
def sub(a: Any, b: Any) -> Pair:
    y = _checked("sub", np.subtract, a, b)
    return y, lambda g, needs: (g, _negative(g) if needs[1] else None)


@arithmetic.mul.on("cpu", when=_are_floats)
def mul(a: Any, b: Any) -> Pair:

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        if g.dtype != np.float16 and _is_outer(a, b):
            row = b.reshape(-1, 1)  # the sums of products are products of matrices
            return (
                matrices.matmul2d(g, row) if needs[0] else None,
                matrices.matmul2d(a.T, g) if needs[1] else None,
            )
        return (
            _apply(np.multiply, g, b) if needs[0] else None,
            _apply(np.multiply, g, a) if needs[1] else None,
        )

    return _checked("mul", np.multiply, a, b), backward


@arithmetic.div.on("cpu", when=_large_floats)
def div(a: Any, b: Any) -> Pair:
    y = _checked("div", np.divide, a, b)

    def of_divisor(out: Array, g: Array, y: Array, b: Array) -> None:
        np.divide(y, b, out=out)
        np.multiply(out, g, out=out)
        np.negative(out, out=out)

    def by_b(g: Array) -> Array:
        if b.shape == y.shape or g.dtype == np.float16:  # whose small products lose digits
            return elementwise.elementwise(of_divisor, g, y, b)
        return -tape.unbroadcast(_apply(np.multiply, g, y), b.shape) / b  # of fewer numbers

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        return _apply(np.divide, g, b) if needs[0] else None, by_b(g) if needs[1] else None

    return y, backward


# The square root's slope is ∞ or NaN where PyTorch's power's is.
POWERS = {2: functions._square, 0.5: arithmetic.sqrt}


@arithmetic._pow.on("cpu", when=lambda x, *, exponent: exponent in POWERS and x.dtype.kind == "f")
def power(x: Array, *, exponent: float) -> Pair:
    y, backward = POWERS[exponent].run(x)
    # The square root keeps its result, of which x is the square.
    return y, backward if exponent == 2 else tape.keeping(backward, lambda: y * y)


def _large(a: Array, b: Array) -> bool:
    return a.size > elementwise.BLOCK


@tape.add.on("cpu", when=_large)
def add_gradients(a: Array, b: Array) -> Array:
    """The result has the memory order of ``a``."""
    return _apply(np.add, a, b)


@tape.add_into.on("cpu", when=_large)
def add_into(a: Array, b: Array) -> None:
    """``a`` may be a view of any strides."""
    order = memory_order(a)
    a, b = a.transpose(order), b.transpose(order)
    parts = split_range(len(a), -(-a.size // elementwise.BLOCK))
    parallel(lambda i: np.add(a[parts[i]], b[parts[i]], out=a[parts[i]]), len(parts), a.size)


@tape.copy.on("cpu", when=lambda g: g.size >= LARGE)
def copy_gradient(g: Array) -> Array:
    """In the memory order of ``g``, or C order if it repeats numbers."""
    return copied(g, None if 0 in g.strides else memory_order(g))
