"""Softmax and losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from minigrad import nn
from tests.parity.driver import BROKEN, FAR, NEAR, ORDINARY, Call, Drawer
from tests.parity.table import F, T, entry


@entry("functional.softmax", bound="all")
@entry("functional.log_softmax", bound="all")
@entry("Tensor.softmax", bound="all")
@entry("Tensor.log_softmax", bound="all")
@entry(
    "nn.Softmax",
    lambda x, dim: nn.Softmax(dim)(x),
    lambda x, dim: torch.nn.Softmax(dim)(x),
    bound="all",
)
def softmax(d: Drawer) -> Call:
    x = d.array(d.shape(), -20, 20)
    return Call([x], options={"dim": d.dim(x.ndim)})


REDUCTIONS = ["mean", "sum", "none", "mean", "sum", "none", "avg"]


def classes(d: Drawer, ignore: int = -100) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Scores, class indices (mostly of the right shape and in range), perhaps class weights."""
    shape = d([(3,), (1,), (2, 3), (4, 1), (3, 5), (2, 3, 2), (2, 4, 3, 2), (0, 3), ()])
    c = shape[1] if len(shape) > 1 else shape[0] if shape else 1
    choices = [*range(c)] * 4 + [ignore] + ([c, -1] if d.rarely() else [])
    where = shape[:1] + shape[2:] if len(shape) > 1 else ()
    if d.rarely():
        where = (*where, 1)
    target = np.random.default_rng(d.seed).choice(choices, where)
    target = np.asarray(target).astype(d(["int32", "float32"]) if d.rarely(20) else "int64")
    weight = None
    if d.integer(0, 1):
        kind, d.kind = d.kind, d([ORDINARY, NEAR, BROKEN])
        weight = np.abs(d.array((c + d.rarely(20),), 0.2, 2, d.other_dtype()))
        d.kind = kind
    return d.array(shape, -5, 5), target, weight


def indexed(d: Drawer) -> Call:
    ignore = d([-100, -100, 0, 1])
    x, target, weight = classes(d, ignore)
    options = {"ignore_index": ignore, "reduction": d(REDUCTIONS)}
    return Call([x, target, weight], options=options, fixed=(2,))


def _wide(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """PyTorch's loss, which takes int64 and uint8 targets only, of any integers."""

    def apply(x: torch.Tensor, target: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
        target = target.long() if target.dtype == torch.int32 else target
        return function(x, target, *args, **options)

    return apply


entry("functional.nll_loss", theirs=_wide(T.nll_loss), bound="sum")(indexed)
entry(
    "nn.NLLLoss",
    lambda x, t, w, **o: nn.NLLLoss(w, **o)(x, t),
    _wide(lambda x, t, w, **o: torch.nn.NLLLoss(w, **o)(x, t)),
    "sum",
)(indexed)


@entry("functional.cross_entropy", theirs=_wide(T.cross_entropy), bound="all")
@entry(
    "nn.CrossEntropyLoss",
    lambda x, t, w, **o: nn.CrossEntropyLoss(w, **o)(x, t),
    _wide(lambda x, t, w, **o: torch.nn.CrossEntropyLoss(w, **o)(x, t)),
    bound="all",
)
def cross_entropy(d: Drawer) -> Call:
    call = indexed(d)
    call.options["label_smoothing"] = d([0.0, 0.0, 0.1, 1.0] + [1.5, -0.1] * d.rarely())
    if d.integer(0, 2) == 0:  # probabilities, which are never differentiated
        x, _, weight = call.arrays
        shape = x.shape if not d.rarely() else (*x.shape, 1)
        d.kind = ORDINARY if d.kind == FAR else d.kind  # products of 1e60 overflow in any order
        target = np.abs(d.array(shape, 0, 1, d.other_dtype()))
        call = Call([x, target, weight], options=call.options, fixed=(1, 2))
    return call


def _focal_loss(
    x: torch.Tensor,
    target: torch.Tensor,
    weight: torch.Tensor | None,
    gamma: float,
    reduction: str,
) -> torch.Tensor:
    """The definition, on PyTorch's cross-entropy: −w (1 − p)^γ ln p."""
    if gamma < 0 or x.ndim == 0 or (target == -100).any():
        raise ValueError("which the definition does not cover")
    plain = T.cross_entropy(x, target, weight, reduction="none")
    ce = T.cross_entropy(x, target, reduction="none")
    q = -torch.expm1(-ce)
    loss = plain * q**gamma
    if reduction == "mean":
        w = torch.ones_like(ce) if weight is None else weight[target]
        return loss.sum() / w.sum()
    return (
        loss.sum()
        if reduction == "sum"
        else loss
        if reduction == "none"
        else T.mse_loss(x, x, reduction=reduction)
    )


@entry(
    "functional.focal_loss",
    lambda x, t, w, gamma, reduction: F.focal_loss(x, t, gamma, w, reduction),
    _wide(_focal_loss),
    bound="all",
)
@entry(
    "nn.FocalLoss",
    lambda x, t, w, gamma, reduction: nn.FocalLoss(gamma, w, reduction)(x, t),
    _wide(_focal_loss),
    bound="all",
)
def focal_loss(d: Drawer) -> Call:
    d.kind = ORDINARY  # PyTorch's power has an infinite slope where p = 1
    x, target, weight = classes(d)
    if weight is not None and not np.isfinite(weight).all():
        weight = None  # an infinite one times 0
    gamma = d([0.0, 1.0, 2.0, 3.5, -1.0])
    options = {"gamma": gamma, "reduction": d(REDUCTIONS)}
    return Call([x, target, weight], options=options, fixed=(2,))


@entry("functional.one_hot", theirs=lambda x, *a, **o: T.one_hot(_long(x), *a, **o))
def one_hot(d: Drawer) -> Call:
    d.kind = ORDINARY
    d.dtype = d.dtype if d.rarely() else "int64"
    x = d.array(d.shape(0, 3))
    x = x if d.rarely() else np.abs(x)
    return Call([x], options=d([{}, {"num_classes": d([-1, 7, 9, 2, 0, -2])}]))


def _long(x: torch.Tensor) -> torch.Tensor:
    """One-hot takes int64 only in PyTorch."""
    return x.long() if x.dtype in (torch.int32, torch.uint8) else x
