"""Activations on a GPU, which keep the memory order of their argument."""

from __future__ import annotations

from ..device import Array, get_xp
from ..ops.activation import Pair, _leaky_relu, _relu
from . import launch as cuda
from .elementwise import elementwise

THREADS = 256  # per block of activation.cu


@_relu.on("gpu")
def relu(x: Array) -> Pair:
    """Forward by CuPy; backward by one kernel, where CuPy would take three passes."""
    xp = get_xp(x)
    y = elementwise(lambda out, a: xp.maximum(a, 0, out=out), x)

    def gradient(out: Array, y: Array, g: Array) -> None:
        if cuda.usable(y):
            y, g = xp.ascontiguousarray(y), xp.ascontiguousarray(g)
            grid, args = cuda.blocks(y.size, THREADS), (y, g, y.size, out)
            cuda.launch("activation", "relu_gradient", grid, THREADS, args, REAL=y.dtype)
        else:
            out[...] = xp.where(y != 0, g, g.dtype.type(0))

    if x.dtype.kind != "f":
        return y, lambda g, needs: (None,)
    return y, lambda g, needs: (elementwise(gradient, y, g),)


@_leaky_relu.on("gpu")
def leaky_relu(x: Array, *, slope: float) -> Pair:
    """CuPy."""
    xp = get_xp(x)

    def forward(out: Array, x: Array) -> None:
        xp.multiply(x, xp.where(x > 0, 1, slope), out=out)

    def gradient(out: Array, x: Array, g: Array) -> None:
        xp.multiply(g, xp.where(x > 0, g.dtype.type(1), g.dtype.type(slope)), out=out)

    return elementwise(forward, x), lambda g, needs: (elementwise(gradient, x, g),)
