"""Losses of classes, axis 1 of the prediction: (N, C), or (N, C, d1, …) for a class per pixel."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import check
from ..device import Array, get_xp
from ..dispatch import Dispatched
from ..sums import adding_dtype, in_float32, total
from ..tape import Backward, Gone, Rerun, keeping, op
from ..tensor import Tensor
from .activation import log_softmax_array

REDUCTIONS = ("mean", "sum", "none")


def classes_first(x: Array) -> Array:
    """(N, C, ...) as (C, M) with M = N · d1 · …"""
    return x.swapaxes(0, 1).reshape(x.shape[1], -1)


def classes_back(z: Array, shape: tuple[int, ...]) -> Array:
    """The inverse of :func:`classes_first` for an array of ``shape`` (N, C, ...)."""
    return z.reshape(shape[1], shape[0], *shape[2:]).swapaxes(0, 1)


def _reduce(loss: Array, weight: Any, reduction: str) -> Array:
    """Σ loss / Σ weight ("mean"), Σ loss ("sum"), or the losses ("none")."""
    if reduction == "none":
        return loss
    y = total(loss, tuple(range(loss.ndim)))
    return (y / weight if reduction == "mean" else y).astype(loss.dtype, copy=False)


def reduced(loss: Array, weight: Any, reduction: str, shape: tuple[int, ...]) -> Array:
    """:func:`_reduce`, with losses of shape (N, d1, …) for "none"."""
    y = _reduce(loss, weight, reduction)
    return y.reshape(shape[0], *shape[2:]) if reduction == "none" else y


def spread(g: Array, weight: Any, reduction: str) -> Array:
    """The gradient of the losses, (M,) or a scalar, from that of the reduced value."""
    return g / weight if reduction == "mean" else g


@op(twice=Rerun("x"))
@in_float32
def _cross_entropy(
    x: Array,
    *,
    target: Array,
    used: Array | None,
    weight: Array | None,
    smoothing: float,
    reduction: str,
    from_log: bool,
) -> tuple[Array, Backward]:
    """ℓₘ = −Σ_c t_cm ln p_cm with p = softmax(x), reduced to Σ ℓ or Σ ℓ / norm.

    t and norm are the :func:`columns` of ``target``.

    dL/dx = g (p Σ_c t − t).  With ``from_log`` x is ln p already, and dL/dx = −g t. Columns that
    are not ``used`` have gradient 0, even if g is NaN because no target is used.
    """
    xp, shape, dtype = get_xp(x), x.shape, x.dtype
    target, norm = columns(x, target, used, weight, smoothing)
    z = classes_first(x)
    logp = z if from_log else log_softmax_array(z, 0)
    terms = xp.where(target == 0, target, target * logp)  # 0 · −∞ counts as 0
    loss = -total(terms, 0)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        g = spread(g, norm, reduction).reshape(-1)  # (M,) or (1,)
        if used is not None:
            g = xp.where(used, g, g.dtype.type(0))
        gz = -target if from_log else xp.exp(logp) * total(target, 0) - target
        gz = (gz * g).astype(dtype, copy=False)
        if used is not None:
            gz = xp.where(used, gz, dtype.type(0))
        return (classes_back(gz, shape),)

    kept = Gone(shape, dtype) if from_log else classes_back(logp, shape)
    return reduced(loss, norm, reduction, shape), keeping(backward, kept)


@op
@in_float32
def _focal_loss(
    x: Array, *, target: Array, weight: Array, norm: Any, gamma: float, reduction: str
) -> tuple[Array, Backward]:
    """ℓₘ = −wₘ (1 − pₘ)^γ ln pₘ, where pₘ is the softmax probability of the true class t.

    With q = 1 − p:  dℓ/d ln p = w (γ q^(γ−1) p ln p − q^γ),  d ln p / dx_c = [c = t] − softmax_c.
    q = −expm1(ln p), and q^(γ−1) ln p = q^γ · (ln p / q), whose last factor tends to −1 as q → 0.
    """
    xp, shape = get_xp(x), x.shape
    z = classes_first(x)
    columns = xp.arange(z.shape[1])
    logp = log_softmax_array(z, 0)
    loss, slope_of = focal_terms(logp[target, columns], weight, gamma)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        slope = slope_of() * spread(g, norm, reduction).reshape(-1)
        slope = slope.astype(x.dtype, copy=False)
        gz = -xp.exp(logp) * slope
        gz[target, columns] += slope
        return (classes_back(gz, shape),)

    return reduced(loss, norm, reduction, shape), backward


def focal_terms(logpt: Array, weight: Array, gamma: float) -> tuple[Array, Callable[[], Array]]:
    """The losses of targets whose probabilities have the logarithms ``logpt``, and a function of
    their derivatives by these."""
    xp = get_xp(logpt)
    q = -xp.expm1(logpt)
    modulation = weight * q**gamma

    def slope() -> Array:
        ratio = xp.where(q > 0, logpt / xp.where(q > 0, q, 1), -1)
        return modulation * (gamma * xp.exp(logpt) * ratio - 1)

    return -modulation * logpt, slope


def _batched(
    name: str, input: Tensor, target: Tensor, weight: Tensor | None, reduction: str
) -> tuple[Tensor, Tensor]:
    """Check the arguments of all classification losses; a prediction (C,) becomes (1, C)."""
    check.floating("input", check.tensor("input", input))
    check.beside("target", check.tensor("target", target), input)
    check.choice("reduction", reduction, REDUCTIONS)
    if input.ndim == 0:
        raise ValueError(f"input: {name} expects (C,), (N, C) or (N, C, d1, ...), got shape ()")
    classes = input.shape[1 if input.ndim > 1 else 0]
    check.vector("weight", weight, classes, input)
    if weight is not None and weight.requires_grad:
        raise NotImplementedError("weight: gradients of class weights are not supported")
    return (input, target) if input.ndim > 1 else (input.unsqueeze(0), target.unsqueeze(0))


def _indices(input: Tensor, target: Tensor, ignore_index: int | None) -> tuple[Array, Array]:
    """Class indices (M,), 0 where ignored, and the mask (M,) of indices that are not ignored."""
    shape = input.shape
    if target.shape != (shape[0], *shape[2:]):
        raise ValueError(
            f"target: expected class indices of shape {(shape[0], *shape[2:])} for input {shape}, "
            f"got {target.shape}"
        )
    if target.dtype.kind not in "iu":
        raise TypeError(f"target: expected integer class indices, got {target.dtype}")
    if ignore_index is not None:
        check.integer("ignore_index", ignore_index, -(2**63), 2**63 - 1)
    if shape[1] == 0:
        raise ValueError(f"input: expected at least one class, got shape {shape}")
    return _class_indices.run(input.data, target.data.reshape(-1), ignore_index)


@Dispatched
def _class_indices(x: Array, flat: Array, ignore_index: int | None) -> tuple[Array, Array]:
    """Class indices, 0 where ignored, and the mask of indices that are not ignored.

    Raises:
        IndexError: an index is out of range. On a GPU, where checking at once would make each step
            wait, such an index counts as ignored, and the error is raised when values are read
            next.
    """
    xp, classes = get_xp(x), x.shape[1]
    used = xp.ones(flat.shape, bool) if ignore_index is None else flat != ignore_index
    bad = used & ((flat < 0) | (flat >= classes))
    if bad.any():
        raise no_class(classes, ignore_index, int(flat[bad][0]))
    return xp.where(used, flat, 0).astype(np.int64, copy=False), used


def no_class(classes: int, ignore_index: int | None, label: int) -> IndexError:
    ignored = "" if ignore_index is None else f" (or ignore_index={ignore_index})"
    return IndexError(
        f"target: expected class indices from 0 to {classes - 1}{ignored}, got {label}"
    )


def columns(
    x: Array, target: Array, used: Array | None, weight: Array | None, smoothing: float
) -> tuple[Array, Any]:
    """Weighted, smoothed targets (C, M) for the prediction x, and the divisor of their mean.

    Args:
        target: class indices (M,), or probabilities of x's shape; of these ``used`` is None.
    """
    if used is not None:
        t, each = _distribution.run(x, target, used, weight, smoothing)
        return t, each.sum()
    t = classes_first(target).astype(adding_dtype(target.dtype), copy=False)
    if smoothing:
        t = t * (1 - smoothing) + smoothing / len(t)
    if weight is not None:
        t = t * weight[:, None]
    return t, t.shape[1]


@Dispatched
def _distribution(
    x: Array, flat: Array, used: Array, weight: Array | None, smoothing: float
) -> tuple[Array, Array]:
    """Weighted, smoothed one-hot columns (C, M) for the prediction x, and the weights (M,) of the
    true classes."""
    xp, dtype, classes = get_xp(flat), adding_dtype(x.dtype), x.shape[1]
    w = xp.ones(classes, dtype) if weight is None else weight.astype(dtype, copy=False)
    each = xp.where(used, w[flat], dtype.type(0))
    target = xp.zeros((classes, len(flat)), dtype)
    target[flat, xp.arange(len(flat))] = each * dtype.type(1 - smoothing)
    if smoothing:
        target += xp.where(used, (w * dtype.type(smoothing / classes))[:, None], dtype.type(0))
    return target, each


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: None = None,
    ignore_index: int = -100,
    reduce: None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Softmax cross-entropy, computed from the logits in one stable operation.

    Args:
        input: logits (C,), (N, C) or (N, C, d1, …).
        target: integer class indices (), (N,) or (N, d1, …), or probabilities of input's shape and
            dtype, which get no gradient.
        weight: factor per class, (C,).
        ignore_index: targets of this class index contribute nothing.
        reduction: "mean" (divided by the sum of the true classes' weights; for probabilities by
            N·d1·…), "sum" or "none".
        label_smoothing: ε in [0, 1], the part of each target that is spread evenly over the classes
            (Szegedy et al., CVPR 2016).

    Returns:
        A scalar, or a loss per target for "none".

    Raises:
        IndexError: a class index outside [0, C). On a GPU it counts as ignored, and the error is
            raised when values are read next (``item()``, ``cpu()``).
    """
    check.unsupported("size_average", size_average, None)
    check.unsupported("reduce", reduce, None)
    smoothing = check.number("label_smoothing", label_smoothing, 0, 1)
    single = check.tensor("input", input).ndim == 1
    input, target = _batched("cross_entropy", input, target, weight, reduction)
    if target.dtype.kind == "f":
        if check.integer("ignore_index", ignore_index, -math.inf) >= 0:
            raise ValueError(
                f"ignore_index: only for class indices, got {ignore_index} with probabilities"
            )
        array, used = _probabilities(input, target), None
    else:
        array, used = _indices(input, target, ignore_index)
    y = _cross_entropy(
        input,
        target=array,
        used=used,
        weight=None if weight is None else weight.data,
        smoothing=smoothing,
        reduction=reduction,
        from_log=False,
    )
    return y.reshape(()) if single else y


