"""Normalisation of each example by itself: layer, group and instance norm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import check
from ..device import Array, get_xp
from ..sums import in_float32, total
from ..tape import Backward, Rerun, keeping, op
from ..tensor import Tensor


def standardize(x: Array, axes: tuple[int, ...], eps: float) -> tuple[Array, Any]:
    """x̂ = (x − μ) r with r = 1 / √(σ² + ε), mean μ and biased variance σ² over ``axes``; and the
    function that computes dL/dx from dL/dx̂ = g::

        dL/dx = r (g − mean of g − x̂ · mean of g x̂)

    Its attribute ``centred`` gives x − μ, whose x̂ is the same.
    """
    m = x.dtype.type(max(1, math.prod(x.shape[i] for i in axes)))

    def mean(v: Array) -> Array:
        return total(v, axes, True) / m

    centred = x - mean(x)
    r = 1 / get_xp(x).sqrt(mean(centred * centred) + x.dtype.type(eps))
    y = centred * r

    def slope(g: Array) -> Array:
        return r * (g - mean(g) - y * mean(g * y))

    slope.centred = lambda: y / r  # type: ignore[attr-defined]
    return y, slope


@op(twice=Rerun("x w"))
@in_float32
def _layer_norm(
    x: Array, w: Array | None, b: Array | None, *, dims: int, eps: float
) -> tuple[Array, Backward]:
    """y = w x̂ + b with x̂ standardised over the last ``dims`` axes;  dL/dw = Σ g x̂,  dL/db = Σ g."""
    normal, slope = standardize(x, tuple(range(x.ndim - dims, x.ndim)), eps)
    y = normal if w is None else normal * w
    if b is not None:
        y = y + b

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        return (
            slope(g if w is None else g * w) if needs[0] else None,
            g * normal if needs[1] else None,
            g,
        )

    return y, keeping(backward, slope.centred, w, b)


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each example to mean 0 and variance 1, then apply ``weight`` and ``bias`` (Ba et
    al. 2016).

    Args:
        input: (..., *normalized_shape).
        normalized_shape: the last sizes of the input, over which mean and variance are taken.
        weight, bias: of ``normalized_shape``, or None.
        eps: added to the variance.

    Raises:
        ValueError: shapes do not agree.
    """
    check.floating("input", check.tensor("input", input))
    sizes = normalized_sizes(normalized_shape)
    if input.shape[-len(sizes) :] != sizes:
        expected = ", ".join(map(str, ("...", *sizes)))
        raise ValueError(f"input: expected shape ({expected}), got {input.shape}")
    for name, t in (("weight", weight), ("bias", bias)):
        if t is None:
            continue
        if check.tensor(name, t).shape != sizes:
            raise ValueError(f"{name}: expected shape {sizes}, got {t.shape}")
        if t.dtype != input.dtype:
            raise TypeError(f"{name}: expected dtype {input.dtype} as input, got {t.dtype}")
    return _layer_norm(input, weight, bias, dims=len(sizes), eps=check.number("eps", eps, 0))


def normalized_sizes(normalized_shape: Any) -> tuple[int, ...]:
    """``normalized_shape`` of a layer norm, checked: at least one size."""
    if not isinstance(normalized_shape, (tuple, list)) or not normalized_shape:
        got = check.shown(normalized_shape)
        raise TypeError(f"normalized_shape: expected a tuple of at least one size, got {got}")
    return tuple(check.integer("normalized_shape", n, 0) for n in normalized_shape)


@op(twice=Rerun("x w"))
@in_float32
def _group_norm(
    x: Array, w: Array | None, b: Array | None, *, groups: int, eps: float
) -> tuple[Array, Backward]:
    """y = w x̂ + b per channel, with x̂ standardised over the channels and pixels of each group;
    dL/dw = Σ g x̂,  dL/db = Σ g over all but the channels."""
    shape, parts = x.shape, (x.shape[0], groups, x.shape[1] // groups, *x.shape[2:])
    others = (0, *range(2, x.ndim))

    def beside(v: Array) -> Array:
        """A value per channel, in a shape that broadcasts with x."""
        return v.reshape(-1, *[1] * (x.ndim - 2))

    normal, slope = standardize(x.reshape(parts), tuple(range(2, len(parts))), eps)
    normal = normal.reshape(shape)
    y = normal if w is None else normal * beside(w)
    if b is not None:
        y = y + beside(b)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        gx = None
        if needs[0]:
            gx = slope((g if w is None else g * beside(w)).reshape(parts)).reshape(shape)
        return (
            gx,
            total(g * normal, others) if needs[1] else None,
            total(g, others) if needs[2] else None,
        )

    return y, keeping(backward, lambda: slope.centred().reshape(shape), w, b)


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each group of channels of an example to mean 0 and variance 1, then apply
    ``weight`` and ``bias`` per channel (Wu & He, ECCV 2018).

    Args:
        input: (N, C, ...).
        num_groups: a divisor of C.
        weight, bias: (C,) or None.
        eps: added to the variance.

    Raises:
        ValueError: shapes do not agree, or there is a single value to normalise.
    """
    check.floating("input", check.tensor("input", input))
    if input.ndim < 2:
        raise ValueError(f"input: expected shape (N, C, ...), got {input.shape}")
    channels = input.shape[1]
    if channels % check.integer("num_groups", num_groups, 1):
        raise ValueError(f"num_groups: expected a divisor of {channels} channels, got {num_groups}")
    check.vector("weight", weight, channels, input)
    check.vector("bias", bias, channels, input)
    if input.numel() == num_groups:
        raise ValueError(
            f"input: expected more than one value per group, got shape {input.shape} "
            f"for {num_groups} groups"
        )
    return _group_norm(input, weight, bias, groups=num_groups, eps=check.number("eps", eps, 0))


def instance_norm(
    input: Tensor,
    running_mean: None = None,
    running_var: None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """:func:`group_norm` with one channel per group (Ulyanov et al. 2016).

    Args:
        input: (N, C, L), (N, C, H, W) or (N, C, D, H, W).
        running_mean, running_var, use_input_stats: running statistics are not supported.
        weight, bias: (C,) or None.
        momentum: no effect without running statistics.
        eps: added to the variance.

    Raises:
        ValueError: shapes do not agree, or a channel has a single value.
    """
    check.unsupported("running_mean", running_mean, None)
    check.unsupported("running_var", running_var, None)
    check.unsupported("use_input_stats", use_input_stats, True)
    check.number("momentum", momentum, 0, 1)
    check.tensor("input", input)
    if math.prod(input.shape[2:]) == 1:
        raise ValueError(f"input: expected more than one pixel per channel, got {input.shape}")
    if 0 in input.shape[1:]:
        raise ValueError(f"input: expected at least one channel and pixel, got {input.shape}")
    return group_norm(input, input.shape[1], weight, bias, eps)
