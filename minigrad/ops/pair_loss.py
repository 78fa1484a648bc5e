"""Element-wise losses of a prediction and a target of the same shape."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import check
from ..device import Array, get_xp
from ..dispatch import Dispatched
from ..options import lacks
from ..sums import in_float32, total
from ..tape import Backward, Rerun, keeping, op
from ..tensor import Tensor
from .loss import REDUCTIONS

Slopes = Callable[[tuple[bool, ...]], tuple[Any, ...]]


def reducible(function: Callable[..., tuple[Array, Slopes]]) -> Callable[..., Any]:
    """An operation that reduces the losses ℓ of ``function`` to mean or sum, or returns them all.
    ``function`` returns ℓ and a function of ``needs`` that returns dℓ/dx for each of its arrays
    x."""

    @functools.wraps(function)
    def loss(*arrays: Any, reduction: str, **options: Any) -> tuple[Array, Backward]:
        each, slopes = function(*arrays, **options)
        m = each.dtype.type(each.size if reduction == "mean" else 1)

        def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
            return tuple(None if s is None else g / m * s for s in slopes(needs))

        backward = keeping(backward, *getattr(slopes, "args", arrays))
        y = each if reduction == "none" else total(each, tuple(range(each.ndim))) / m
        return get_xp(each).asarray(y, each.dtype), backward

    return loss


def _checked(input: Tensor, target: Tensor, reduction: str) -> str:
    check.floating("input", check.tensor("input", input))
    check.floating("target", check.tensor("target", target))
    check.beside("target", target, input)
    if input.shape != target.shape:
        raise ValueError(f"target: expected input's shape {input.shape}, got {target.shape}")
    if input.dtype != target.dtype:
        raise TypeError(f"target: expected dtype {input.dtype} as input, got {target.dtype}")
    return check.choice("reduction", reduction, REDUCTIONS)


def _of_difference(d: Array, slope: Callable[[], Array]) -> Slopes:
    """The slopes of a function of d = a − b, from that by d."""

    def slopes(needs: tuple[bool, ...]) -> tuple[Array, Array | None]:
        by_d = slope()
        return by_d, -by_d if needs[1] else None

    return keeping(slopes, d, 0)


@op(twice=Rerun("a b"))
@in_float32
@reducible
def _mse_loss(a: Array, b: Array) -> tuple[Array, Slopes]:
    """ℓ = (a − b)²,  dℓ/da = 2 (a − b) = −dℓ/db."""
    d = a - b
    return d * d, _of_difference(d, lambda: 2 * d)


@op(twice=Rerun("a b"))
@in_float32
@reducible
def _l1_loss(a: Array, b: Array) -> tuple[Array, Slopes]:
    """ℓ = |a − b|,  dℓ/da = sign(a − b) = −dℓ/db; 0 for NaN."""
    d = a - b
    return get_xp(a).abs(d), _of_difference(d, lambda: (d > 0).astype(d.dtype) - (d < 0))


@op(twice=Rerun("a b"))
@in_float32
@reducible
def _smooth_l1_loss(a: Array, b: Array, *, beta: float) -> tuple[Array, Slopes]:
    """With d = a − b:  ℓ = d² / 2β where |d| < β, else |d| − β/2;  dℓ/da = d / β or sign d."""
    xp, d = get_xp(a), a - b
    size = xp.abs(d)
    near = size < beta
    y = xp.where(near, 0.5 * d * d / beta, size - 0.5 * beta)
    return y, _of_difference(d, lambda: xp.where(near, d / beta, xp.sign(d)))


@op(twice=Rerun("a b"))
@in_float32
@reducible
def _huber_loss(a: Array, b: Array, *, delta: float) -> tuple[Array, Slopes]:
    """With d = a − b:  ℓ = d² / 2 where |d| ≤ δ, else δ (|d| − δ/2);  dℓ/da = d or δ sign d."""
    xp, d = get_xp(a), a - b
    size = xp.abs(d)
    near = size <= delta
    y = xp.where(near, 0.5 * d * d, delta * (size - 0.5 * delta))
    return y, _of_difference(d, lambda: xp.where(near, d, delta * xp.sign(d)))


@op(twice=Rerun("a p"))
@in_float32
@reducible
def _kl_div(a: Array, p: Array, *, log_target: bool) -> tuple[Array, Slopes]:
    """ℓ = p (ln p − a), 0 where p = 0;  dℓ/da = −p,  dℓ/dp = ln p + 1 − a.

    With ``log_target`` b = ln p is given:  dℓ/db = eᵇ (b + 1 − a).
    """
    xp = get_xp(a)
    if log_target:
        size = xp.exp(p)
        return size * (p - a), lambda needs: (-size, size * (p + 1 - a) if needs[1] else None)
    logarithm = xp.log(p)
    y = xp.where(p == 0, p * 0, p * logarithm) - p * a
    return y, lambda needs: (-p, logarithm + 1 - a if needs[1] else None)


@op(twice=Rerun("p t w"))
@in_float32
@reducible
def _binary_cross_entropy(p: Array, t: Array, w: Array | None) -> tuple[Array, Slopes]:
    """ℓ = −w (t ln p + (1 − t) ln(1 − p)), no logarithm counting for less than −100;

    dℓ/dp = w (p − t) / max(p (1 − p), 10⁻¹²),  dℓ/dt = w (ln(1 − p) − ln p).
    """
    xp, one = get_xp(p), p.dtype.type(1)
    w = one if w is None else w
    true, false = xp.log(p), xp.log1p(-p)
    y = (t - 1) * xp.maximum(false, -100) - t * xp.maximum(true, -100)

    def slopes(needs: tuple[bool, ...]) -> tuple[Any, ...]:
        least = p.dtype.type(np.float32(1e-12))  # as in PyTorch
        at_p = w * (p - t) / xp.maximum(p * (1 - p), least)
        return at_p, w * (false - true) if needs[1] else None, None

    return y * w, slopes


@op(twice=Rerun("x t w"))
@in_float32
@reducible
def _bce_with_logits(
    x: Array, t: Array, w: Array | None, positive: Array | None
) -> tuple[Array, Slopes]:
    """ℓ = w ((1 − t) x + q s) with s = ln(1 + e⁻ˣ), q = 1 + (p − 1) t and the positives' weight p;

    dℓ/dx = w (σ(x) − t − (p − 1) t (1 − σ(x))),  dℓ/dt = w ((p − 1) s − x).
    """
    xp, one, factor = get_xp(x), x.dtype.type(1), w
    w = one if w is None else w
    more = one * 0 if positive is None else positive - 1
    low = xp.where(x < 0, -x, one * 0)  # the larger of −x and 0, smooth with the other term at 0
    s = xp.log1p(xp.exp(-x - 2 * low)) + low

    def slopes(needs: tuple[bool, ...]) -> tuple[Any, ...]:
        sigmoid = 1 / (1 + xp.exp(-x))
        at_x = w * (sigmoid - t - more * t * (1 - sigmoid))
        return at_x, w * (more * s - x) if needs[1] else None, None, None

    y = ((1 - t) * x + (1 + more * t) * s) * w
    return y, keeping(slopes, x, t, factor, None if positive is None else lambda: more + 1)


def _old(size_average: None, reduce: None) -> None:
    """PyTorch's deprecated options."""
    check.unsupported("size_average", size_average, None)
    check.unsupported("reduce", reduce, None)


