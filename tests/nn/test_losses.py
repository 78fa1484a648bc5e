"""Loss modules: the focal loss, constructors and errors; the rest is in tests/parity."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import functional as F
from minigrad import nn
from tests.common import TOLERANCE, assert_same, grid, leaf, refuses

N, C = 6, 4
reductions = st.sampled_from(("mean", "sum", "none"))
weights = st.none() | st.just(np.linspace(0.5, 2, C))


def check(ours, theirs, arrays, target):
    """Same loss, same gradient of the first array, in both precisions."""
    for dtype, tolerance in TOLERANCE.items():
        x = arrays.astype(dtype)
        t = target.astype(dtype) if target.dtype.kind == "f" else target
        mx, tx = leaf(x), torch.tensor(x, requires_grad=True)
        y = ours(dtype)(mx, mg.tensor(t))
        ty = theirs(dtype)(tx, torch.tensor(t))
        assert_same(y, ty, tolerance)
        y.sum().backward()
        ty.sum().backward()
        assert_same(mx.grad, tx.grad, tolerance)


@given(weight=weights, reduction=reductions, gamma=st.sampled_from((0.0, 0.5, 1.0, 2.0, 5.0)))
def test_focal_against_its_definition(weight, reduction, gamma):
    """−w (1 − p)^γ ln p, which PyTorch has no module for, written with PyTorch's operations."""
    target = np.arange(N) % C

    def reference(dtype):
        w = torch.tensor(np.ones(C, dtype) if weight is None else weight.astype(dtype))

        def loss(x, t):
            logp = torch.log_softmax(x, 1)[torch.arange(N), t]
            each = -w[t] * (1 - logp.exp()) ** gamma * logp
            if reduction == "none":
                return each
            return each.sum() / w[t].sum() if reduction == "mean" else each.sum()

        return loss

    def make(dtype):
        w = None if weight is None else mg.tensor(weight.astype(dtype))
        return nn.FocalLoss(gamma, w, reduction)

    check(make, reference, grid((N, C)), target)


def test_focal_without_focus_is_cross_entropy():
    x, t, w = mg.tensor(grid((N, C))), mg.tensor(np.arange(N) % C), mg.tensor(np.linspace(1, 2, C))
    focal, plain = nn.FocalLoss(0, w)(x, t), nn.CrossEntropyLoss(w)(x, t)
    np.testing.assert_allclose(focal.item(), plain.item(), rtol=1e-12)
    assert nn.FocalLoss()(x, t).item() == F.focal_loss(x, t, 2.0).item()


LOSSES = [name for name in dir(torch.nn) if name.endswith("Loss") and hasattr(nn, name)]


@pytest.mark.parametrize("name", LOSSES)
def test_repr_is_pytorchs(name):
    assert repr(getattr(nn, name)()) == repr(getattr(torch.nn, name)())


def test_weights_of_two_kinds_are_saved():
    ours, theirs = (lib.BCEWithLogitsLoss(one(2), pos_weight=one(3)) for lib, one in LIBRARIES)
    assert [*ours.state_dict()] == [*theirs.state_dict()] == ["weight", "pos_weight"]
    assert [*nn.BCELoss().state_dict()] == []


LIBRARIES = ((nn, mg.ones), (torch.nn, torch.ones))


def test_class_weights_are_saved_and_moved_but_not_learnt():
    weight = np.linspace(0.5, 2, C).astype(np.float32)
    ours = nn.CrossEntropyLoss(mg.tensor(weight, requires_grad=True))
    theirs = torch.nn.CrossEntropyLoss(torch.tensor(weight))
    assert [*ours.state_dict()] == [*theirs.state_dict()] == ["weight"]
    assert [*ours.parameters()] == []
    assert ours.to("float64").weight.dtype == np.float64


@pytest.mark.parametrize(
    ("error", "text", "make"),
    [
        (NotImplementedError, "size_average=True", lambda: nn.CrossEntropyLoss(size_average=True)),
        (NotImplementedError, "reduce=False", lambda: nn.CrossEntropyLoss(reduce=False)),
        (NotImplementedError, "size_average=False", lambda: nn.MSELoss(False)),
        (NotImplementedError, "reduce=True", lambda: nn.MSELoss(reduce=True)),
        (ValueError, "reduction: ", lambda: nn.MSELoss(reduction="average")),
        (ValueError, "label_smoothing: ", lambda: nn.CrossEntropyLoss(label_smoothing=1.1)),
        (ValueError, "weight: ", lambda: nn.CrossEntropyLoss(mg.ones(2, 2))),
        (TypeError, "weight: ", lambda: nn.FocalLoss(weight=[1.0, 2.0])),
        (ValueError, "weight: ", lambda: nn.NLLLoss(mg.ones(2, 2))),
        (TypeError, "pos_weight: ", lambda: nn.BCEWithLogitsLoss(pos_weight=1.0)),
        (ValueError, "beta: ", lambda: nn.SmoothL1Loss(beta=-1)),
        (ValueError, "reduction: ", lambda: nn.L1Loss(reduction="batchmean")),
        (ValueError, "gamma: ", lambda: nn.FocalLoss(-1)),
    ],
)
def test_bad_options(error, text, make):
    refuses(error, text, make)
