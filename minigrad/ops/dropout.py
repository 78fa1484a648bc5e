"""Dropout (Srivastava et al., JMLR 2014), scaled in training so that evaluation is the identity."""

from __future__ import annotations

from collections.abc import Callable

from .. import check, rng
from ..device import Array, device_of, move
from ..layout import from_batch_last
from ..tape import Backward, op
from ..tensor import Tensor


@op
def _dropout(x: Array, *, draw: Callable[[], rng.Draw], p: float) -> tuple[Array, Backward]:
    """y = x k s with a mask k of zeros and ones and s = 1/(1 − p),  dL/dx = g k s.

    ``draw()`` is the mask's; a captured step asks for one each time that it runs.
    """
    factor = move(keep_mask(x, draw(), p), device_of(x)) * x.dtype.type(scale(p))
    return x * factor, lambda g, needs: (g * factor,)


def scale(p: float) -> float:
    """What makes up for the elements that are dropped: 1 / (1 − p)."""
    return 0.0 if p == 1 else 1 / (1 - p)


def keep_mask(x: Array, draw: rng.Draw, p: float) -> Array:
    """Where elements of x are kept: drawn in the order of batch-innermost memory, on the CPU."""
    mask = draw.keep_mask((*x.shape[1:], *x.shape[:1]), p)
    return from_batch_last(mask) if mask.ndim else mask


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
