"""Attention of one head after another, a block of queries at a time, whose scores stay in a core's
cache. :mod:`minigrad.ops.attention` has the mathematics.

Arguments of both kernels:

- ``places``: for each head, the addresses of its matrices, and where its rows begin in ``bias`` and
  ``factors``. In a row, numbers lie together.
- ``sizes``: of a head's queries and keys: how many queries and keys there are, and how long the
  rows of queries and keys, and those of values, are.
- ``leads``: how many numbers lie between rows of each matrix.
- ``rows``: of a block, at most. The last queries, which see the most keys, come first.
- ``bias``, ``factors``: the numbers of all heads, or none; ``downs``: how many lie between rows.
- ``tops``, ``inverses``: of each query, its largest score, and the inverse of the sum of powers.
- ``scratch``: memory of each thread: a block's scores, twice as many for ``backward``, and before
  them what :func:`.multiply_to` needs.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from .matrices import multiply_to, numbers_at, scratch_size
from .scalar import REAL, bind, exp_falling
from .softmax import LONG, add, add_products, largest
from .team import Kernel, parallel_for


@cache
def kernel(name: str, dtype: Any) -> Kernel:
    """The function ``name`` below, compiled for arrays of ``dtype``."""
    return parallel_for(bind(globals()[name], dtype.type))


def forward(
    places,
    sizes,
    leads,
    rows,
    causal,
    scale,
    bias,
    factors,
    downs,
    tops,
    inverses,
    scratch,
    seat,
    first,
    last,
):
    """Results of blocks number ``first`` to ``last``. Matrices are q, k, v and y."""
    length, count, _, width = sizes
    blocks = (length + rows - 1) // rows
    before = scratch_size(scratch.itemsize)
    room, scores = scratch[seat, :before], scratch[seat, before:]
    for i in range(first, last):
        head, low, high, n = block_of(i, blocks, rows, length, count, causal)
        many, place = high - low, places[head]
        z = scores[: many * n]
        find_scores(place, sizes, leads, low, n, scale, bias, downs[0], z, room)
        seen, noted = (low + 1 if causal else count), head * length
        weights(z, n, seen, tops[noted + low : noted + high], inverses[noted + low : noted + high])
        if len(factors):
            multiply(z, n, factors, place[5] + low * downs[1], downs[1])
        v, y = numbers_at(place[2], 0, z), numbers_at(place[3], low * leads[3], z)
        multiply_to(
            z, n, 1, v, leads[2], 1, many, width, n, REAL(1.0), y, leads[3], True, room
        )  # fmt: skip


def backward(
    places,
    sizes,
    leads,
    rows,
    causal,
    scale,
    bias,
    factors,
    downs,
    tops,
    inverses,
    by_bias,
    needs,
    scratch,
    seat,
    first,
    last,
):
    """Gradients of heads number ``first`` to ``last``; that of bias, unless ``by_bias`` is empty.
    Matrices are q, k, v, and the gradients of y, q, k and v, of which the last three have
    ``needs``."""
    length, count, size, width = sizes
    blocks = (length + rows - 1) // rows
    before = scratch_size(scratch.itemsize)
    room, scores = scratch[seat, :before], scratch[seat, before:]
    for head in range(first, last):
        place, noted, fresh = places[head], head * length, True
        k, v = numbers_at(place[1], 0, scores), numbers_at(place[2], 0, scores)
        by_k, by_v = numbers_at(place[5], 0, scores), numbers_at(place[6], 0, scores)
        for i in range(blocks):
            _, low, high, n = block_of(i, blocks, rows, length, count, causal)
            many, seen = high - low, (low + 1 if causal else count)
            z, s = scores[: many * n], scores[rows * count : rows * count + many * n]
            q, g = numbers_at(place[0], low * leads[0], z), numbers_at(place[3], low * leads[3], z)
            find_scores(place, sizes, leads, low, n, scale, bias, downs[0], z, room)
            multiply_to(g, leads[3], 1, v, 1, leads[2], many, n, width, REAL(1.0), s, n, True, room)
            if len(factors):
                multiply(s, n, factors, place[8] + low * downs[1], downs[1])
            slopes(z, s, n, seen, tops[noted + low : noted + high], inverses[noted + low :])
            if len(factors):
                multiply(z, n, factors, place[8] + low * downs[1], downs[1])
            if len(by_bias):
                for j in range(many):
                    start = (noted + low + j) * count
                    for e in range(n):
                        by_bias[start + e] = s[j * n + e]
            if needs[0]:
                by_q = numbers_at(place[4], low * leads[4], z)
                multiply_to(
                    s, n, 1, k, leads[1], 1, many, size, n, scale, by_q, leads[4], True, room
                )  # fmt: skip
            if needs[1]:
                multiply_to(
                    s, 1, n, q, leads[0], 1, n, size, many, scale, by_k, leads[5], fresh, room
                )  # fmt: skip
            if needs[2]:
                multiply_to(
                    z, 1, n, g, leads[3], 1, n, width, many, REAL(1.0), by_v, leads[6], fresh, room
                )  # fmt: skip
            fresh = False


def block_of(i, blocks, rows, length, count, causal):
    """Of block i: its head, its first query and the one after its last, and its keys."""
    low = (blocks - 1 - i % blocks) * rows
    high = min(low + rows, length)
    return i // blocks, low, high, min(count, high) if causal else count


def find_scores(place, sizes, leads, low, n, scale, bias, down, z, room):
    """z = scale q kᵀ + bias of the queries from ``low`` on and the first n keys."""
    q, k = numbers_at(place[0], low * leads[0], z), numbers_at(place[1], 0, z)
    multiply_to(
        q, leads[0], 1, k, 1, leads[1], len(z) // n, n, sizes[2], scale, z, n, True, room
    )  # fmt: skip
    if len(bias):
        for i in range(len(z) // n):
            start = place[-2] + (low + i) * down
            row, more = z[i * n : (i + 1) * n], bias[start : start + n]
            for k in range(n):
                row[k] += more[k]


def multiply(z, n, factors, start, down):
    """z times the rows of n numbers that begin at ``start``."""
    for i in range(len(z) // n):
        row, more = z[i * n : (i + 1) * n], factors[start + i * down : start + i * down + n]
        for k in range(n):
            row[k] *= more[k]


def weights(scores, n, seen, tops, inverses):
    """e^(score − top) / Σ e^(score − top) of rows of n scores, of which row i has ``seen`` + i; and
    0 for the other keys. Fill ``tops`` and ``inverses``."""
    for i in range(len(tops)):
        begin, end = i * n, i * n + min(n, seen + i)
        row, total = scores[begin:end], 0.0
        top = largest(row)
        top = top if top != -math.inf else REAL(0.0)
        for start in range(0, len(row), LONG):
            part = row[start : start + LONG]
            for k in range(len(part)):
                part[k] = exp_falling(part[k] - top)
            total += add(part, REAL(0.0))
        total = total if total != 0.0 else 1.0
        factor = REAL(1.0 / total)
        for k in range(len(row)):
            row[k] *= factor
        scores[end : begin + n] = 0.0
        tops[i], inverses[i] = top, factor


def slopes(scores, g, n, seen, tops, inverses):
    """Turn scores into ``weights`` p, and the gradient g of these into that of the scores,
    p (g − Σ g p)."""
    for i in range(len(tops)):
        begin, end = i * n, i * n + min(n, seen + i)
        p, gs, top, factor = scores[begin:end], g[begin:end], tops[i], inverses[i]
        for k in range(len(p)):
            p[k] = exp_falling(p[k] - top) * factor
        total = 0.0
        for start in range(0, len(p), LONG):
            total += add_products(gs[start : start + LONG], p[start : start + LONG], REAL(0.0))
        mean = REAL(total)
        for k in range(len(p)):
            gs[k] = p[k] * (gs[k] - mean)
        scores[end : begin + n] = 0.0
        g[end : begin + n] = 0.0
