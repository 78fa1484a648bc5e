"""Attention with several heads (Vaswani et al., NeurIPS 2017)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import check
from .. import functional as F
from ..creation import zeros
from ..ops.arithmetic import where
from ..options import lacks
from ..tensor import Tensor
from . import init
from .linear import Linear
from .module import Module
from .parameter import Parameter


class MultiheadAttention(Module):
    """Attention of H heads, each over its own projections of query, key and value.

    Args:
        embed_dim: E, a multiple of ``num_heads``.
        num_heads: H.
        dropout: the probability with which a weight is dropped in training.
        bias: whether the projections have a bias.
        add_bias_kv, add_zero_attn: only False is supported.
        kdim, vdim: sizes of key and value (default: E).
        batch_first: whether batches are (N, L, E) instead of (L, N, E).

    Parameters ``in_proj_weight`` (3E, E), or ``q_proj_weight`` (E, E), ``k_proj_weight`` (E, kdim)
    and ``v_proj_weight`` (E, vdim) if these sizes differ; ``in_proj_bias`` (3E,);
    ``out_proj.weight`` (E, E), ``out_proj.bias`` (E,).
    """

    in_proj_weight: Parameter | None
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None
    in_proj_bias: Parameter | None

    @lacks("device", "dtype")
    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
    ) -> None:
        check.unsupported("add_bias_kv", add_bias_kv, False)
        check.unsupported("add_zero_attn", add_zero_attn, False)
        size = self.embed_dim = check.integer("embed_dim", embed_dim, 1)
        self.num_heads = check.integer("num_heads", num_heads, 1)
        if embed_dim % num_heads:
            got = check.shown(num_heads)
            raise ValueError(f"num_heads: expected a divisor of {embed_dim}, got {got}")
        self.head_dim = size // num_heads
        self.dropout = check.number("dropout", dropout, 0, 1)
        self.kdim = size if kdim is None else check.integer("kdim", kdim, 1)
        self.vdim = size if vdim is None else check.integer("vdim", vdim, 1)
        self.batch_first = check.boolean("batch_first", batch_first)
        alike = self.kdim == self.vdim == size
        shapes = {"in_proj_weight": (3 * size, size)} if alike else {}
        if not alike:
            sources = {"q": size, "k": self.kdim, "v": self.vdim}
            shapes = {f"{name}_proj_weight": (size, n) for name, n in sources.items()}
        for name in ("q_proj_weight", "k_proj_weight", "v_proj_weight", "in_proj_weight"):
            shape = shapes.get(name)
            self.register_parameter(name, None if shape is None else Parameter(zeros(*shape)))
            if shape is not None:
                init.xavier_uniform_(getattr(self, name))
        biased = check.boolean("bias", bias)
        self.register_parameter("in_proj_bias", Parameter(zeros(3 * size)) if biased else None)
        self.out_proj = Linear(size, size, bias)
        if self.out_proj.bias is not None:
            init.zeros_(self.out_proj.bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Attention of every query to the keys.

        Args:
            query: (L, N, E), or (N, L, E) if ``batch_first``; (L, E) for a single example.
            key, value: likewise with S and their own sizes.
            key_padding_mask: (N, S) or (S,): bool, True for keys that no query may attend to; or
                floating, added to the scores.
            need_weights: return the weights too. (Without them a query that may attend to no key
                gives 0, with them NaN.)
            attn_mask: (L, S) or (N · H, L, S): bool, True where a query may not attend to a key
                (the opposite of :func:`minigrad.functional.scaled_dot_product_attention`); or
                floating, added to the scores.
            average_attn_weights: return the mean of the weights over the heads.
            is_causal: a hint that ``attn_mask``, which must be given, is causal.

        Returns:
            The result, of query's shape, and the weights (N, L, S) or (N, H, L, S), or None.
        """
        for name, flag in (("need_weights", need_weights), ("is_causal", is_causal)):
            check.boolean(name, flag)
        check.boolean("average_attn_weights", average_attn_weights)
        if is_causal and attn_mask is None:
            raise ValueError("attn_mask: expected one with is_causal=True, got None")
        single = check.tensor("query", query, (2, 3), "(L, N, E) or (L, E)").ndim == 2
        inputs = self._batches(query, key, value)
        q, k, v = (self._heads(x) for x in self._projected(*inputs))
        n, _, length, _ = q.shape
        mask = self._mask(key_padding_mask, attn_mask, n, length, k.shape[2], q.dtype)
        dropped = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            scores = q @ k.transpose(-2, -1) * (1 / math.sqrt(self.head_dim))
            if mask is not None:
                scores = scores + mask
            weights = F.dropout(F.softmax(scores, -1), dropped)
            y = weights @ v
        else:
            y = F.scaled_dot_product_attention(q, k, v, mask, dropped)
        y = self.out_proj(y.transpose(1, 2).reshape(n, length, self.embed_dim))
        if weights is not None and average_attn_weights:
            weights = weights.mean(1)
        if single:
            return y.squeeze(0), None if weights is None else weights.squeeze(0)
        return y if self.batch_first else y.transpose(0, 1), weights

    def _batches(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, ...]:
        """All three as (N, length, size)."""
        sizes = {"query": self.embed_dim, "key": self.kdim, "value": self.vdim}
        batches: dict[int, Tensor] = {}
        for (name, size), x in zip(sizes.items(), (query, key, value), strict=True):
            if check.tensor(name, x).ndim != query.ndim or x.shape[-1] != size:
                layout = "(L, E)" if query.ndim == 2 else "three dimensions"
                raise ValueError(f"{name}: expected {layout} and last size {size}, got {x.shape}")
            if id(x) not in batches:
                one = x.unsqueeze(0) if x.ndim == 2 else x
                batches[id(x)] = one if x.ndim == 2 or self.batch_first else x.transpose(0, 1)
        q, k, v = (batches[id(x)] for x in (query, key, value))
        if not q.shape[0] == k.shape[0] == v.shape[0] or k.shape[1] != v.shape[1]:
            raise ValueError(
                f"key: expected query's batch and value's length, got query {query.shape}, "
                f"key {key.shape} and value {value.shape}"
            )
        return q, k, v

    def _projected(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, ...]:
        size = self.embed_dim
        parts = [slice(i * size, (i + 1) * size) for i in range(3)]
        joint, bias = self.in_proj_weight, self.in_proj_bias
        if joint is not None and q is k and k is v:
            together = F.linear(q, joint, bias)
            return tuple(together[..., part] for part in parts)
        weights: Any = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        if joint is not None:
            weights = tuple(joint[part] for part in parts)
        shifts = (None,) * 3 if bias is None else tuple(bias[part] for part in parts)
        return tuple(map(F.linear, (q, k, v), weights, shifts))

    def _heads(self, x: Tensor) -> Tensor:
        """(N, L, E) as (N, H, L, E / H)."""
        return x.reshape(x.shape[0], x.shape[1], self.num_heads, self.head_dim).transpose(1, 2)

    def _mask(
        self, padding: Tensor | None, mask: Tensor | None, n: int, length: int, count: int, to: Any
    ) -> Tensor | None:
        """The sum of both masks, to be added to the scores (N, H, L, S)."""
        found = None
        if padding is not None:
            check.tensor("key_padding_mask", padding, (1, 2), "(N, S) or (S,)")
            if padding.shape not in ((n, count), (count,)) or (padding.ndim == 1 and n != 1):
                raise ValueError(
                    f"key_padding_mask: expected shape {(n, count)}, got {padding.shape}"
                )
            found = _added("key_padding_mask", padding.reshape(n, 1, 1, count), to)
        if mask is not None:
            check.tensor("attn_mask", mask, (2, 3), "(L, S) or (N * H, L, S)")
            if mask.shape not in ((length, count), (n * self.num_heads, length, count)):
                expected = f"{(length, count)} or {(n * self.num_heads, length, count)}"
                raise ValueError(f"attn_mask: expected shape {expected}, got {mask.shape}")
            if mask.ndim == 3:
                mask = mask.reshape(n, self.num_heads, length, count)
            more = _added("attn_mask", mask, to)
            found = more if found is None else found + more
        return found


def _added(name: str, mask: Tensor, dtype: Any) -> Tensor:
    """A mask in the form that is added to scores: −∞ where a bool mask is True."""
    if mask.dtype == np.bool_:
        zero: Any = zeros(1, dtype=dtype, device=mask.device)
        return where(mask, zero - math.inf, zero)
    if mask.dtype != dtype:
        raise TypeError(f"{name}: expected bool or {dtype}, got {mask.dtype}")
    return mask
