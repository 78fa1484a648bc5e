"""Losses of pairs: gradients of both sides by finite differences, and extreme logits; values are in
tests/parity."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg
from tests.common import LAYOUTS, compare, grid, leaf, refuses

F, T = mg.functional, torch.nn.functional
ERROR, SHARE = {"low": -2, "high": 2}, {"low": 0.05, "high": 0.95}
CALLS = [
    ("mse_loss", {}, ERROR, ERROR),
    ("l1_loss", {}, ERROR, ERROR),
    ("smooth_l1_loss", {"beta": 0.7}, ERROR, ERROR),
    ("huber_loss", {"delta": 0.7}, ERROR, ERROR),
    ("kl_div", {}, ERROR, SHARE),
    ("kl_div", {"log_target": True}, ERROR, ERROR),
    ("binary_cross_entropy", {}, SHARE, SHARE),
    ("binary_cross_entropy_with_logits", {}, ERROR, SHARE),
]


@pytest.mark.parametrize(("name", "params", "first", "second"), CALLS)
@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_gradients(device, name, params, first, second, reduction):
    arrays = [grid((3, 4), 1, **first), grid((3, 4), 2, **second)]
    params = params | {"reduction": reduction}
    for layout in LAYOUTS[:3]:
        compare(getattr(F, name), getattr(T, name), arrays, params, device=device, layout=layout)


def test_weights_of_classes(device):
    arrays = [grid((3, 4), 1), grid((3, 4), 2, **SHARE), *(grid((4,), i, 0.2) for i in (3, 4))]
    compare(
        lambda x, t, w, p: F.binary_cross_entropy_with_logits(x, t, w, pos_weight=p),
        lambda x, t, w, p: T.binary_cross_entropy_with_logits(x, t, w, pos_weight=p),
        arrays,
        device=device,
        fixed=(2, 3),
    )


def test_rows_of_a_distribution(device):
    arrays = [grid((3, 4)), grid((3, 4), 2, **SHARE)]
    compare(F.kl_div, T.kl_div, arrays, {"reduction": "batchmean"}, device=device)


def test_logits_far_from_zero(device):
    x, t = np.array([800.0, -800, 40, -40, 0]), np.array([1.0, 0, 0, 1, 0.5])
    name = "binary_cross_entropy_with_logits"
    for params in ({"reduction": "none"}, {"reduction": "sum"}):
        compare(*(getattr(m, name) for m in (F, T)), [x, t], params, device=device, numerical=False)
    x = leaf(np.float32([-40]), device)  # the gradient is e⁻⁴⁰, not 0
    F.binary_cross_entropy_with_logits(x, leaf(np.float32([0]), device)).backward()
    assert x.grad.item() == pytest.approx(np.exp(-40), rel=1e-5)


def test_errors():
    x = mg.ones(2, 3)
    for error, text, call in (
        (ValueError, "target: expected input's shape", lambda: F.l1_loss(x, mg.ones(3))),
        (TypeError, "target: expected a floating", lambda: F.l1_loss(x, x.to("int64"))),
        (TypeError, "target: expected dtype float32", lambda: F.l1_loss(x, x.to("float64"))),
        (ValueError, "beta: ", lambda: F.smooth_l1_loss(x, x, beta=-1)),
        (ValueError, "delta: expected a number above 0", lambda: F.huber_loss(x, x, delta=0)),
        (ValueError, "reduction: ", lambda: F.l1_loss(x, x, reduction="batchmean")),
        (ValueError, "input: expected prob", lambda: F.binary_cross_entropy(x * 2, x)),
        (ValueError, "target: expected prob", lambda: F.binary_cross_entropy(x, x - 2)),
        (ValueError, "weight: expected a s", lambda: F.binary_cross_entropy(x, x, mg.ones(2))),
        (
            NotImplementedError,
            "pos_weight: gradients of weights are not supported",
            lambda: F.binary_cross_entropy_with_logits(
                x, x, pos_weight=mg.ones(3, requires_grad=True)
            ),
        ),
    ):
        refuses(error, text, call)