def _probabilities(input: Tensor, target: Tensor) -> Array:
    if target.shape != input.shape:
        raise ValueError(
            f"target: expected probabilities of input's shape {input.shape}, got {target.shape}"
        )
    if target.dtype != input.dtype:
        raise TypeError(f"target: expected dtype {input.dtype} as input, got {target.dtype}")
    if target.requires_grad:
        raise NotImplementedError("target: gradients of target probabilities are not supported")
    return target.data


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: None = None,
    ignore_index: int = -100,
    reduce: None = None,
    reduction: str = "mean",
) -> Tensor:
    """Negative log-likelihood of class indices, where ``input`` holds log-probabilities.

    This is the second half of :func:`cross_entropy`, which describes the arguments.
    """
    check.unsupported("size_average", size_average, None)
    check.unsupported("reduce", reduce, None)
    single = check.tensor("input", input).ndim == 1
    input, target = _batched("nll_loss", input, target, weight, reduction)
    flat, used = _indices(input, target, ignore_index)
    y = _cross_entropy(
        input,
        target=flat,
        used=used,
        weight=None if weight is None else weight.data,
        smoothing=0.0,
        reduction=reduction,
        from_log=True,
    )
    return y.reshape(()) if single else y


def focal_loss(
    input: Tensor,
    target: Tensor,
    gamma: float = 2.0,
    weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Focal loss −w (1 − p)^γ ln p of softmax probabilities (Lin et al., ICCV 2017).

    γ reduces the weight of easy examples, whose p is near 1; γ = 0 is :func:`cross_entropy`. The
    factor (1 − p)^γ uses the unweighted probability of the true class. PyTorch has no counterpart.

    Args:
        input: logits (C,), (N, C) or (N, C, d1, …).
        target: integer class indices (), (N,) or (N, d1, …).
        gamma: focusing exponent γ >= 0.
        weight: factor per class, (C,), such as class-balanced weights (Cui et al., CVPR 2019).
        reduction: "mean" (divided by the sum of the true classes' weights), "sum" or "none".
    """
    gamma = check.number("gamma", gamma, 0)
    single = check.tensor("input", input).ndim == 1
    input, target = _batched("focal_loss", input, target, weight, reduction)
    flat, used = _indices(input, target, None)
    xp = get_xp(input.data)
    dtype = adding_dtype(input.dtype)
    w = xp.ones(input.shape[1], dtype) if weight is None else weight.data.astype(dtype, copy=False)
    each = xp.where(used, w[flat], dtype.type(0))
    y = _focal_loss(
        input, target=flat, weight=each, norm=each.sum(), gamma=gamma, reduction=reduction
    )
    return y.reshape(()) if single else y
