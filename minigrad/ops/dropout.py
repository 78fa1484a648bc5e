"""Dropout (Srivastava et al., JMLR 2014), scaled in training so that evaluation is the identity."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import check, rng
from ..device import Array, device_of, get_xp, move
from ..layout import from_batch_last
from ..tape import Backward, Diagonal, op
from ..tensor import Tensor


@op(twice=Diagonal())
def _dropout(x: Array, *, draw: Callable[[], rng.Draw], p: float) -> tuple[Array, Backward]:
    """y = x k s with a mask k of zeros and ones and s = 1/(1 − p),  dL/dx = g k s.

    ``draw()`` gives the random draw of the mask. A captured step calls it in each replay.
    """
    factor = move(keep_mask(x, draw(), p), device_of(x)) * x.dtype.type(scale(p))
    return x * factor, lambda g, needs: (g * factor,)


def scale(p: float) -> float:
    """The factor of the elements that are kept: 1 / (1 − p)."""
    return 0.0 if p == 1 else 1 / (1 - p)


def keep_mask(x: Array, draw: rng.Draw, p: float) -> Array:
    """The mask of kept elements, drawn on the CPU in the order of batch-innermost memory.

    For a part of a batch (:func:`minigrad.rng.part_of_batch`), the mask of the whole batch is
    drawn. Then x may have several rows for each row of the batch, such as one per attention head.
    """
    part = rng.current_part()
    if part is None or not x.ndim:
        mask = draw.keep_mask((*x.shape[1:], *x.shape[:1]), p)
        return from_batch_last(mask) if mask.ndim else mask
    each, left = divmod(len(x), len(part)) if len(part) else (1, len(x))
    if left:
        raise ValueError(
            f"input: expected a multiple of the {len(part)} rows of this process's part of the "
            f"batch, got {x.shape}"
        )
    mask = draw.keep_mask((*x.shape[1:], part.total, each), p)[..., part.rows, :]
    return from_batch_last(np.ascontiguousarray(mask.reshape(*x.shape[1:], len(x))))


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """In training, zero each element with probability ``p`` and scale the others by 1 / (1 − p).

    The mask is the next draw of the sequence of :func:`minigrad.manual_seed`, in memory order
    (batch innermost), and the same on every device.
    """
    check.boolean("inplace", inplace)
    check.floating("input", check.tensor("input", input))
    p = check.number("p", p, 0, 1)
    if not check.boolean("training", training) or p == 0:
        return input
    return _dropout(input, draw=rng.next_draw, p=p)


def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """:func:`dropout` of whole channels of (N, C, L) or (C, L)."""
    return _of_channels(input, p, training, inplace, (2, 3), "(N, C, L) or (C, L)")


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """:func:`dropout` of whole channels of (N, C, H, W) (Tompson et al., CVPR 2015)."""
    return _of_channels(input, p, training, inplace, (4,), "(N, C, H, W)")


def _of_channels(
    input: Tensor, p: float, training: bool, inplace: bool, ndims: tuple[int, ...], layout: str
) -> Tensor:
    check.floating("input", check.tensor("input", input, ndims, layout))
    kept = 1 if input.ndim == 2 else 2  # one factor per (N, C), or per C
    xp = get_xp(input.data)
    ones = Tensor(xp.ones((*input.shape[:kept], *(1,) * (input.ndim - kept)), input.dtype))
    factors = dropout(ones, p, training, inplace)
    return input if factors is ones else input * factors
