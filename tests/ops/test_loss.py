"""Losses: their definitions and errors; tests/parity compares them with PyTorch."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from tests.common import compare, grid, layouts, refuses, seeds

F, T = mg.functional, torch.nn.functional
reductions = st.sampled_from(["mean", "sum", "none"])


@st.composite
def cases(draw: Any, ignoring: bool = True) -> tuple[list[np.ndarray | None], dict[str, Any]]:
    """Logits, class indices, class weights or None; and an ignored index that often occurs."""
    seed, c = draw(seeds), draw(st.integers(1, 5))
    n, rest = draw(st.integers(1, 4)), draw(st.lists(st.integers(1, 3), max_size=2))
    single = draw(st.booleans()) and not rest
    ignore = draw(st.sampled_from([-100, 0, c - 1])) if ignoring else -100
    choices = [*range(c), *([ignore] if ignoring else [])]
    shape = () if single else (n, *rest)
    target = np.random.default_rng(seed).choice(choices, shape)
    logits = grid((c,) if single else (n, c, *rest), seed)
    weight = grid((c,), seed + 1, 0.2, 2) if draw(st.booleans()) else None
    params: dict[str, Any] = {"reduction": draw(reductions)}
    return [logits, np.asarray(target), weight], params | (
        {"ignore_index": ignore} if ignoring else {}
    )


def focal_reference(
    input: torch.Tensor,
    target: torch.Tensor,
    weight: torch.Tensor | None,
    gamma: float,
    reduction: str,
) -> torch.Tensor:
    """The definition, on PyTorch's cross-entropy: −w (1 − p)^γ ln p."""
    ce = T.cross_entropy(input, target, reduction="none")
    w = torch.ones_like(ce) if weight is None else weight[target]
    loss = w * (1 - torch.exp(-ce)) ** gamma * ce
    return {"mean": loss.sum() / w.sum(), "sum": loss.sum(), "none": loss}[reduction]


@given(cases(ignoring=False), st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.5]), layouts)
def test_focal_loss(device, case, gamma, layout):
    (logits, target, weight), params = case
    if logits.shape[min(1, logits.ndim - 1)] == 1 and gamma < 1:
        return  # p = 1: PyTorch's power has an infinite slope at 0
    params["gamma"] = gamma
    compare(
        lambda x, t, w, **options: F.focal_loss(x, t, weight=w, **options),
        focal_reference,
        [logits, target, weight],
        params,
        device=device,
        layout=layout,
        fixed=(2,),
    )


@given(cases(ignoring=False))
def test_focal_loss_without_gamma_is_cross_entropy(case):
    (logits, target, weight), params = case
    x, t, w = (None if a is None else mg.Tensor(a) for a in (logits, target, weight))
    focal = F.focal_loss(x, t, 0.0, w, **params).numpy()
    np.testing.assert_allclose(focal, F.cross_entropy(x, t, w, **params).numpy(), rtol=1e-12)


def test_focal_loss_share_of_easy_examples_falls_with_gamma():
    logits, target = mg.tensor([[4.0, 0.0], [-0.5, 0.0]]), mg.tensor([0, 0])
    shares = []
    for gamma in (0, 0.5, 1, 2, 5):
        easy, hard = F.focal_loss(logits, target, gamma, reduction="none").numpy()
        shares.append(easy / (easy + hard))
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 100 * shares[-1]


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_certain_and_hopeless_predictions_stay_finite(gamma):
    x = mg.tensor([[1000.0, -1000.0], [1000.0, -1000.0]], requires_grad=True)
    target = mg.tensor([0, 1])
    y = F.focal_loss(x, target, gamma, reduction="none")
    y.sum().backward()
    assert y.detach().numpy().tolist() == [0, 2000]
    assert x.grad.numpy()[0].tolist() == [0, 0]
    np.testing.assert_allclose(x.grad.numpy()[1], [1, -1])
    assert F.cross_entropy(x, target, reduction="sum").item() == 2000


def test_impossible_classes_that_no_target_names():
    """−∞ logits, such as masked classes, cost nothing where their probability is not asked for."""
    logits, target = np.array([[0.5, -np.inf, 1.0]]), np.array([2])
    for ours, theirs in ((F.cross_entropy, T.cross_entropy), (F.nll_loss, T.nll_loss)):
        compare(ours, theirs, [logits, target], numerical=False)


@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss, F.focal_loss])
def test_weights_get_no_gradient(loss):
    weight = mg.ones(2, requires_grad=True)
    text = "weight: gradients of class weights are not supported"
    call = partial(loss, mg.ones(1, 2), mg.tensor([0]))
    refuses(NotImplementedError, text, lambda: call(weight=weight))
    call(weight=weight.detach())


def test_unsigned_targets():
    compare(F.cross_entropy, T.cross_entropy, [grid((3, 4)), np.array([0, 3, 1], np.uint8)])


def test_a_target_beyond_int64_is_no_class():
    """Nor what it wraps to."""
    target = mg.tensor(np.array([0, 2**64 - 100], np.uint64))
    with pytest.raises(IndexError, match="18446744073709551516"):
        F.cross_entropy(mg.zeros(2, 3), target)


def test_read_only_predictions_of_pixels():
    x, target = np.zeros((2, 3, 4), np.float32), mg.tensor(np.ones((2, 4), np.int64))
    x.flags.writeable = False
    assert F.cross_entropy(mg.Tensor(x), target).item() == pytest.approx(np.log(3))
    np.testing.assert_allclose(mg.logsumexp(mg.Tensor(x), 1).numpy(), np.log(3), 1e-6)
