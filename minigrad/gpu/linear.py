"""Linear layers on a GPU by the matrix products of :mod:`minigrad.gpu.implicit_gemm`."""

from __future__ import annotations

from ..device import Array, get_xp
from ..layout import from_batch_last, to_batch_last
from ..memory import empty
from ..ops.linear import _linear
from ..tape import Backward, is_grad_enabled, keeping
from . import implicit_gemm as implicit


def _serves(x: Array, w: Array, b: Array | None) -> bool:
    return implicit.is_supported(x) and x.size > 0 and w.size > 0


@_linear.on("gpu", when=_serves)
def linear(x: Array, w: Array, b: Array | None) -> tuple[Array, Backward]:
    """Yᵀ = W Xᵀ + b, which keeps the batch innermost in memory."""
    xt = to_batch_last(x)
    wt = empty(w.shape[::-1], w.dtype, get_xp(x)) if is_grad_enabled() else None

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        gt = to_batch_last(g)
        gx = gw = gb = None
        if needs[0]:
            gx = from_batch_last(implicit.product(w.T if wt is None else wt, gt))
        if needs[1]:
            gw, gb = implicit.product_transposed(gt, xt, needs[2])
        elif needs[2]:
            gb = gt.sum(axis=1)
        return gx, gw, gb

    y = from_batch_last(implicit.product(w, xt, b, wt))
    return y, keeping(backward, from_batch_last(xt), w, b)
