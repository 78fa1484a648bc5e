"""Losses' CUDA kernels: many classes, and errors; else see tests/ops/test_implementations."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from tests.common import TOLERANCE, leaf
from tests.gpu.kernels.twins import draw, without_kernels

pytestmark = pytest.mark.usefixtures("on_cpu")
F = mg.functional


def assert_same(loss, x):
    """`loss` of a Tensor, and its gradient, by kernels and in NumPy."""

    def run():
        t = leaf(x)
        y = loss(t)
        y.backward(mg.Tensor(draw(y.shape, 1, x.dtype)))
        return y.detach().numpy(), t.grad.numpy()

    limits = TOLERANCE[x.dtype.type]
    for ours, theirs in zip(run(), without_kernels(run), strict=True):
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        np.testing.assert_allclose(ours, theirs, **limits)


def test_many_classes():
    """Sums over them are taken in float64."""
    x = draw((2, 50_000), 0, np.float32)
    loss = F.cross_entropy(mg.Tensor(x), mg.tensor([3, 4]), reduction="none", label_smoothing=0.1)
    z = x.astype(np.float64)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    truth = -0.9 * log_p[[0, 1], [3, 4]] - 0.1 * log_p.mean(axis=1)
    np.testing.assert_allclose(loss.numpy(), truth, 3e-7)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_values_that_are_no_numbers(value):
    x = draw((4, 3), 0, np.float32)
    x[1, 2] = x[3, 0] = value  # of the class that is the truth, and of one that is not
    target = mg.tensor([2, 2, 0, 1])
    for loss in (F.cross_entropy, F.nll_loss):
        assert_same(lambda x, loss=loss: loss(x, target, reduction="none"), x)


def test_no_targets_at_all():
    """The gradient of what is ignored is 0, though the mean of nothing is NaN."""
    x = leaf(draw((4, 3), 0, np.float32))
    y = F.cross_entropy(x, mg.tensor([1] * 4), ignore_index=1)
    y.backward()
    assert np.isnan(y.item())
    np.testing.assert_array_equal(x.grad.numpy(), np.zeros((4, 3)))


@pytest.mark.parametrize("bad", [3, -1, 2**40, -(2**63)])
@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss", "focal_loss"])
def test_what_is_no_class(name, bad):
    """It counts as ignored, and is told once, when a value is read."""
    loss, x = getattr(F, name), draw((4, 3), 0, np.float32)
    a, b = leaf(x), leaf(x[[0, 2, 3]])
    wrong = loss(a, mg.tensor([0, bad, 2, 1]))
    wrong.backward()
    other = mg.ones(1)
    expected = "" if name == "focal_loss" else r" \(or ignore_index=-100\)"
    text = rf"^target: expected class indices from 0 to 2{expected}, got {bad}$"
    with pytest.raises(IndexError, match=text):
        other.item()
    right = loss(b, mg.tensor([0, 2, 1]))
    right.backward()
    assert other.item() == 1
    np.testing.assert_allclose(wrong.item(), right.item(), rtol=1e-6)
    np.testing.assert_allclose(a.grad.numpy()[[0, 2, 3]], b.grad.numpy(), rtol=1e-6)
    assert not a.grad.numpy()[1].any()


def test_ignored_classes_are_no_mistake():
    x = mg.Tensor(draw((3, 3), 0, np.float32))
    for ignored in (-(2**63), -100, 0, 2, 3, 2**63 - 1):
        F.cross_entropy(x, mg.tensor([1, ignored, 1]), ignore_index=ignored).item()


def test_an_empty_batch():
    x = mg.Tensor(np.empty((0, 3), np.float32), requires_grad=True)
    target = mg.Tensor(np.empty(0, np.int64))
    assert F.cross_entropy(x, target, reduction="sum").item() == 0
    assert F.focal_loss(x, target, reduction="none").shape == (0,)
