"""Batch norm on a GPU by the kernels of norm.cu."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..device import Array, get_xp
from ..layout import from_batch_last, to_batch_last
from ..ops.norm import _batch_norm, _track
from ..tape import Backward
from . import launch as cuda

THREADS, PER_THREAD = 256, 16  # threads per block of norm.cu, and values per thread
WHOLE = 2 * THREADS * PER_THREAD  # values of a channel that one block takes alone


@_batch_norm.on("gpu", when=cuda.serves)
def batch_norm(
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
    """One pass over memory for the moments and one for the result; two for the gradients.

    Each is one launch: sums over blocks are completed by the next one. Forward or backward is one
    launch where a block has a whole channel.
    """
    xp = get_xp(x)
    shape = to_batch_last(x).shape
    x = to_batch_last(x).reshape(len(mean), -1)
    z = None if residual is None else to_batch_last(residual).reshape(x.shape)
    w, b = (v if v is None else xp.ascontiguousarray(v) for v in (w, b))
    c, m = x.shape
    segments = 1 if m <= WHOLE else cuda.blocks(m, THREADS * PER_THREAD)
    partial = (c, segments, 2)

    def run(name: str, *args: Array | int | float | None) -> None:
        macros = {"REAL": x.dtype, "THREADS": THREADS, "PER_THREAD": PER_THREAD}
        cuda.launch("norm", name, c * segments, THREADS, args, **macros)

    moments = None
    if batch and segments > 1:
        moments = xp.empty(partial, x.dtype)
        run("moments", x, m, segments, moments)
    if not batch:
        mean, var = xp.ascontiguousarray(mean), xp.ascontiguousarray(var)
    y, kept = xp.empty(x.shape, x.dtype), xp.empty((2, c), x.dtype)
    numbers = m, 1 / max(1, m), segments, c, batch
    run("normalize", x, z, *numbers, moments, mean, var, w, b, eps, relu, y, kept)
    active = y if relu else None

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        g = to_batch_last(g).reshape(x.shape)
        sums = None
        if segments > 1:
            sums = xp.empty(partial, x.dtype)
            run("sums", g, active, x, m, segments, kept, sums)
        s, t = xp.empty(c, x.dtype), xp.empty(c, x.dtype)
        gx = xp.empty(x.shape, x.dtype) if needs[0] else None
        gz = xp.empty(x.shape, x.dtype) if needs[3] and relu else None
        run("gradient", g, active, x, m, segments, c, kept, w, sums, s, t, batch, gx, gz)
        return (
            None if gx is None else from_batch_last(gx.reshape(shape)),
            t,
            s,
            from_batch_last((g if gz is None else gz).reshape(shape)) if needs[3] else None,
        )

    return from_batch_last(y.reshape(shape)), backward


def _dense(*arrays: Any, **_: Any) -> bool:
    """Whether the kernel serves ``arrays``: statistics of one dtype and C order, and a counter."""
    *statistics, batches = arrays
    dtype = statistics[-1].dtype
    return (
        cuda.usable(statistics[0])
        and all(a.flags.c_contiguous and a.dtype == dtype for a in statistics)
        and (batches is None or batches.dtype == np.int64)
    )


@_track.on("gpu", when=_dense)
def track(
    running_mean: Array,
    running_var: Array,
    mean: Array,
    var: Array,
    batches: Array | None,
    *,
    momentum: float,
    unbias: float,
) -> None:
    """One launch."""
    c = len(mean)
    args = (mean, var, c, 1 - momentum, momentum, unbias, running_mean, running_var, batches)
    macros = {"REAL": mean.dtype, "THREADS": THREADS, "PER_THREAD": PER_THREAD}
    cuda.launch("norm", "track", cuda.blocks(c, THREADS), THREADS, args, **macros)
