"""Reductions: errors and names; tests/parity compares them with PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg
from tests.common import leaf, refuses


def test_variance_does_not_cancel():
    x = leaf(np.array([1e8, 1e8 + 1, 1e8 + 2]))
    assert x.var().item() == 1
    assert mg.tensor([1.0, 1e30, -1e30]).var().item() == np.inf


def test_named_result():
    found = mg.tensor([[1.0, 3.0], [5.0, 2.0]]).max(1)
    assert found.values.numpy().tolist() == [3, 5]
    assert found.indices.numpy().tolist() == [1, 0]


@pytest.mark.parametrize("name", ["sum", "mean", "var", "std", "max", "min", "argmax"])
@pytest.mark.parametrize(
    ("dim", "error", "match"),
    [
        (2, IndexError, "dim: expected a dimension from -2 to 1, got 2"),
        (-3, IndexError, "dim: expected a dimension from -2 to 1, got -3"),
        ("0", TypeError, "dim: expected a whole number, got '0'"),
        (0.5, TypeError, "dim: expected a whole number, got 0.5"),
    ],
)
def test_dim_errors(name, dim, error, match):
    def call(x):
        return lambda: getattr(x, name)(dim=dim)

    refuses(error, match, call(mg.ones(2, 3)), call(torch.ones(2, 3)))


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (
            lambda m: m.ones(2, 3).sum((0, 0)),
            (ValueError, RuntimeError),
            "dim: expected distinct dimensions",
        ),
        (
            lambda m: m.tensor([1]).mean(),
            (TypeError, RuntimeError),
            "input: expected a floating dtype, got int64",
        ),
        (
            lambda m: m.tensor([1]).var(),
            (TypeError, RuntimeError),
            "input: expected a floating dtype, got int64",
        ),
        (
            lambda m: m.zeros(0).max(),
            (ValueError, RuntimeError),
            "max: an empty reduction has no value, got shape (0,)",
        ),
        (
            lambda m: m.zeros(2, 0).min(1),
            (ValueError, IndexError),
            "min: an empty reduction has no value",
        ),
        (
            lambda m: m.zeros(0).argmax(),
            (ValueError, IndexError),
            "argmax: an empty reduction has no value",
        ),
    ],
)
def test_errors(call, error, match):
    refuses(error, match, lambda: call(mg), lambda: call(torch))


def test_max_of_two_tensors_is_not_supported():
    x = mg.ones(2)
    refuses(NotImplementedError, "max: of two tensors is not supported", lambda: x.max(x))
