"""Differences of layers and of the functions they call."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg
from tests.common import leaf
from tests.parity.differences import F, T, contains, functions, only_ours_refuses, row
from tests.parity.driver import Call, Entry


@row("inplace")
def inplace() -> None:
    for name in ("relu", "silu", "hardswish", "elu"):
        theirs, ours = torch.tensor([-1.0, 2.0]), mg.tensor([-1.0, 2.0])
        ty = getattr(T, name)(theirs, inplace=True)
        y = getattr(F, name)(ours, inplace=True)
        np.testing.assert_allclose(y.numpy(), ty.numpy(), rtol=1e-6)
        assert theirs.tolist() == ty.tolist()
        assert ours.numpy().tolist() == [-1, 2]


def _single_sixth(entry: Entry, call: Call) -> str:
    return "gradient" if entry.name.lower().endswith("hardsigmoid") else ""


@row("hardsigmoid-sixth", differs=_single_sixth)
def hardsigmoid_sixth() -> None:
    x = np.zeros(1)
    tx, mx = torch.tensor(x, requires_grad=True), leaf(x)
    T.hardsigmoid(tx).backward()
    F.hardsigmoid(mx).backward()
    assert tx.grad.item() == np.float32(1 / 6)
    assert mx.grad.item() == 1 / 6


def _bent_at_nan(entry: Entry, call: Call) -> str:
    bent = ("relu6", "hardtanh", "hardswish", "elu", "selu", "celu")
    named = entry.name.lower().rpartition(".")[2] in bent
    return "gradient" if named and contains(call, np.isnan) else ""


@row("slope-at-nan", differs=_bent_at_nan)
def slope_at_nan() -> None:
    few, many = (torch.full((n,), np.nan, requires_grad=True) for n in (1, 64))
    for x in (few, many):
        T.relu6(x).sum().backward()
    assert few.grad[0] != many.grad[0]
    for n in (1, 64):
        x = leaf(np.full(n, np.nan))
        F.relu6(x).sum().backward()
        assert x.grad.numpy().tolist() == [1] * n


def _no_probability(entry: Entry, call: Call) -> str:
    named = entry.name in ("functional.kl_div", "nn.KLDivLoss")
    none = named and not call.options["log_target"] and np.isin(call.arrays[1], (0, np.inf)).any()
    return "gradient 1" if none else ""


@row("kl-at-zero", differs=_no_probability)
def kl_at_zero() -> None:
    theirs, ours = torch.zeros(1, requires_grad=True), mg.zeros(1, requires_grad=True)
    T.kl_div(torch.zeros(1), theirs, reduction="sum").backward()
    F.kl_div(mg.zeros(1), ours, reduction="sum").backward()
    assert np.isnan(theirs.grad.item())
    assert ours.grad.item() == -np.inf


@row("norm-of-large-gradients")
def norm_of_large_gradients() -> None:
    x = np.full(4, 1e30, np.float32)
    assert torch.nn.utils.get_total_norm([torch.tensor(x)]) == torch.inf
    assert mg.nn.utils.get_total_norm([mg.tensor(x)]).item() == np.float32(2e30)


@row("empty-enlargements", ("padding: leaves a result of size",), ("onv",))
def empty_enlargements() -> None:
    call = lambda m: functions(m).conv_transpose2d(  # noqa: E731
        m.ones(2, 2, 1, 3), m.ones(2, 2, 2, 2), stride=2, padding=(1, 0)
    )
    only_ours_refuses(ValueError, "padding: leaves a result of size (0, 6)", call)
    with pytest.raises(RuntimeError, match="too small"):
        T.conv_transpose2d(torch.ones(1, 1, 1, 3), torch.ones(1, 1, 2, 2), padding=(1, 0))


@row("dropout-channels", ("expected shape (N, C, H, W)",), ("ropout2d",))
def dropout_channels() -> None:
    call = lambda m: functions(m).dropout2d(m.ones(2, 3, 4), 0.5)  # noqa: E731
    only_ours_refuses(ValueError, "input: expected shape (N, C, H, W), got (2, 3, 4)", call)
