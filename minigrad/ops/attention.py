"""Attention (Vaswani et al., NeurIPS 2017)."""

from __future__ import annotations

import math

import numpy as np

from .. import check
from ..device import Array, get_xp
from ..layout import broadcast_shapes
from ..sums import in_float32, total
from ..tape import Backward, Rerun, op
from ..tensor import Tensor
from .arithmetic import where
from .dropout import dropout


@op(twice=Rerun("q k v bias factors"))
@in_float32
def _attention(
    q: Array,
    k: Array,
    v: Array,
    bias: Array | None,
    factors: Array | None,
    *,
    scale: float,
    causal: bool,
) -> tuple[Array, Backward]:
    """y = (P f) v with P = softmax(Z) along the keys, Z = s q kᵀ + bias; P is 0 for a query whose
    scores Z are all −∞, and with ``causal`` where the key comes after the query.

    With H = f (g vᵀ) and S = P (H − Σ H P):  dL/dq = s S k,  dL/dk = s Sᵀ q,  dL/dv = (P f)ᵀ g,
    dL/dbias = S. The factors f, those of dropout, are constants.
    """
    xp = get_xp(q)
    scores = q @ k.swapaxes(-1, -2) * scale
    if bias is not None:
        scores = scores + bias
    if causal:
        seen = xp.asarray(np.tri(*scores.shape[-2:], dtype=np.bool_))
        scores = xp.where(seen, scores, scores.dtype.type(-math.inf))
    highest = scores.max(axis=-1, keepdims=True)
    none, zero, one = highest == -math.inf, scores.dtype.type(0), scores.dtype.type(1)
    p = xp.exp(scores - xp.where(none, zero, highest))
    p = p / xp.where(none, one, total(p, -1, True))
    weights = p if factors is None else p * factors

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        h = g @ v.swapaxes(-1, -2)
        if factors is not None:
            h = h * factors
        slope = p * (h - total(h * p, -1, True))
        return (
            slope * scale @ k if needs[0] else None,
            (slope * scale).swapaxes(-1, -2) @ q if needs[1] else None,
            weights.swapaxes(-1, -2) @ g if needs[2] else None,
            slope if bias is not None and needs[3] else None,  # bias is kept for a second run
            None,
        )

    return weights @ v, backward


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
    q, k, v = query.shape, key.shape, value.shape
    if q[-1] != k[-1] or k[-2] != v[-2]:
        raise ValueError(
            f"key: expected query's last size {q[-1]} and value's length {v[-2]}, got {k}"
        )
    if 0 in (*q[-2:], *k[-2:]):
        raise ValueError(f"query: expected lengths and sizes from 1, got {q}")
    if check.boolean("is_causal", is_causal) and attn_mask is not None:
        raise ValueError("attn_mask: expected none beside is_causal=True")
    share = check.number("dropout_p", dropout_p, 0, 1)
    factor = 1 / math.sqrt(q[-1])
    if scale is not None:
        factor = check.number("scale", scale, -math.inf)
    try:
        beside = broadcast_shapes(q[:-2], k[:-2], v[:-2])
    except ValueError:
        expected = "leading sizes that broadcast"
        raise ValueError(f"query: expected {expected}, got {q}, {k} and {v}") from None
    size, xp = (*beside, q[-2], k[-2]), get_xp(query.data)
    bias = None if attn_mask is None else _bias(attn_mask, size, query)
    factors = dropout(Tensor(xp.ones(size, query.dtype)), share) if share else None
    return _attention(query, key, value, bias, factors, scale=factor, causal=is_causal)


def _bias(mask: Tensor, size: tuple[int, ...], query: Tensor) -> Tensor:
    """The term that a mask adds to scores of shape ``size``; of a bool mask, 0 or −∞."""
    check.tensor("attn_mask", mask)
    check.beside("attn_mask", mask, query, "query")
    try:
        fits = np.broadcast_shapes(size, mask.shape) == size
    except ValueError:
        fits = False
    if not fits:
        expected = f"one that broadcasts to {size}"
        raise ValueError(f"attn_mask: expected {expected}, got shape {mask.shape}")
    if mask.dtype == np.bool_:
        return where(mask, Tensor(get_xp(mask.data).zeros((), query.dtype)), -math.inf)
    if mask.dtype != query.dtype and (mask.dtype, query.dtype) != (np.float32, np.float64):
        raise TypeError(f"attn_mask: expected bool or {query.dtype}, got {mask.dtype}")
    return mask.to(query.dtype)
