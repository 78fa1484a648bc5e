"""Reductions: errors and names; tests/parity compares them with PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad.cpu import arithmetic
from tests.common import leaf


def test_variance_does_not_cancel():
    x = leaf(np.array([1e8, 1e8 + 1, 1e8 + 2]))
    assert x.var().item() == 1
    assert mg.tensor([1.0, 1e30, -1e30]).var().item() == np.inf


def test_named_result():
    found = mg.tensor([[1.0, 3.0], [5.0, 2.0]]).max(1)
    assert found.values.numpy().tolist() == [3, 5]
    assert found.indices.numpy().tolist() == [1, 0]


@pytest.mark.parametrize("dim", [None, 0, 1])
def test_a_gradient_that_repeats_numbers_is_copied(dim, monkeypatch):
    monkeypatch.setattr(arithmetic, "LARGE", 1)
    x = leaf(np.ones((4, 6)))
    sums = x.sum(dim)
    seed = np.arange(1.0, 1.0 + sums.numel()).reshape(sums.shape)
    sums.backward(mg.tensor(seed))
    expected = seed if dim is None else np.expand_dims(seed, dim)
    np.testing.assert_array_equal(x.grad.numpy(), np.broadcast_to(expected, (4, 6)))
    assert x.grad.data.flags.c_contiguous
    assert x.grad.data.flags.writeable