@lacks("weight")
def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: None = None,
    reduce: None = None,
    reduction: str = "mean",
) -> Tensor:
    """Squared error of two floating tensors of the same shape, which do not broadcast."""
    _old(size_average, reduce)
    return _mse_loss(input, target, reduction=_checked(input, target, reduction))


@lacks("weight")
def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: None = None,
    reduce: None = None,
    reduction: str = "mean",
) -> Tensor:
    """Absolute error of two floating tensors of the same shape, which do not broadcast."""
    _old(size_average, reduce)
    return _l1_loss(input, target, reduction=_checked(input, target, reduction))


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: None = None,
    reduce: None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """:func:`l1_loss` with a parabola where the error is below ``beta`` (Girshick, ICCV 2015)."""
    _old(size_average, reduce)
    reduction, beta = _checked(input, target, reduction), check.number("beta", beta, 0)
    if beta == 0:
        return _l1_loss(input, target, reduction=reduction)
    return _smooth_l1_loss(input, target, reduction=reduction, beta=beta)


@lacks("weight")
def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0
) -> Tensor:
    """Half the squared error up to an error of ``delta``, a straight line beyond (Huber 1964)."""
    reduction, delta = _checked(input, target, reduction), check.number("delta", delta, 0)
    if delta == 0:
        raise ValueError("delta: expected a number above 0, got 0")
    return _huber_loss(input, target, reduction=reduction, delta=delta)


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: None = None,
    reduce: None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """Kullback-Leibler divergence of the distribution ``target`` from the one whose logarithm is
    ``input``.

    Args:
        input, target: of one shape and floating dtype.
        reduction: "batchmean" (the sum over the number of rows, which is the divergence), "mean"
            (over all elements), "sum" or "none".
        log_target: ``target`` is a logarithm too.
    """
    _old(size_average, reduce)
    log_target = check.boolean("log_target", log_target)
    check.choice("reduction", reduction, ("batchmean", *REDUCTIONS))
    rows = reduction == "batchmean"
    reduction = _checked(input, target, "sum" if rows else reduction)
    y = _kl_div(input, target, reduction=reduction, log_target=log_target)
    return y / input.shape[0] if rows and input.ndim else y


