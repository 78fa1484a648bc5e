"""Dropout (Srivastava et al., JMLR 2014), scaled in training so that evaluation is the identity."""

from __future__ import annotations

import numpy as np

from .. import check, rng
from ..backend import Array, device_of, elementwise, get_xp, outer
from ..compiled import kernels
from ..tensor import Backward, Tensor, op


@op
def _dropout(x: Array, *, keep: Array, scale: float) -> tuple[Array, Backward]:
    """y = x k s with a mask k of zeros and ones and s = 1/(1 − p),  dL/dx = g k s."""
    xp = get_xp(x)
    fast = kernels("activation") if xp is np else None

    def task(out: Array, a: Array, k: Array) -> None:
        if fast:
            fast.masked(out, a, k, a.dtype.type(scale))
        else:
            xp.multiply(a, a.dtype.type(scale), out=out)
            out *= k

    def apply(a: Array) -> Array:
        return elementwise(task, a, keep)

    return apply(x), lambda g, needs: (apply(g),)


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """In training, zero each element with probability ``p`` and scale the others by 1 / (1 − p).

    The mask is the next draw of :func:`minigrad.manual_seed`'s sequence, drawn in memory order
    (batch innermost), and the same on every device.
    """
    check.unsupported("inplace", inplace, False)
    check.floating("input", check.tensor("input", input))
    p = check.number("p", p, 0, 1)
    if not training or p == 0:
        return input
    shape = (*input.shape[1:], *input.shape[:1])
    keep = rng.keep_mask(shape, p, device_of(input.data))
    return _dropout(
        input, keep=outer(keep) if shape else keep, scale=0.0 if p == 1 else 1 / (1 - p)
    )
