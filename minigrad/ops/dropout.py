"""Dropout (Srivastava et al., JMLR 2014), scaled in training so that evaluation is the identity."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import check, rng
from ..cpu.compiled import kernels
from ..cpu.elementwise import elementwise
from ..device import Array, device_of, get_xp, move
from ..gpu import launch as cuda
from ..gpu.capture import varying
from ..layout import from_batch_last, to_batch_last
from ..memory import empty
from ..tape import Backward, op
from ..tensor import Tensor

THREADS = 256  # of a block of kernels/dropout.cu


@op
def _dropout(x: Array, *, draw: Callable[[], rng.Draw], p: float) -> tuple[Array, Backward]:
    """y = x k s with a mask k of zeros and ones and s = 1/(1 − p),  dL/dx = g k s.

    ``draw()`` is the mask's; a captured step asks for one each time that it runs.
    """
    xp = get_xp(x)
    scale = 0.0 if p == 1 else 1 / (1 - p)

    def stream() -> tuple[int, int, int]:
        this = draw()
        return *this.key, this.number

    def by_kernel(a: Array) -> Array:
        a = to_batch_last(a) if a.ndim else a
        y = empty(a.shape, a.dtype, xp)
        args = (a, a.size, words, rng.threshold(p), scale, y)
        grid = cuda.blocks(a.size, 8 * THREADS)
        cuda.launch("dropout", "dropout", grid, THREADS, args, REAL=a.dtype)
        return from_batch_last(y) if y.ndim else y

    if cuda.usable(x):
        words = varying(stream, 3, np.uint64, xp)
        return by_kernel(x), lambda g, needs: (by_kernel(g),)

    keep = move(draw().keep_mask((*x.shape[1:], *x.shape[:1]), p), device_of(x))
    fast = kernels("activation", x.dtype) if xp is np else None

    def task(out: Array, a: Array, k: Array) -> None:
        if fast:
            fast.masked(out, a, k, a.dtype.type(scale))
        else:
            xp.multiply(a, a.dtype.type(scale), out=out)
            out *= k

    def apply(a: Array) -> Array:
        return elementwise(task, a, from_batch_last(keep) if keep.ndim else keep)

    return apply(x), lambda g, needs: (apply(g),)


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """In training, zero each element with probability ``p`` and scale the others by 1 / (1 − p).

    The mask is the next draw of :func:`minigrad.manual_seed`'s sequence, drawn in memory order
    (batch innermost), and the same on every device.
    """
    check.unsupported("inplace", inplace, False)
    check.floating("input", check.tensor("input", input))
    p = check.number("p", p, 0, 1)
    if not check.boolean("training", training) or p == 0:
        return input
    return _dropout(input, draw=rng.next_draw, p=p)
