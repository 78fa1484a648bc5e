"""Attention on the CPU: a few queries at a time, whose scores stay in a core's cache.

The scores are never in memory all together. Backward computes them again, and the weights from the
largest score of each query and its sum, as FlashAttention does (Dao et al., NeurIPS 2022).
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from ..device import Array
from ..layout import broadcast_shapes, memory_order
from ..memory import empty
from ..ops.attention import _attention
from ..tape import Backward
from . import elementwise
from .compiled import kernels
from .elementwise import contiguous
from .threads import get_num_threads, parallel, split_range, workspace

SCORES = 1 << 16  # of a block of queries, so that they stay in a core's cache
FEWEST = 32  # queries of a block: BLAS makes little of fewer
CAUSAL = 64  # queries of a block, at most, if later keys are left out


class Block(NamedTuple):
    """Some queries of some heads of some examples, and the keys that one of them sees."""

    examples: slice
    heads: slice
    queries: slice
    keys: slice
    part: slice  # of what is noted for each query


@functools.lru_cache(maxsize=1024)
def _cut(
    n: int, heads: int, length: int, count: int, causal: bool, threads: int, most: int
) -> tuple[tuple[Block, ...], ...]:
    """The blocks of n examples, those of the same heads together: the last queries, which see the
    most keys, first."""
    rows = min(length, max(FEWEST, most // count))
    rows = min(rows, CAUSAL) if causal else rows
    each = max(1, min(most // (rows * count), -(-n * heads // threads)))  # heads of a block
    if each >= heads:
        parts = [(i, slice(0, heads)) for i in split_range(n, -(-n // (each // heads)))]
    else:
        cut = split_range(heads, -(-heads // each))
        parts = [(slice(i, i + 1), part) for i in range(n) for part in cut]
    groups, noted = [], 0
    for example, head in parts:
        group = []
        for queries in reversed(split_range(length, -(-length // rows))):
            size = math.prod(s.stop - s.start for s in (example, head, queries))
            keys = slice(0, min(count, queries.stop) if causal else count)
            group.append(Block(example, head, queries, keys, slice(noted, noted + size)))
            noted += size
        groups.append(tuple(group))
    return tuple(groups)


def _by_heads(x: Array, beside: tuple[int, ...]) -> Array:
    """x as (examples, heads, length, size), with leading sizes ``beside``."""
    if x.shape[:-2] != beside:
        x = np.broadcast_to(x, (*beside, *x.shape[-2:]))
    return x if len(beside) == 2 else x.reshape(-1, *(beside or (1,))[-1:], *x.shape[-2:])


def _matrices(x: Array) -> Array:
    """x, or a copy, with rows that BLAS can read."""
    return x if x.strides[-1] == x.itemsize else contiguous(x)


def _room(like: Array, shape: tuple[int, ...]) -> Array:
    """An uninitialised array of ``shape``, in the memory order of ``like`` if rows are innermost
    there."""
    order = memory_order(like) if len(shape) == like.ndim == 4 else None
    return empty(shape, like.dtype, order=order if order and order[-1] == 3 else None)


def _serves(q: Array, k: Array, v: Array, *_: Any, **__: Any) -> bool:
    return min(q.size, k.size, v.size) > 0 and kernels("attention", q.dtype) is not None


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
    fast, dtype = kernels("attention", q.dtype), q.dtype
    assert fast is not None  # see `_serves`
    beside = broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])
    (length, size), count, factor = q.shape[-2:], k.shape[-2], dtype.type(scale)
    sizes = (*beside, length, count)
    qs, ks, vs = (_by_heads(_matrices(x), beside) for x in (q, k, v))
    added, dropped = (
        None if x is None else _by_heads(np.broadcast_to(contiguous(x), sizes), beside)
        for x in (bias, factors)
    )
    n, heads = qs.shape[:2]
    groups = _cut(n, heads, length, count, causal, get_num_threads(), SCORES)
    noted = np.empty((2, n * heads * length), dtype)
    products = n * heads * length * count * size
    few = 0 if products < elementwise.MIN_HELD_PRODUCT else None

    def scores(block: Block) -> tuple[Array, Array]:
        """The block's queries, scaled, and their scores."""
        here = block[:3]
        scaled = workspace("queries", qs[here].shape, dtype)
        np.multiply(qs[here], factor, out=scaled)
        keys = ks[(*here[:2], block.keys)]
        z = workspace("scores", (*scaled.shape[:3], keys.shape[2]), dtype)
        np.matmul(scaled, keys.swapaxes(2, 3), out=z)
        if added is not None:
            z += added[block[:4]]
        return scaled, z

    def run(name: str, block: Block, z: Array, *more: Array) -> None:
        seen = block.queries.start + 1 if causal else count
        flat = [a.reshape(-1) for a in (z, *more)]
        tops, factors = noted[:, block.part]
        fast.kernel(name, dtype)(*flat, z.shape[3], z.shape[2], seen, tops, factors)

    y = _room(q, (*beside, length, v.shape[-1]))
    result = _by_heads(y, beside)
    blocks = [block for group in groups for block in group]

    def forward(i: int) -> None:
        block = blocks[i]
        _, z = scores(block)
        run("weights", block, z)
        if dropped is not None:
            z *= dropped[block[:4]]
        np.matmul(z, vs[(*block[:2], block.keys)], out=result[block[:3]])

    parallel(forward, len(blocks), few)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        gs = _by_heads(_matrices(g), beside)
        found = [_room(x, (*beside, *x.shape[-2:])) for x in (q, k, v)]
        by_q, by_k, by_v = (_by_heads(x, beside) for x in found)
        by_bias = np.zeros(sizes, dtype) if needs[3] else None
        all_slopes = None if by_bias is None else _by_heads(by_bias, beside)

        def task(i: int) -> None:
            for number, block in enumerate(groups[i]):
                here, keys = block[:3], (*block[:2], block.keys)
                scaled, z = scores(block)
                slopes = workspace("slopes", z.shape, dtype)
                np.matmul(gs[here], vs[keys].swapaxes(2, 3), out=slopes)
                if dropped is not None:
                    slopes *= dropped[block[:4]]
                run("slopes", block, z, slopes)
                if dropped is not None:
                    z *= dropped[block[:4]]
                if all_slopes is not None:
                    all_slopes[block[:4]] = slopes
                if needs[0]:
                    np.matmul(slopes, ks[keys], out=by_q[here])
                    by_q[here] *= factor
                for needed, to, left, right in (
                    (needs[1], by_k, slopes, scaled),
                    (needs[2], by_v, z, gs[here]),
                ):
                    if not needed:
                        continue
                    if number == 0:  # the only one, or the first, which sees the most keys
                        np.matmul(left.swapaxes(2, 3), right, out=to[keys])
                        to[(*block[:2], slice(block.keys.stop, None))] = 0
                    else:
                        more = workspace("more", to[keys].shape, dtype)
                        to[keys] += np.matmul(left.swapaxes(2, 3), right, out=more)

        parallel(task, len(groups), few)
        return *(x if need else None for x, need in zip(found, needs, strict=False)), by_bias, None

    return y, backward
