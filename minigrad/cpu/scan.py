"""Running sums and products on the CPU: compiled loops, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..device import Array
from ..ops import scan
from ..ops.scan import Pair
from .compiled import kernels
from .elementwise import elementwise
from .middle import Middle

FEW = 1 << 10  # numbers; below, NumPy is as fast, and nothing has to be compiled


class _Scan(Middle):
    def __init__(self, x: Array, axis: int) -> None:
        super().__init__(x, axis)
        self.fast: Any = kernels("scan", x.dtype)

    def run(self, x: Array, product: bool = False, backwards: bool = False) -> Array:
        flat, (n, inner), run = self.flat(x), (self.n, self.inner), self.fast.scan
        return self.filled(
            n,
            self.outer * -(-inner // self.fast.WIDE),
            lambda out, *part: run(out, flat, n, inner, product, backwards, *part),
        )


def _serves(x: Array, *, axis: int) -> bool:
    return x.size > FEW and kernels("scan", x.dtype) is not None


@scan._cumsum.on("cpu", when=_serves)
def cumsum(x: Array, *, axis: int) -> Pair:
    sums = _Scan(x, axis)
    return sums.run(x), lambda g, needs: (sums.run(g, backwards=True),)


@scan._cumprod.on("cpu", when=_serves)
def cumprod(x: Array, *, axis: int) -> Pair:
    """The gradient, if there is no zero: the sums from the end of g y, divided by x."""
    scans = _Scan(x, axis)
    y = scans.run(x, product=True)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        if not x.all():
            slopes = scan._cumprod.definition(x, axis=axis)[1]
            return slopes(g, needs)
        weighted = elementwise(lambda out, y, g: np.multiply(y, g, out=out), y, g)
        sums = scans.run(weighted, backwards=True)
        return (elementwise(lambda out, s, x: np.divide(s, x, out=out), sums, x),)

    return y, backward
