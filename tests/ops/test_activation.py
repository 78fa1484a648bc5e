"""Activations: what the drawn calls of tests/parity do not reach."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg
from tests.common import compare, grid

pytestmark = pytest.mark.usefixtures("each_way")

F, T = mg.functional, torch.nn.functional
CALLS = [
    ("relu", {}),
    ("leaky_relu", {}),
    ("leaky_relu", {"negative_slope": 0.3}),
    ("leaky_relu", {"negative_slope": -0.5}),
    ("gelu", {}),
    ("gelu", {"approximate": "tanh"}),
    ("sigmoid", {}),
    ("tanh", {}),
]


def both(name):
    return getattr(F, name), getattr(T, name, None) or getattr(torch, name)


@pytest.mark.parametrize(("name", "params"), CALLS)
@pytest.mark.parametrize("layout", ["C", "batch innermost"])
def test_large_arrays(device, name, params, layout):
    """Large enough for blocks and threads."""
    x = grid((64, 32, 8, 8))
    compare(*both(name), [x], params, device=device, layout=layout, numerical=False)


EXTREME = np.array([0.0, -0.0, 30.0, -30.0, 1e3, -1e3, np.inf, -np.inf])


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "sigmoid", "tanh"])
def test_extreme_values(device, name):
    """In relative terms too: the sigmoid of −30 is e⁻³⁰, not 0."""
    compare(*both(name), [EXTREME], device=device, numerical=False)
    x = np.float32([-10, -20, -40, -80])
    ours, theirs = both(name)
    np.testing.assert_allclose(ours(mg.tensor(x)).numpy(), theirs(torch.tensor(x)), rtol=1e-5)


@pytest.mark.parametrize("name", ["sigmoid", "hardswish", "hardsigmoid"])
def test_every_float16(name):
    """They are computed in float32: nothing between overflows, and the result is rounded once."""
    x = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    x = x[np.isfinite(x)]
    ours, theirs = both(name)
    found, right = ours(mg.tensor(x)).numpy(), theirs(torch.tensor(x)).numpy()
    np.testing.assert_allclose(found, right, 2**-10, 2.0**-24)
