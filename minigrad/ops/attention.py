"""Attention (Vaswani et al., NeurIPS 2017)."""

from __future__ import annotations

import math

import numpy as np

from .. import check
from ..device import Array, get_xp
from ..sums import in_float32, total
from ..tape import Backward, Rerun, keeping, op
from ..tensor import Tensor
from .arithmetic import where
from .dropout import dropout
from .linear import matmul
from .shape import transpose


@op(twice=Rerun("x"))
@in_float32
def _masked_softmax(x: Array) -> tuple[Array, Backward]:
    """y = e^x / Σ e^x along the last axis, and 0 where all of it is −∞;  dL/dx = y (g − Σ g y)."""
    xp, highest = get_xp(x), x.max(axis=-1, keepdims=True)
    none, zero, one = highest == -math.inf, x.dtype.type(0), x.dtype.type(1)
    y = xp.exp(x - xp.where(none, zero, highest))
    y = y / xp.where(none, one, total(y, -1, True))

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        return (y * (g - total(g * y, -1, True)),)

    return y, keeping(backward, lambda: xp.log(y))


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """For each query, the mean of the values weighted by softmax(query · keyᵀ · scale + mask).

    A query that may attend to no key gives 0.

    Args:
        query: (..., L, E).
        key: (..., S, E).
        value: (..., S, V). The leading sizes broadcast.
        attn_mask: broadcasts to (..., L, S): bool, True where a query may attend to a key; or of
            the query's dtype, added to the scores. A float32 mask may be added to float64.
        dropout_p: the probability with which a weight is dropped, also in evaluation.
        is_causal: let query i attend only to keys 0 … i; cannot be combined with a mask.
        scale: the factor (default: 1 / √E).
        enable_gqa: only False is supported.

    Returns:
        (..., L, V).

    Raises:
        ValueError: shapes do not agree, or both a mask and ``is_causal`` are given.
    """
    check.unsupported("enable_gqa", enable_gqa, False)
    for name, t in (("query", query), ("key", key), ("value", value)):
        check.floating(name, check.tensor(name, t))
        if t.ndim < 2:
            raise ValueError(f"{name}: expected shape (..., length, size), got {t.shape}")
        if t.dtype != query.dtype:
            raise TypeError(f"{name}: expected dtype {query.dtype} as query, got {t.dtype}")
    if query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        raise ValueError(
            f"key: expected query's last size {query.shape[-1]} and value's length "
            f"{value.shape[-2]}, got {key.shape}"
        )
    if 0 in (*query.shape[-2:], *key.shape[-2:]):
        raise ValueError(f"query: expected lengths and sizes from 1, got {query.shape}")
    if check.boolean("is_causal", is_causal) and attn_mask is not None:
        raise ValueError("attn_mask: expected none beside is_causal=True")
    share = check.number("dropout_p", dropout_p, 0, 1)
    factor = 1 / math.sqrt(query.shape[-1])
    if scale is not None:
        factor = check.number("scale", scale, -math.inf)
    scores = matmul(query, transpose(key, -2, -1)) * factor
    if is_causal:
        length, count = scores.shape[-2:]
        seen = get_xp(query.data).asarray(np.tri(length, count, dtype=np.bool_))
        scores = where(Tensor(seen), scores, -math.inf)
    elif attn_mask is not None:
        scores = masked(scores, attn_mask)
    return matmul(dropout(_masked_softmax(scores), share), value)


def masked(scores: Tensor, mask: Tensor) -> Tensor:
    """Scores with a bool mask applied, or a floating mask added."""
    check.tensor("attn_mask", mask)
    check.beside("attn_mask", mask, scores, "query")
    try:
        fits = np.broadcast_shapes(scores.shape, mask.shape) == scores.shape
    except ValueError:
        fits = False
    if not fits:
        expected = f"one that broadcasts to {scores.shape}"
        raise ValueError(f"attn_mask: expected {expected}, got shape {mask.shape}")
    if mask.dtype == np.bool_:
        return where(mask, scores, -math.inf)
    if mask.dtype != scores.dtype and (mask.dtype, scores.dtype) != (np.float32, np.float64):
        raise TypeError(f"attn_mask: expected bool or {scores.dtype}, got {mask.dtype}")
    return scores + mask.to(scores.dtype)
