"""Smooth activations: gradients by finite differences, and their limits; values are in
tests/parity."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg
from tests.common import compare, grid

F, T = mg.functional, torch.nn.functional
CALLS = [
    ("silu", {}),
    ("mish", {}),
    ("softplus", {}),
    ("softplus", {"beta": 3.0, "threshold": 2.0}),
    ("softplus", {"beta": -1.5}),
    ("logsigmoid", {}),
    ("elu", {"alpha": 0.7}),
    ("selu", {}),
    ("celu", {"alpha": -0.5}),
]


@pytest.mark.parametrize(("name", "params"), CALLS)
@pytest.mark.parametrize("layout", ["C", "batch innermost"])
def test_gradients(device, name, params, layout):
    ours, theirs = getattr(F, name), getattr(T, name)
    compare(ours, theirs, [grid((3, 4, 5), low=-6, high=6)], params, device=device, layout=layout)


@pytest.mark.parametrize("name", ["silu", "mish", "softplus", "logsigmoid", "elu", "selu", "celu"])
def test_far_from_zero(device, name):
    """Nothing overflows on the way to a finite result."""
    x = np.array([30.0, -30.0, 1e3, -1e3, 0.0, -0.0])
    ours, theirs = getattr(F, name), getattr(T, name)
    compare(ours, theirs, [x], device=device, numerical=False)


def test_float16_is_rounded_once():
    x = grid((50,), low=-4, high=4).astype(np.float16)
    found = F.mish(mg.tensor(x)).numpy()
    assert found.dtype == np.float16
    np.testing.assert_array_equal(found, F.mish(mg.tensor(x.astype("f4"))).numpy().astype("f2"))
