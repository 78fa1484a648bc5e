"""Batch norm on the CPU, a block of channels per core.

Each pass over a channel after the first finds it in the core's cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..device import Array
from ..layout import from_batch_last
from ..memory import empty
from ..ops.norm import _batch_norm
from ..tape import Backward
from .along import along, share
from .compiled import kernels
from .elementwise import BLOCK, to_batch_last
from .threads import launch, parts_of, split_range, workspace

SHORTEST = 64  # numbers of a piece of a channel


@_batch_norm.on("cpu", when=lambda x, *_, **__: kernels("norm", x.dtype) is not None)
def compiled_batch_norm(
    x: Array,
    w: Array | None,
    b: Array | None,
    residual: Array | None,
    *,
    mean: Array,
    var: Array,
    batch: bool,
    eps: float,
    relu: bool,
) -> tuple[Array, Backward]:
    """Compiled kernels, in the memory order of x, unless its channels are in short pieces there.

    Where a channel is one piece, both passes over it follow one another. Otherwise the first pass
    goes over all pieces as they lie in memory, then the second.
    """
    fast = kernels("norm", x.dtype)
    assert fast is not None  # see `when`
    view = along(x, 1)
    if view.outer > 1 and view.inner < SHORTEST:
        x = from_batch_last(to_batch_last(x))
        view = along(x, 1)
    outer, count, n = view.outer, view.outer * view.n, view.inner
    x, y = view.flat(x), empty((x.size,), x.dtype)
    r, scale = np.empty_like(mean), np.empty_like(mean)
    none, floor = np.empty(0, x.dtype), x.dtype.type(0 if relu else -np.inf)
    weights, biases = (none if v is None else np.ascontiguousarray(v) for v in (w, b))
    z = none if residual is None else view.flat(residual)
    eps = x.dtype.type(eps)
    given = mean, var
    mean, var = mean.copy(), var.copy()  # the caller may change its own
    if batch and outer > 1:
        mean[...], var[...] = _moments_of_pieces(fast, x, n, len(mean))

    options = n, eps, floor, batch and outer == 1
    launch(fast.forward, count, x.size, x, weights, biases, z, *options, mean, var, r, scale, y)
    if batch:
        given[0][...], given[1][...] = mean, var
    active = y if relu else none

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        g = view.flat(g)
        gx = empty((g.size if needs[0] else 0,), g.dtype)
        gz = empty((g.size,), g.dtype) if relu and (needs[3] or outer > 1) else none

        h, parts = gz, parts_of(count, g.size)
        if relu and gz is none:
            h = workspace("gradient", (parts * n,), g.dtype)

        def passes(s: Array, t: Array, gx: Array, added: bool) -> None:
            kept = mean, r, scale, s, t, gx, h
            operands = g, active, x, n, batch, added
            launch(fast.backward, count, g.size, *operands, *kept, parts=parts)

        s, t = sums = np.empty((2, count))
        passes(s, t, gx if outer == 1 else none, False)
        s, t = sums.reshape(2, outer, len(mean)).sum(axis=1)
        if outer > 1 and needs[0]:
            passes(s, t, gx, True)
        gw, gb = t.astype(g.dtype), s.astype(g.dtype)
        by_residual = view.array(gz if relu else g) if needs[3] else None
        return view.array(gx) if needs[0] else None, gw, gb, by_residual

    return view.array(y), backward


def _moments_of_pieces(fast: Any, x: Array, n: int, channels: int) -> tuple[Array, Array]:
    """Mean and biased variance of each channel, in float64: of x in pieces of n numbers."""
    sums, squares = np.empty((2, x.size // n))
    launch(fast.moments, len(sums), x.size, x, n, sums, squares)
    means, squares = (sums / n).reshape(-1, channels), squares.reshape(-1, channels)
    mean = means.mean(axis=0)
    return mean, squares.mean(axis=0) / n + np.square(means - mean).mean(axis=0)


@_batch_norm.on("cpu")
def blocked_batch_norm(
    x: Array,
    w: Array | None,
    b: Array | None,
    residual: Array | None,
    *,
    mean: Array,
    var: Array,
    batch: bool,
    eps: float,
    relu: bool,
) -> tuple[Array, Backward]:
    """Passes of NumPy over one block of rows after another."""
    shape = to_batch_last(x).shape
    x = to_batch_last(x).reshape(len(mean), -1)
    z = None if residual is None else to_batch_last(residual).reshape(x.shape)
    m = x.shape[1]
    y = empty(x.shape, x.dtype)
    r, scale = np.empty_like(mean), np.empty_like(mean)
    eps = x.dtype.type(eps)
    given = mean, var
    mean, var = mean.copy(), var.copy()  # the caller may change its own
    blocks = split_range(len(x), -(-x.size // BLOCK))

    def forward(_: int, first: int, last: int) -> None:
        c = slice(first, last)
        if batch:
            mean[c], var[c] = _moments(x[c])
        r[c] = 1 / np.sqrt(var[c] + eps)
        scale[c] = r[c] if w is None else r[c] * w[c]
        np.subtract(x[c], mean[c, None], out=y[c])
        y[c] *= scale[c, None]
        if b is not None:
            y[c] += b[c, None]
        if z is not None:
            y[c] += z[c]
        if relu:
            np.maximum(y[c], 0, out=y[c])

    share(forward, len(x), x.size, blocks)
    if batch:
        given[0][...], given[1][...] = mean, var
    active = y if relu else None

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        g = to_batch_last(g).reshape(x.shape)
        gx = empty(g.shape, g.dtype) if needs[0] else None
        gz = g if active is None or not needs[3] else empty(g.shape, g.dtype)
        s, t = np.empty_like(mean), np.empty_like(mean)

        def task(_: int, first: int, last: int) -> None:
            c = slice(first, last)
            h = g[c]
            if active is not None:
                h = np.where(active[c] != 0, h, h.dtype.type(0))
                if needs[3]:
                    gz[c] = h
            s[c] = h.sum(axis=1)
            t[c] = (h * (x[c] - mean[c, None])).sum(axis=1) * r[c]
            if gx is None:
                return
            if not batch:
                np.multiply(h, scale[c, None], out=gx[c])
                return
            np.subtract(x[c], mean[c, None], out=gx[c])
            gx[c] *= (-scale[c] * r[c] * t[c] / m)[:, None]
            gx[c] -= (scale[c] * s[c] / m)[:, None]
            gx[c] += h * scale[c, None]

        share(task, len(x), x.size, blocks)
        return _as_images(gx, shape), t, s, _as_images(gz if needs[3] else None, shape)

    return from_batch_last(y.reshape(shape)), backward


def _moments(x: Array) -> tuple[Array, Array]:
    """Mean and biased variance of each row."""
    exact = x.mean(axis=1, dtype=np.float64)
    mean = exact.astype(x.dtype)
    # x − μ contains the rounding error of the mean, which is not variance.
    var = np.square(x - mean[:, None]).mean(axis=1) - np.square(exact - mean)
    if not np.isfinite(var).all():  # the squares overflowed
        var = np.square(x - exact[:, None]).mean(axis=1)
    return mean, var


def _as_images(rows: Array | None, shape: tuple[int, ...]) -> Array | None:
    """Rows (C, M), or None, as an array (N, C, ...); ``shape`` is (C, ..., N)."""
    return None if rows is None else from_batch_last(rows.reshape(shape))
