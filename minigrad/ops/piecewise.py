"""Piecewise-linear activations, cheap on any device."""

from __future__ import annotations

import math

from .. import check
from ..device import Array, get_xp
from ..sums import in_float32
from ..tape import Backward, Diagonal, Rerun, op
from ..tensor import Tensor

Pair = tuple[Array, Backward]


@op(twice=Diagonal())
def _hardtanh(x: Array, *, low: float, high: float) -> Pair:
    """y = min(max(x, low), high),  dL/dx = g unless x ≤ low or x ≥ high, else 0."""
    xp = get_xp(x)
    y = xp.minimum(xp.maximum(x, low), high)
    return y, lambda g, needs: (xp.where((x <= low) | (x >= high), g.dtype.type(0), g),)


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """``input`` limited to [min_val, max_val]; the gradient at the limits is 0."""
    check.boolean("inplace", inplace)
    check.floating("input", check.tensor("input", input))
    low = check.number("min_val", min_val, -math.inf)
    return _hardtanh(input, low=low, high=check.number("max_val", max_val, low))


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(input, 0), 6) (Krizhevsky 2010)."""
    return hardtanh(input, 0.0, 6.0, inplace)


@op(twice=Diagonal())
@in_float32
def _hardsigmoid(x: Array) -> Pair:
    """y = min(max(x + 3, 0), 6) / 6,  dL/dx = g / 6 where −3 < x < 3, else 0."""
    xp = get_xp(x)
    y = xp.minimum(xp.maximum(x + 3, 0), 6) / 6
    return y, lambda g, needs: (xp.where((x > -3) & (x < 3), g / 6, g.dtype.type(0)),)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(input + 3, 0), 6) / 6, a piecewise-linear sigmoid."""
    check.boolean("inplace", inplace)
    check.floating("input", check.tensor("input", input))
    return _hardsigmoid(input)


@op(twice=Rerun("x"))
@in_float32
def _hardswish(x: Array) -> Pair:
    """y = x min(max(x + 3, 0), 6) / 6,  dL/dx = 0 where x ≤ −3, g where x ≥ 3, else
    g (x / 3 + 1 / 2)."""
    xp = get_xp(x)
    y = x * xp.minimum(xp.maximum(x + 3, 0), 6) / 6

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        slope = xp.where(x >= 3, x.dtype.type(1), x / 3 + 0.5)
        return (xp.where(x <= -3, g.dtype.type(0), g * slope),)

    return y, backward


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """input · hardsigmoid(input) (Howard et al., ICCV 2019)."""
    check.boolean("inplace", inplace)
    check.floating("input", check.tensor("input", input))
    return _hardswish(input)


@op(twice=Rerun("x w"))
@in_float32
def _prelu(x: Array, w: Array) -> Pair:
    """y = x where x > 0, else w x;  dL/dx = g or w g,  dL/dw = g x where x ≤ 0, else 0."""
    xp = get_xp(x)
    positive = x > 0

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        return (
            xp.where(positive, g, g * w) if needs[0] else None,
            xp.where(positive, g.dtype.type(0), g * x) if needs[1] else None,
        )

    return xp.where(positive, x, x * w), backward


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """``input`` where positive, else ``weight * input`` with a learnt slope (He et al., ICCV 2015).

    Args:
        input: (N, C, ...), or any shape with a single slope.
        weight: (C,), a slope per channel, or (1,) or (), one for all.
    """
    check.floating("input", check.tensor("input", input))
    check.tensor("weight", weight, (0, 1), "(C,), (1,) or ()")
    if weight.dtype != input.dtype:
        raise TypeError(f"weight: expected dtype {input.dtype} as input, got {weight.dtype}")
    channels = input.shape[1] if input.ndim > 1 else 1
    if weight.numel() == 1:
        return _prelu(input, weight.reshape((1,) * min(input.ndim, 1)))
    if weight.shape != (channels,):
        raise ValueError(f"weight: expected shape ({channels},) or (1,), got {weight.shape}")
    return _prelu(input, weight.reshape(channels, *(1,) * (input.ndim - 2)))
