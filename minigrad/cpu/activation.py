"""Activations on the CPU: one pass over memory, shared among the cores."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ..device import Array
from ..memory import empty
from ..ops import activation, arithmetic, piecewise, rounding, smooth
from ..ops import elementwise as functions
from ..ops.activation import Pair, _leaky_relu, _relu
from ..tape import Backward, Operation
from ..writes import takes
from .along import COST, along, pieces
from .compiled import kernels
from .elementwise import elementwise
from .threads import MIN_PARALLEL_SIZE, launch, parts_of

COMPILED = (
    *(activation._leaky_relu, functions._rsqrt, functions._nan_to_num, rounding._sign),
    *(piecewise._hardtanh, piecewise._hardsigmoid, piecewise._hardswish),
)
WITH_EXPONENTIALS = (
    *(activation._sigmoid, activation._tanh, activation._gelu, activation._gelu_tanh),
    *(arithmetic.exp, functions._erf, smooth._silu, smooth._mish, smooth._softplus),
    *(smooth._logsigmoid, smooth._elu),
)
# NumPy too has one pass for these, and is faster where threads do not help.
LARGE_ONES = (arithmetic.abs, arithmetic.sqrt, functions._square, functions._reciprocal)
# NumPy has a faster pass for these, but not memory from the pool.
VECTORISED = (arithmetic.exp, activation._tanh)
FEW = 1 << 12  # numbers, for which NumPy is done before a kernel of ReLU has begun
# The fewest numbers for which kernels run.
LEAST = dict.fromkeys(LARGE_ONES, MIN_PARALLEL_SIZE) | dict.fromkeys(VECTORISED, 1 << 14)


def register(operation: Operation) -> None:
    """Let the two kernels of :mod:`minigrad.cpu.kernels.activation` with the operation's name run
    it."""
    cost = COST if operation in WITH_EXPONENTIALS else 1

    @functools.cache
    def passes_of(dtype: np.dtype[Any]) -> Any:
        fast = kernels("activation", dtype)
        assert fast is not None  # see `when`
        return fast.passes(operation.name, dtype)

    def compiled(x: Array, **params: float) -> Pair:
        passes = passes_of(x.dtype)
        numbers = tuple([x.dtype.type(params[n]) for n in passes.options]) if params else ()
        y = elementwise(passes.value, x, options=(numbers,), cost=cost)
        kept = y if passes.keeps == "y" else x

        def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
            return (elementwise(passes.gradient, kept, g, options=(numbers,), cost=cost),)

        return y, backward

    def serves(x: Array, **_: Any) -> bool:
        return x.size >= LEAST.get(operation, 0) and kernels("activation", x.dtype) is not None

    compiled.__name__ = f"compiled_{operation.name}"
    operation.on("cpu", when=serves)(compiled)


for _operation in COMPILED + WITH_EXPONENTIALS + LARGE_ONES:
    register(_operation)


@_relu.on("cpu")
def relu(x: Array) -> Pair:
    """Compiled kernels, or NumPy block by block. NumPy begins sooner with few numbers."""
    fast = kernels("activation", x.dtype)
    if x.size < FEW:
        y = np.maximum(x, x.dtype.type(0), out=x if takes(x) else None)
    else:
        y = elementwise(fast.relu if fast else lambda out, a: np.maximum(a, 0, out=out), x)
    if x.dtype.kind != "f":
        return y, lambda g, needs: (None,)
    gradient = fast.relu_gradient if fast else _relu_gradient
    return y, lambda g, needs: (elementwise(gradient, y, g),)


def _relu_gradient(out: Array, y: Array, g: Array) -> None:
    out[...] = np.where(y != 0, g, g.dtype.type(0))


@_leaky_relu.on("cpu")
def leaky_relu(x: Array, *, slope: float) -> Pair:
    """NumPy, block by block."""

    def forward(out: Array, x: Array) -> None:
        np.multiply(x, np.where(x > 0, 1, slope), out=out)

    def gradient(out: Array, x: Array, g: Array) -> None:
        np.multiply(g, np.where(x > 0, g.dtype.type(1), g.dtype.type(slope)), out=out)

    return elementwise(forward, x), lambda g, needs: (elementwise(gradient, x, g),)


@piecewise._prelu.on(
    "cpu", when=lambda x, w: x.size > 0 and kernels("activation", x.dtype) is not None
)
def prelu(x: Array, w: Array) -> tuple[Array, Backward]:
    """One pass forward, and one backward for both gradients."""
    fast: Any = kernels("activation", x.dtype)
    slopes = w.reshape(-1)
    if w.size == 1:
        view, n, inner = along(x), 1, -(-x.size // len(pieces(x.size, x.size)))
        passes, options = fast.passes("leaky_relu", x.dtype), (slopes[0],)
        y = elementwise(passes.value, x, options=(options,))
    else:
        view = along(x, 1)
        n, inner, memory, flat = view.n, view.inner, view.flat(x), empty((x.size,), x.dtype)
        loops: Any = kernels("arithmetic", x.dtype)
        kernel, numbers = loops.loop("prelu"), (slopes, n, inner, view.outer)
        count = x.size // (n if inner == 1 else inner)
        launch(kernel, count, x.size, flat, memory, *numbers)
        y = view.array(flat)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array, Array]:
        arrays, out = (view.flat(x), view.flat(g)), empty((x.size,), x.dtype)
        rows = -(-x.size // (n if inner == 1 else inner))
        sums = np.zeros((parts_of(rows, x.size), n) if inner == 1 else (1, rows))
        parts = len(sums) if inner == 1 else None
        launch(fast.prelu_gradient, rows, x.size, out, sums, *arrays, slopes, n, inner, parts=parts)
        by_w = sums.reshape(-1, n).sum(axis=0).astype(w.dtype)
        return view.array(out), by_w.reshape(w.shape)

    return y, backward
