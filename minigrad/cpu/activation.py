"""Activations on the CPU: one pass over memory, shared among the cores."""

from __future__ import annotations

import numpy as np

from ..device import Array
from ..ops.activation import Pair, _leaky_relu, _relu
from .compiled import kernels
from .elementwise import elementwise


@_relu.on("cpu")
def relu(x: Array) -> Pair:
    """Compiled kernels, or NumPy block by block."""
    fast = kernels("activation", x.dtype)
    y = elementwise(fast.relu if fast else lambda out, a: np.maximum(a, 0, out=out), x)
    if x.dtype.kind != "f":
        return y, lambda g, needs: (None,)
    return y, lambda g, needs: (elementwise(relu_gradient, y, g),)


def relu_gradient(out: Array, y: Array, g: Array) -> None:
    """Fill ``out`` with g where y ≠ 0, else 0; all flat."""
    fast = kernels("activation", g.dtype)
    if fast:
        fast.relu_gradient(out, y, g)
    else:
        out[...] = np.where(y != 0, g, g.dtype.type(0))


@_leaky_relu.on("cpu")
def leaky_relu(x: Array, *, slope: float) -> Pair:
    """NumPy, block by block."""

    def forward(out: Array, x: Array) -> None:
        np.multiply(x, np.where(x > 0, 1, slope), out=out)

    def gradient(out: Array, x: Array, g: Array) -> None:
        np.multiply(g, np.where(x > 0, g.dtype.type(1), g.dtype.type(slope)), out=out)

    return elementwise(forward, x), lambda g, needs: (elementwise(gradient, x, g),)
