"""Attention."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from minigrad import nn
from tests.parity.driver import ORDINARY, Call, Drawer
from tests.parity.table import MANY, F, T, entry


def masks(d: Drawer, shape: tuple[int, ...], hides: bool) -> np.ndarray | None:
    """A mask of ``shape``: bool, floating or none; at least one key of every query is seen."""
    kind = d(["none", "bool", "float"])
    if kind == "none":
        return None
    if kind == "float":
        return d.array(shape, dtype=d.dtype if hides else d.other_dtype())
    seen = d.array(shape, dtype="int64") > 0
    seen[..., 0] = True
    return ~seen if hides else seen


@entry(
    "functional.scaled_dot_product_attention",
    *[
        lambda q, k, v, m, f=f, **o: f.scaled_dot_product_attention(q, k, v, attn_mask=m, **o)
        for f in (F, T)
    ],
    bound="all",
)
def scaled_dot_product_attention(d: Drawer) -> Call:
    d.kind = ORDINARY
    batch = tuple(d.integer(1, 3) for _ in range(d.integer(0, 2)))
    length, count, size, width = (d.integer(1, 4) for _ in range(4))
    q = d.array((*batch, length, size))
    k, v = d.array((*batch, count, size)), d.array((*batch, count, width), dtype=d.other_dtype())
    mask = masks(d, (length, count) if d.integer(0, 1) else (*batch, length, count), False)
    options: dict[str, Any] = {"scale": d([None, 0.5, 2.0])}
    if mask is None or d.rarely():
        options["is_causal"] = d([True, False])
    return Call([q, k, v, mask], options=options)


def _attention(library: Any) -> Any:
    def apply(q: Any, k: Any, v: Any, w: Any, out: Any, *rest: Any, **options: Any) -> Any:
        padding, mask, size, heads, first = rest
        layer = library.MultiheadAttention(size, heads, batch_first=first)
        for holder, name, value in (
            (layer, "in_proj_weight", w),
            (layer.out_proj, "weight", out),
            (layer, "in_proj_bias", None),
            (layer.out_proj, "bias", None),
        ):
            if library is torch.nn:
                del holder._parameters[name]
            vars(holder)[name] = value
        k, v = (q if x is None else x for x in (k, v))
        found = layer(q, k, v, key_padding_mask=padding, attn_mask=mask, **options)
        return tuple(y for y in found if y is not None)

    return apply


@entry("nn.MultiheadAttention", _attention(nn), _attention(torch.nn), "all", MANY)
def multihead_attention(d: Drawer) -> Call:
    """Self- and cross-attention, both layouts, with masks of all kinds."""
    d.kind, d.dtype = ORDINARY, d(["float32", "float64"])  # others PyTorch does not refuse in time
    heads, each = d.integer(1, 3), d.integer(1, 2)
    size, n, length, same = heads * each, d.integer(1, 3), d.integer(1, 4), d([True, False])
    count = length if same else d.integer(1, 4)
    single, first = d.rarely(4), d([True, False])

    def batch(tokens: int) -> tuple[int, ...]:
        if single:
            return (tokens, size)
        return (n, tokens, size) if first else (tokens, n, size)

    n = 1 if single else n
    padding = masks(d, (count,) if single else (n, count), True)
    mask = masks(d, (length, count) if d.integer(0, 1) else (n * heads, length, count), True)
    keys = [None, None] if same else [d.array(batch(count)) for _ in range(2)]
    options = {"need_weights": d([True, False]), "average_attn_weights": d([True, False])}
    weights = [d.array((3 * size, size)), d.array((size, size))]
    arrays = [d.array(batch(length)), *keys, *weights, padding, mask]
    return Call(arrays, (size, heads, first), options)
