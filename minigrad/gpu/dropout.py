"""Dropout on a GPU: the kernel of dropout.cu draws the mask twice, forward and backward."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import rng
from ..device import Array, get_xp
from ..layout import from_batch_last, to_batch_last
from ..ops.dropout import _dropout, scale
from ..tape import Backward
from . import launch as cuda
from .capture import varying

THREADS = 256  # per block of dropout.cu


@_dropout.on("gpu", when=lambda *a, **k: cuda.serves(*a, **k) and rng.current_part() is None)
def dropout(x: Array, *, draw: Callable[[], rng.Draw], p: float) -> tuple[Array, Backward]:
    """One pass over memory forward and backward; only the stream's number is kept between them."""
    xp = get_xp(x)

    def stream() -> tuple[int, int, int]:
        drawn = draw()
        return *drawn.key, drawn.number

    words = varying(stream, 3, np.uint64, xp)

    def apply(a: Array) -> Array:
        a = to_batch_last(a) if a.ndim else a
        y = xp.empty(a.shape, a.dtype)
        args = (a, a.size, words, rng.threshold(p), scale(p), y)
        grid = cuda.blocks(a.size, 8 * THREADS)
        cuda.launch("dropout", "dropout", grid, THREADS, args, REAL=a.dtype)
        return from_batch_last(y) if y.ndim else y

    return apply(x), lambda g, needs: (apply(g),)