def _factor(name: str, weight: Tensor | None, input: Tensor) -> None:
    """``weight`` must be None, or fit ``input`` and be a constant."""
    if weight is None:
        return
    check.tensor(name, weight)
    check.beside(name, weight, input)
    if weight.dtype != input.dtype:
        raise TypeError(f"{name}: expected dtype {input.dtype} as input, got {weight.dtype}")
    if weight.ndim > input.ndim or any(
        n not in (1, m) for n, m in zip(weight.shape[::-1], input.shape[::-1], strict=False)
    ):
        raise ValueError(f"{name}: expected a shape that fits {input.shape}, got {weight.shape}")
    if weight.requires_grad:
        raise NotImplementedError(f"{name}: gradients of weights are not supported")


@Dispatched
def check_probabilities(name: str, x: Array) -> None:
    """Raise ValueError unless all values are in [0, 1]."""
    if not ((x >= 0) & (x <= 1)).all():
        raise ValueError(f"{name}: expected probabilities from 0 to 1")


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: None = None,
    reduce: None = None,
    reduction: str = "mean",
) -> Tensor:
    """Cross-entropy of probabilities of two classes, −(t ln p + (1 − t) ln(1 − p)).

    :func:`binary_cross_entropy_with_logits` is accurate where this function rounds or overflows.

    Args:
        input: probabilities p, after a sigmoid.
        target: probabilities t of input's shape and dtype.
        weight: a factor per element that broadcasts to input's shape.
        reduction: "mean" (over all elements), "sum" or "none".

    Raises:
        ValueError: shapes do not match, or a value is not a probability.
    """
    _old(size_average, reduce)
    reduction = _checked(input, target, reduction)
    _factor("weight", weight, input)
    for name, t in (("input", input), ("target", target)):
        check_probabilities.run(name, t.data)
    return _binary_cross_entropy(input, target, weight, reduction=reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: None = None,
    reduce: None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """:func:`binary_cross_entropy` of sigmoid(input), without overflow.

    Args:
        input: logits.
        target: probabilities of input's shape and dtype.
        weight: a factor per element that broadcasts to input's shape.
        reduction: "mean" (over all elements), "sum" or "none".
        pos_weight: the weight of the positive class, which broadcasts to input's shape.
    """
    _old(size_average, reduce)
    reduction = _checked(input, target, reduction)
    _factor("weight", weight, input)
    _factor("pos_weight", pos_weight, input)
    return _bce_with_logits(input, target, weight, pos_weight, reduction=reduction)
