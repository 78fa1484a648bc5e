"""Linear layers on a GPU by the matrix products of :mod:`minigrad.gpu.implicit_gemm`."""

from __future__ import annotations

from ..device import Array
from ..layout import from_batch_last, to_batch_last
from ..ops.linear import _linear
from ..tape import Backward, keeping
from . import implicit_gemm as implicit


def _serves(x: Array, w: Array, b: Array | None) -> bool:
    return implicit.is_supported(x) and x.size > 0 and w.size > 0


@_linear.on("gpu", when=_serves)
def linear(x: Array, w: Array, b: Array | None) -> tuple[Array, Backward]:
    """Yᵀ = W Xᵀ + b, which keeps the batch innermost in memory."""
    xt = to_batch_last(x)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        gt = to_batch_last(g)
        return (
            from_batch_last(implicit.product(w.T, gt)) if needs[0] else None,
            implicit.product_transposed(gt, xt) if needs[1] else None,
            gt.sum(axis=1) if needs[2] else None,
        )

    y = from_batch_last(implicit.product(w, xt, b))
    return y, keeping(backward, from_batch_last(xt), w, b)
