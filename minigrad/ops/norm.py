"""Batch normalisation (Ioffe & Szegedy, ICML 2015)."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from .. import check
from ..cpu.compiled import kernels
from ..cpu.elementwise import BLOCK, scratch
from ..cpu.threads import get_num_threads, parallel, split_range
from ..device import Array, get_xp
from ..gpu import launch as cuda
from ..layout import from_batch_last, to_batch_last
from ..memory import empty
from ..sums import adding_dtype, in_float32
from ..tape import Backward, op
from ..tensor import Tensor
from .activation import relu_gradient


def _rows(x: Array, task: Callable[[slice], None], fast: ModuleType | None) -> None:
    """Run ``task`` on blocks of the rows of ``x`` (C, M), over all cores. NumPy's pass over a block
    after another, so it should fit a cache; compiled kernels pass over one row after another."""
    pieces = 1
    if isinstance(x, np.ndarray):
        pieces = 2 * get_num_threads() if fast else -(-x.size // BLOCK)
    parts = split_range(len(x), pieces)
    parallel(lambda i: task(parts[i]), len(parts), x.size)


def _moments(x: Array) -> tuple[Array, Array]:
    """Mean and biased variance of each row."""
    xp = get_xp(x)
    exact = x.mean(axis=1, dtype=np.float64)
    mean = exact.astype(x.dtype)
    # What the mean lost in rounding is left in x − μ, and no variance.
    var = xp.square(x - mean[:, None]).mean(axis=1) - xp.square(exact - mean)
    if not xp.isfinite(var).all():  # the squares overflowed
        var = xp.square(x - exact[:, None]).mean(axis=1)
    return mean, var


@op
@in_float32
def _batch_norm(
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
    """y = w x̂ + b with x̂ = (x − μ) r, r = 1 / √(σ² + ε), per channel.

    With ``batch`` μ and σ² are the batch's own (σ² biased), written into ``mean`` and ``var``;
    with m values per channel, s = Σ g and t = Σ g x̂::

        dL/dx = w r (g − s/m − x̂ t/m),   dL/dw = t,   dL/db = s

    Otherwise they are constants that the caller gives, and dL/dx = w r g.

    A ``residual`` z and ``relu`` make it max(w x̂ + b + z, 0), in one pass over memory: a block of
    channels stays in its core's cache. g is then, where y is 0, 0 in all of the above, and dL/dz.
    """
    if cuda.usable(x):
        return _cuda_batch_norm(x, w, b, residual, mean, var, batch, eps, relu)
    xp = get_xp(x)
    fast = kernels("norm", x.dtype) if xp is np else None
    shape = to_batch_last(x).shape
    x = to_batch_last(x).reshape(len(mean), -1)
    z = None if residual is None else to_batch_last(residual).reshape(x.shape)
    m = x.shape[1]
    y = empty(x.shape, x.dtype, xp)
    r, scale = xp.empty_like(mean), xp.empty_like(mean)
    none, floor = xp.empty(0, x.dtype), x.dtype.type(0 if relu else -np.inf)
    eps = x.dtype.type(eps)
    statistics, (mean, var) = (mean, var), (mean.copy(), var.copy())  # the caller's may change

    def rows(array: Array | None, c: slice) -> Array:
        """The values of channels ``c`` of a (C,) or (C, M) array that may be missing."""
        return none if array is None else array[c].reshape(-1)

    def forward(c: slice) -> None:
        if fast:
            kept = mean[c], var[c], r[c], scale[c]
            added = rows(w, c), rows(b, c), rows(z, c)
            fast.forward(rows(x, c), *added, eps, floor, batch, *kept, rows(y, c))
            return
        if batch:
            mean[c], var[c] = _moments(x[c])
        r[c] = 1 / xp.sqrt(var[c] + eps)
        scale[c] = r[c] if w is None else r[c] * w[c]
        xp.subtract(x[c], mean[c, None], out=y[c])
        y[c] *= scale[c, None]
        if b is not None:
            y[c] += b[c, None]
        if z is not None:
            y[c] += z[c]
        if relu:
            xp.maximum(y[c], 0, out=y[c])

    _rows(x, forward, fast)
    if batch:
        for theirs, found in zip(statistics, (mean, var), strict=True):
            theirs[...] = found
    active = y if relu else None

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        g = to_batch_last(g).reshape(x.shape)
        gx = empty(g.shape, g.dtype, xp) if needs[0] else None
        gz = g if active is None or not needs[3] else empty(g.shape, g.dtype, xp)
        s, t = xp.empty_like(mean), xp.empty_like(mean)

        def task(c: slice) -> None:
            h = gz[c]
            if active is not None and not needs[3]:
                h = scratch("gradient", g[c.start : c.start + 1] if fast else g[c])
            if fast:
                flat = rows(g, c), rows(active, c), rows(x, c)
                kept = mean[c], r[c], scale[c]
                fast.backward(*flat, batch, *kept, s[c], t[c], rows(gx, c), h.reshape(-1))
                return
            if active is not None:
                relu_gradient(h.reshape(-1), active[c].reshape(-1), g[c].reshape(-1))
            s[c] = h.sum(axis=1)
            t[c] = (h * (x[c] - mean[c, None])).sum(axis=1) * r[c]
            if gx is None:
                return
            if not batch:
                xp.multiply(h, scale[c, None], out=gx[c])
                return
            xp.subtract(x[c], mean[c, None], out=gx[c])
            gx[c] *= (-scale[c] * r[c] * t[c] / m)[:, None]
            gx[c] -= (scale[c] * s[c] / m)[:, None]
            gx[c] += h * scale[c, None]

        _rows(x, task, fast)
        return (
            None if gx is None else from_batch_last(gx.reshape(shape)),
            t,
            s,
            from_batch_last(gz.reshape(shape)) if needs[3] else None,
        )

    return from_batch_last(y.reshape(shape)), backward


THREADS, PER_THREAD = 256, 16  # of a block of kernels/norm.cu, and values of each


def _cuda_batch_norm(
    x: Array,
    w: Array | None,
    b: Array | None,
    residual: Array | None,
    mean: Array,
    var: Array,
    batch: bool,
    eps: float,
    relu: bool,
) -> tuple[Array, Backward]:
    """:func:`_batch_norm` by CUDA kernels."""
    xp = get_xp(x)
    shape = to_batch_last(x).shape
    x = to_batch_last(x).reshape(len(mean), -1)
    z = None if residual is None else to_batch_last(residual).reshape(x.shape)
    w, b = (v if v is None else xp.ascontiguousarray(v) for v in (w, b))
    c, m = x.shape
    segments = max(1, cuda.blocks(m, THREADS * PER_THREAD))
    partial = (c, segments, 2)

    def run(name: str, *args: Array | int | float | None, threads: int = THREADS) -> None:
        grid = c * segments if threads == THREADS else c
        macros = {"REAL": x.dtype, "THREADS": THREADS, "PER_THREAD": PER_THREAD}
        cuda.launch("norm", name, grid, threads, args, **macros)

    if batch:
        moments = xp.empty(partial, x.dtype)
        run("moments", x, m, segments, moments)
        run("merge_moments", moments, m, segments, mean, var, threads=32)
    else:
        mean, var = xp.ascontiguousarray(mean), xp.ascontiguousarray(var)
    y, kept = xp.empty(x.shape, x.dtype), xp.empty((2, c), x.dtype)
    run("normalize", x, z, m, segments, c, mean, var, w, b, eps, relu, y, kept)
    active = y if relu else None

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        g = to_batch_last(g).reshape(x.shape)
        sums = xp.empty(partial, x.dtype)
        s, t = xp.empty(c, x.dtype), xp.empty(c, x.dtype)
        run("sums", g, active, x, m, segments, kept, sums)
        run("merge_sums", sums, segments, c, kept, s, t, threads=32)
        gx = xp.empty(x.shape, x.dtype) if needs[0] else None
        gz = xp.empty(x.shape, x.dtype) if needs[3] and relu else None
        if gx is not None or gz is not None:
            run("gradient", g, active, x, m, segments, c, kept, w, s, t, batch, gx, gz)
        return (
            None if gx is None else from_batch_last(gx.reshape(shape)),
            t,
            s,
            from_batch_last((g if gz is None else gz).reshape(shape)) if needs[3] else None,
        )

    return from_batch_last(y.reshape(shape)), backward


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    residual: Tensor | None = None,
    relu: bool = False,
) -> Tensor:
    """Shift and scale each channel to mean 0 and variance 1, then by ``weight`` and ``bias``.

    What follows it in a residual network may be done in the same pass, in which a layer whose time
    goes on reading and writing memory is done sooner: ``relu(batch_norm(input) + residual)``.

    Args:
        input: (N, C) or (N, C, ...).
        running_mean, running_var: (C,) or None. In training they move towards the batch's moments
            by the fraction ``momentum`` (in place; the variance unbiased); otherwise they are what
            is used.
        weight, bias: (C,) or None.
        training: use the batch's own moments.
        eps: added to the variance.
        residual: of the shape and dtype of ``input``, added to the result, or None. (Not in
            PyTorch.)
        relu: then take the larger of the result and 0. (Not in PyTorch.)

    Raises:
        ValueError: shapes do not agree, or training on one value per channel, with one of the
            running statistics but not the other, or with eps = 0.
    """
    check.floating("input", check.tensor("input", input))
    if input.ndim < 2:
        raise ValueError(f"input: expected shape (N, C) or (N, C, ...), got {input.shape}")
    c = input.shape[1]
    named = {
        "running_mean": running_mean,
        "running_var": running_var,
        "weight": weight,
        "bias": bias,
    }
    for name, t in named.items():
        check.vector(name, t, c, input)
    if residual is not None:
        check.tensor("residual", residual)
        for what in ("shape", "dtype"):
            came, expected = getattr(residual, what), getattr(input, what)
            if came != expected:
                raise ValueError(f"residual: expected {what} {expected} as input, got {came}")
    options: dict[str, Any] = {
        "batch": check.boolean("training", training),
        "eps": check.number("eps", eps, 0),
        "relu": check.boolean("relu", relu),
    }
    dtype = adding_dtype(input.dtype)
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("running_mean: expected running statistics when training=False")
        mean, var = (t.data.astype(dtype, copy=False) for t in (running_mean, running_var))
        options |= {"mean": mean, "var": var}
        return _batch_norm(input, weight, bias, residual, **options)
    if (running_mean is None) != (running_var is None):
        raise ValueError("running_mean: expected both or none of running_mean and running_var")
    momentum = check.number("momentum", momentum, 0, 1)
    for name, t in (("running_mean", running_mean), ("running_var", running_var)):
        if t is not None:
            check.writable(name, t)
    if eps == 0:
        raise ValueError("eps: expected a number above 0 when training, got 0")
    count = input.numel() // max(1, c)
    if count <= 1:
        raise ValueError(
            f"input: expected more than one value per channel when training, got {input.shape}"
        )
    xp = get_xp(input.data)
    mean, var = xp.empty(c, dtype), xp.empty(c, dtype)
    y = _batch_norm(input, weight, bias, residual, mean=mean, var=var, **options)
    if running_mean is not None and running_var is not None:
        _track(running_mean.data, running_var.data, mean, var, momentum, count / (count - 1))
    return y


@np.errstate(all="ignore")  # overflow shows in the loss, as in the operations
def _track(
    running_mean: Array, running_var: Array, mean: Array, var: Array, momentum: float, unbias: float
) -> None:
    """Move running statistics towards the batch's, in place; on a GPU in one launch."""
    theirs = running_mean, running_var
    dense = all(a.flags.c_contiguous and a.dtype == mean.dtype for a in theirs)
    if cuda.usable(mean) and dense:
        c = len(mean)
        args = (mean, var, c, 1 - momentum, momentum, unbias, running_mean, running_var)
        macros = {"REAL": mean.dtype, "THREADS": THREADS, "PER_THREAD": PER_THREAD}
        cuda.launch("norm", "track", cuda.blocks(c, THREADS), THREADS, args, **macros)
        return
    for running, now in ((running_mean, mean), (running_var, var * unbias)):
        running *= 1 - momentum
        running += momentum * now
