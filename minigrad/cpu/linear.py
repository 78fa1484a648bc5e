"""Matrix products on the CPU, shared among the cores
(:func:`minigrad.cpu.elementwise.matmul2d`)."""

from __future__ import annotations

from ..device import Array
from ..ops.linear import _linear, _matmul
from ..sums import total
from ..tape import Backward
from .elementwise import matmul2d


@_linear.on("cpu")
def linear(x: Array, w: Array, b: Array | None) -> tuple[Array, Backward]:
    """Yᵀ = W Xᵀ + b, which keeps the batch innermost in memory."""
    yt = matmul2d(w, x.T)
    if b is not None:
        yt += b[:, None]

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        return (
            matmul2d(w.T, g.T).T if needs[0] else None,
            matmul2d(g.T, x) if needs[1] else None,
            total(g, 0) if needs[2] else None,
        )

    return yt.T, backward


@_matmul.on("cpu", when=lambda a, b: a.ndim == b.ndim == 2)
def matmul(a: Array, b: Array) -> tuple[Array, Backward]:
    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        return (
            matmul2d(g, b.T) if needs[0] else None,
            matmul2d(a.T, g) if needs[1] else None,
        )

    return matmul2d(a, b), backward
