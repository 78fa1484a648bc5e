"""Reductions: errors and names; tests/parity compares them with PyTorch."""

from __future__ import annotations

import numpy as np

import minigrad as mg
from tests.common import leaf


def test_variance_does_not_cancel():
    x = leaf(np.array([1e8, 1e8 + 1, 1e8 + 2]))
    assert x.var().item() == 1
    assert mg.tensor([1.0, 1e30, -1e30]).var().item() == np.inf


def test_named_result():
    found = mg.tensor([[1.0, 3.0], [5.0, 2.0]]).max(1)
    assert found.values.numpy().tolist() == [3, 5]
    assert found.indices.numpy().tolist() == [1, 0]
