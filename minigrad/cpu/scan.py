"""Running sums and products on the CPU: compiled loops, in float64."""

from __future__ import annotations

import numpy as np

from ..device import Array
from ..memory import empty
from ..ops import scan
from ..ops.scan import Pair
from .along import Along, along
from .compiled import kernels
from .elementwise import elementwise
from .threads import launch

COST = 2  # how much longer a number takes here than in a plain pass
FEW = 1 << 10  # numbers; below, NumPy is as fast, and nothing has to be compiled


def _scan(view: Along, x: Array, product: bool = False, backwards: bool = False) -> Array:
    fast = kernels("scan", x.dtype)
    assert fast is not None  # see `when`
    flat, n, inner = view.flat(x), view.n, view.inner
    out, strips = empty((x.size,), x.dtype), view.outer * -(-inner // fast.WIDE)
    align = fast.ROWS if inner == 1 else 1
    launch(fast.scan, strips, COST * x.size, out, flat, n, inner, product, backwards, align=align)
    return view.array(out)


def _serves(x: Array, *, axis: int) -> bool:
    return x.size > FEW and kernels("scan", x.dtype) is not None


@scan._cumsum.on("cpu", when=_serves)
def cumsum(x: Array, *, axis: int) -> Pair:
    view = along(x, axis)
    return _scan(view, x), lambda g, needs: (_scan(view, g, backwards=True),)


@scan._cumprod.on("cpu", when=_serves)
def cumprod(x: Array, *, axis: int) -> Pair:
    """The gradient, if there is no zero: the sums from the end of g y, divided by x."""
    view = along(x, axis)
    y = _scan(view, x, product=True)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        if not x.all():
            slopes = scan._cumprod.definition(x, axis=axis)[1]
            return slopes(g, needs)
        weighted = elementwise(lambda out, y, g: np.multiply(y, g, out=out), y, g)
        sums = _scan(view, weighted, backwards=True)
        return (elementwise(lambda out, s, x: np.divide(s, x, out=out), sums, x),)

    return y, backward
