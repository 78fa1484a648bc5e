"""Batch norm on the CPU, a block of channels per core, in batch-innermost memory.

In this layout a channel is a contiguous row, and each pass after the first finds it in the core's
cache.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..device import Array
from ..layout import from_batch_last
from ..memory import empty
from ..ops.norm import _batch_norm
from ..tape import Backward
from .compiled import kernels
from .elementwise import BLOCK, scratch, to_batch_last
from .threads import parallel, split_range, threads_for


def _rows(x: Array, task: Callable[[slice], None], pieces: int) -> None:
    """Run ``task`` on ``pieces`` blocks of the rows of ``x`` (C, M), on all cores."""
    parts = split_range(len(x), pieces)
    parallel(lambda i: task(parts[i]), len(parts), x.size)


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
    """Compiled kernels, which process one row after another."""
    fast = kernels("norm", x.dtype)
    assert fast is not None  # see `when`
    shape = to_batch_last(x).shape
    x = to_batch_last(x).reshape(len(mean), -1)
    z = None if residual is None else to_batch_last(residual).reshape(x.shape)
    y = empty(x.shape, x.dtype)
    r, scale = np.empty_like(mean), np.empty_like(mean)
    none, floor = np.empty(0, x.dtype), x.dtype.type(0 if relu else -np.inf)
    eps = x.dtype.type(eps)
    statistics, (mean, var) = (
        (mean, var),
        (mean.copy(), var.copy()),
    )  # the caller may change its own
    threads = threads_for(x.size)
    pieces = 2 * threads if threads > 1 else 1

    def rows(array: Array | None, c: slice) -> Array:
        """The values of channels ``c`` of a (C,) or (C, M) array; no values for None."""
        return none if array is None else array[c].reshape(-1)

    def forward(c: slice) -> None:
        kept = mean[c], var[c], r[c], scale[c]
        added = rows(w, c), rows(b, c), rows(z, c)
        fast.forward(rows(x, c), *added, eps, floor, batch, *kept, rows(y, c))

    _rows(x, forward, pieces)
    if batch:
        statistics[0][...], statistics[1][...] = mean, var
    active = y if relu else None

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        g = to_batch_last(g).reshape(x.shape)
        gx = empty(g.shape, g.dtype) if needs[0] else None
        gz = g if active is None or not needs[3] else empty(g.shape, g.dtype)
        s, t = np.empty_like(mean), np.empty_like(mean)

        def task(c: slice) -> None:
            h = gz[c]
            if active is not None and not needs[3]:
                h = scratch("gradient", g[c.start : c.start + 1])
            flat = rows(g, c), rows(active, c), rows(x, c)
            kept = mean[c], r[c], scale[c]
            fast.backward(*flat, batch, *kept, s[c], t[c], rows(gx, c), h.reshape(-1))

        _rows(x, task, pieces)
        return _as_images(gx, shape), t, s, _as_images(gz if needs[3] else None, shape)

    return from_batch_last(y.reshape(shape)), backward


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
    statistics, (mean, var) = (
        (mean, var),
        (mean.copy(), var.copy()),
    )  # the caller may change its own
    pieces = -(-x.size // BLOCK)

    def forward(c: slice) -> None:
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

    _rows(x, forward, pieces)
    if batch:
        statistics[0][...], statistics[1][...] = mean, var
    active = y if relu else None

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        g = to_batch_last(g).reshape(x.shape)
        gx = empty(g.shape, g.dtype) if needs[0] else None
        gz = g if active is None or not needs[3] else empty(g.shape, g.dtype)
        s, t = np.empty_like(mean), np.empty_like(mean)

        def task(c: slice) -> None:
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

        _rows(x, task, pieces)
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
