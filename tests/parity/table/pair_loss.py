"""Losses of a prediction and a target of one shape."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from minigrad import nn
from tests.parity.driver import FAR, ORDINARY, Call, Drawer
from tests.parity.table import F, T, entry
from tests.parity.table.loss import REDUCTIONS


def layer(name: str) -> list[Any]:
    """The layer in both libraries, as a function of its two inputs and its options."""
    return [lambda a, b, m=m, **o: getattr(m, name)(**o)(a, b) for m in (nn, torch.nn)]


@entry("functional.mse_loss", bound="sum")
@entry("nn.MSELoss", *layer("MSELoss"), bound="sum")
@entry("functional.l1_loss", bound="sum")
@entry("nn.L1Loss", *layer("L1Loss"), bound="sum")
def pairs(d: Drawer) -> Call:
    """Two tensors, mostly of one shape and dtype, and a reduction."""
    a = d.array(d.shape(0, 3))
    shape = d.broadcast(a.shape) if d.rarely() else a.shape
    return Call([a, d.array(shape, dtype=d.other_dtype())], options={"reduction": d(REDUCTIONS)})


@entry("functional.smooth_l1_loss", bound="sum")
@entry("nn.SmoothL1Loss", *layer("SmoothL1Loss"), bound="sum")
def smooth_l1_loss(d: Drawer) -> Call:
    call = pairs(d)
    call.options["beta"] = d([1.0, 0.5, 2, 0, -1.0 if d.rarely() else 1.0])
    return call


@entry("functional.huber_loss", bound="sum")
@entry("nn.HuberLoss", *layer("HuberLoss"), bound="sum")
def huber_loss(d: Drawer) -> Call:
    call = pairs(d)
    call.options["delta"] = d([1.0, 0.5, 2, *[0, -1.0] * d.rarely()])
    return call


@entry("functional.kl_div", bound="all")
@entry("nn.KLDivLoss", *layer("KLDivLoss"), bound="all")
def kl_div(d: Drawer) -> Call:
    d.kind = ORDINARY if d.kind == FAR else d.kind  # tiny products are 0 in PyTorch's derivative
    call = pairs(d)
    log_target = d([True, False])
    if not log_target:
        call.arrays = [call.arrays[0], np.abs(call.arrays[1])]
    call.options |= {"log_target": log_target, "reduction": d([*REDUCTIONS, "batchmean"])}
    return call


def weighted(d: Drawer, low: float, high: float) -> tuple[list[np.ndarray], dict[str, Any]]:
    """A prediction in a range, probabilities, and the rest of a call."""
    d.kind = ORDINARY
    a = d.array(d.shape(0, 3), low, high)
    shape = d.broadcast(a.shape) if d.rarely() else a.shape
    target = np.abs(d.array(shape, 0, 1, d.other_dtype()))
    return [a, target], {"reduction": d(REDUCTIONS)}


def factor(d: Drawer, shape: tuple[int, ...]) -> np.ndarray | None:
    return np.abs(d.array(d.broadcast(shape), 0.2, 2)) if d.integer(0, 1) else None


@entry("functional.binary_cross_entropy", bound="all")
@entry(
    "nn.BCELoss",
    *[lambda a, t, w, m=m, **o: m.BCELoss(w, **o)(a, t) for m in (nn, torch.nn)],
    bound="all",
)
def binary_cross_entropy(d: Drawer) -> Call:
    (p, target), options = weighted(d, -0.1 if d.rarely() else 0.01, 0.99)
    if p.size and d.rarely(4):
        p = np.round(p)
    return Call([p, target, factor(d, p.shape)], options=options, fixed=(2,))


@entry(
    "functional.binary_cross_entropy_with_logits",
    *[
        lambda a, t, w, p, m=m, **o: m.binary_cross_entropy_with_logits(a, t, w, pos_weight=p, **o)
        for m in (F, T)
    ],
    bound="all",
)
@entry(
    "nn.BCEWithLogitsLoss",
    *[
        lambda a, t, w, p, m=m, **o: m.BCEWithLogitsLoss(w, pos_weight=p, **o)(a, t)
        for m in (nn, torch.nn)
    ],
    bound="all",
)
def bce_with_logits(d: Drawer) -> Call:
    (x, target), options = weighted(d, -6, 6)
    x = (x * (30 if d.rarely() else 1)).astype(x.dtype)
    return Call([x, target, factor(d, x.shape), factor(d, x.shape)], options=options, fixed=(2, 3))
