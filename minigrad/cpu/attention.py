"""Attention on the CPU: a few queries at a time, whose scores stay in a core's cache.

The scores are never in memory all together. Backward computes them again, and the weights from the
largest score of each query and its sum, as FlashAttention does (Dao et al., NeurIPS 2022).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..device import Array
from ..layout import broadcast_shapes, memory_order
from ..memory import empty
from ..ops.attention import _attention
from ..tape import Backward, keeping
from .compiled import kernels
from .elementwise import contiguous
from .matrices import address_of, steps_of
from .threads import Scratch, get_num_threads, launch

FEW = 1 << 12  # scores, for which the definition is done before a kernel has begun
SCORES = 1 << 16  # of a block of queries, so that they stay in a core's cache
FEWEST = 32  # queries of a block: BLAS makes little of fewer
CAUSAL = 64  # queries of a block, at most, if later keys are left out
POWER = 4  # elements of a plain pass, in the time of a score's power of e
PRODUCTS = 8  # of numbers, in the time of an element


def _serves(q: Array, k: Array, v: Array, *_: Any, **__: Any) -> bool:
    if min(q.size, k.size, v.size) == 0 or q.size // q.shape[-1] * k.shape[-2] < FEW:
        return False
    return kernels("attention", q.dtype) is not None


def _in_rows(x: Array) -> Array:
    """x, or a copy, as matrices in which the numbers of a row lie together."""
    down, across = x.strides[-2:]
    apart = down >= x.shape[-1] * x.itemsize and down % x.itemsize == 0
    return x if apart and across == x.itemsize else contiguous(x)


def _lead(x: Array) -> int:
    """How many numbers lie between rows."""
    return x.shape[-1] if x.shape[-2] == 1 else x.strides[-2] // x.itemsize


def _room(like: Array, shape: tuple[int, ...]) -> Array:
    """An uninitialised array of ``shape``, in the memory order of ``like`` if rows are innermost
    there."""
    order = memory_order(like) if len(shape) == like.ndim == 4 else None
    return empty(shape, like.dtype, order=order if order and order[-1] == 3 else None)


def _whole_rows(x: Array | None, sizes: tuple[int, ...]) -> tuple[Array | None, Any, int]:
    """x, which broadcasts to ``sizes``, with whole rows; where those of each head begin among its
    numbers, and how many lie between rows."""
    if x is None:
        return None, 0, 0
    x = contiguous(np.broadcast_to(x, (*x.shape[:-1], sizes[-1])))
    wide = np.broadcast_to(x, sizes)
    starts = steps_of(sizes[:-2], wide.strides[:-2], sizes[:-2])
    return x, starts // x.itemsize, wide.strides[-2] // x.itemsize


@_attention.on("cpu", when=_serves)
def attention(
    q: Array,
    k: Array,
    v: Array,
    bias: Array | None,
    factors: Array | None,
    *,
    scale: float,
    causal: bool,
) -> tuple[Array, Backward]:
    fast: Any = kernels("attention", q.dtype)
    beside, dtype = broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2]), q.dtype
    (length, size), (count, width), heads = q.shape[-2:], v.shape[-2:], math.prod(beside)
    all_scores = *beside, length, count
    rows = min(length, max(FEWEST, SCORES // count), CAUSAL if causal else length)
    added, dropped = (_whole_rows(x, all_scores) for x in (bias, factors))
    noted, none = np.empty((2, heads * length), dtype), np.empty(0, dtype)
    work = heads * length * count * (POWER + (size + width) // PRODUCTS)

    def run(name: str, items: int, cost: int, given: tuple[Array, ...], *more: Any) -> None:
        places = np.empty((heads, len(given) + 2), np.int64)
        for i, x in enumerate(given):
            places[:, i] = address_of(x) + steps_of(x.shape[:-2], x.strides[:-2], beside)
        places[:, -2], places[:, -1] = added[1], dropped[1]
        memory = fast.scratch_size(dtype.itemsize) + rows * count * cost
        launch(
            fast.kernel(name, dtype),
            items,
            work * cost,
            places,
            (length, count, size, width),
            tuple(_lead(x) for x in given),
            rows,
            causal,
            dtype.type(scale),
            *(none if x is None else x.reshape(-1) for x, _, _ in (added, dropped)),
            (added[2], dropped[2]),
            *noted,
            *more,
            Scratch("scores", memory, dtype),
            parts=8 * get_num_threads(),
        )

    matrix_rows = tuple(_in_rows(x) for x in (q, k, v))
    y = _room(q, (*beside, length, width))
    run("forward", heads * -(-length // rows), 1, (*matrix_rows, y))

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        found = [_room(x, (*beside, *x.shape[-2:])) for x in (q, k, v)]
        if causal and length < count:  # nobody sees the last keys
            for x in found[1:]:
                x[..., length:, :] = 0
        by_bias = np.zeros(all_scores if needs[3] else 0, dtype)
        given = *matrix_rows, _in_rows(g), *found
        run("backward", heads, 2, given, by_bias.reshape(-1), needs[:3])
        by_q, by_k, by_v = (x if need else None for x, need in zip(found, needs, strict=False))
        return by_q, by_k, by_v, by_bias if needs[3] else None, None

    return y, keeping(backward, *matrix_rows, added[0], dropped[0])
