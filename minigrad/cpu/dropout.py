"""Dropout on the CPU: one pass over memory, shared among the cores."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import rng
from ..device import Array
from ..layout import memory_order_and_back
from ..ops.dropout import _dropout, keep_mask, scale
from ..tape import Backward
from .compiled import kernels
from .elementwise import contiguous, elementwise


@_dropout.on("cpu")
def dropout(x: Array, *, draw: Callable[[], rng.Draw], p: float) -> tuple[Array, Backward]:
    """Compiled kernels, or NumPy block by block. The backward pass keeps one bool per element."""
    factor, keep = x.dtype.type(scale(p)), keep_mask(x, draw(), p)
    order, back = memory_order_and_back(x)
    keep = contiguous(keep.transpose(order)).transpose(back)  # once for both passes
    fast = kernels("activation", x.dtype)

    def by_numpy(out: Array, a: Array, k: Array) -> None:
        np.multiply(a, factor, out=out)
        out *= k

    def masked(a: Array) -> Array:
        if fast is None:
            return elementwise(by_numpy, a, keep)
        return elementwise(fast.masked, a, keep, options=(factor,))

    return masked(x), lambda g, needs: (masked(g),)
