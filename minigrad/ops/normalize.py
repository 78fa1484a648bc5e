"""Normalisation of vectors to length 1."""

from __future__ import annotations

import math
from typing import Any

from .. import check
from ..device import Array, get_xp
from ..options import lacks
from ..sums import in_float32, total
from ..tape import Backward, Rerun, op
from ..tensor import Tensor


@op(twice=Rerun("x"))
@in_float32
def _normalize(x: Array, *, p: float, axes: tuple[int, ...], eps: float) -> tuple[Array, Backward]:
    """y = x / max(n, ε) with n = (Σ |x|ᵖ)^(1/p), the largest |x| for p = ∞::

        dL/dx = (g − (Σ g y) dn/dx) / n,   dn/dx = sign(x) (|x| / n)^(p−1)

    and g / ε where n is below ε. For p = ∞ the largest elements share dn/dx equally; for p < 1 that
    of an element 0, which is infinite, counts as 0.
    """
    xp, size = get_xp(x), get_xp(x).abs(x)
    if p == math.inf:
        n = size.max(axis=axes, keepdims=True)
    else:
        sums = total(x * x if p == 2 else size**p, axes, True)
        none = sums == 0  # where the root has no slope
        root = xp.where(none, x.dtype.type(1), sums)
        n = xp.where(none, sums, xp.sqrt(root) if p == 2 else root ** (1 / p))
    scale = xp.maximum(n, x.dtype.type(eps))
    y = x / scale

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        if p == math.inf:
            hit = size == n
            slope = xp.sign(x) * hit / total(hit.astype(x.dtype), axes, True)
        elif p == 2:
            slope = y
        else:
            slope = xp.sign(x) * (size / scale) ** (p - 1)
            slope = xp.where(x == 0, x, slope) if p < 1 else slope  # not 0 · ∞
        along = total(g * y, axes, True) * (n >= eps)
        return ((g - along * slope) / scale,)

    return y, backward


@lacks("out")
def normalize(input: Tensor, p: float = 2.0, dim: Any = 1, eps: float = 1e-12) -> Tensor:
    """``input`` with the vectors along ``dim`` scaled to p-norm 1.

    Args:
        p: above 0; infinity for the largest absolute value.
        dim: an int or a tuple.
        eps: lower bound of the divisor.
    """
    check.floating("input", check.tensor("input", input))
    p = check.number("p", p, 0)
    if p == 0:
        raise ValueError("p: expected a number above 0, got 0")
    if dim is None or dim == ():
        raise TypeError(f"dim: expected a dimension or a tuple of them, got {dim}")
    axes = check.axes("dim", dim, input.ndim)
    eps = check.number("eps", eps, 0)
    if not input.ndim:
        return _normalize(input.reshape(1), p=p, axes=(0,), eps=eps).reshape(())
    if not input.numel():
        if p == math.inf and 0 in [input.shape[i] for i in axes]:
            raise ValueError(f"input: nothing has no largest value, got shape {input.shape}")
        return input * 1
    return _normalize(input, p=p, axes=axes, eps=eps)
