"""Activations on a GPU, which keep the memory order of their argument."""

from __future__ import annotations

from ..device import Array, get_xp
from ..ops.activation import Pair, _gelu, _leaky_relu, _relu, _sigmoid
from . import launch as cuda
from .elementwise import elementwise

THREADS = 256  # per block of activation.cu


def _run(kernel: str, *arrays: Array) -> Array:
    """The result of ``kernel`` of activation.cu for arrays of one shape."""
    xp = get_xp(arrays[0])

    def launch(out: Array, *arrays: Array) -> None:
        args = (*map(xp.ascontiguousarray, arrays), out.size, out)
        grid = cuda.blocks(out.size, THREADS)
        cuda.launch("activation", kernel, grid, THREADS, args, REAL=out.dtype)

    return elementwise(launch, *arrays)


@_relu.on("gpu")
def relu(x: Array) -> Pair:
    """Forward by CuPy; backward by one kernel, where CuPy would take three passes."""
    xp = get_xp(x)
    y = elementwise(lambda out, a: xp.maximum(a, 0, out=out), x)

    def gradient(out: Array, y: Array, g: Array) -> None:
        out[...] = xp.where(y != 0, g, g.dtype.type(0))

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        if cuda.usable(y):
            return (_run("relu_gradient", y, g),)
        return (elementwise(gradient, y, g),)

    return y, backward if x.dtype.kind == "f" else lambda g, needs: (None,)


@_sigmoid.on("gpu", when=cuda.serves)
def sigmoid(x: Array) -> Pair:
    """One launch each way, where CuPy would take four and three."""
    y = _run("sigmoid", x)
    return y, lambda g, needs: (_run("sigmoid_gradient", y, g),)


@_gelu.on("gpu", when=cuda.serves)
def gelu(x: Array) -> Pair:
    """One launch each way, where CuPy would take thirty for the error function alone."""
    return _run("gelu", x), lambda g, needs: (_run("gelu_gradient", x, g),)


@_leaky_relu.on("gpu")
def leaky_relu(x: Array, *, slope: float) -> Pair:
    """CuPy."""
    xp = get_xp(x)

    def forward(out: Array, x: Array) -> None:
        xp.multiply(x, xp.where(x > 0, 1, slope), out=out)

    def gradient(out: Array, x: Array, g: Array) -> None:
        xp.multiply(g, xp.where(x > 0, g.dtype.type(1), g.dtype.type(slope)), out=out)

    return elementwise(forward, x), lambda g, needs: (elementwise(gradient, x, g),)
