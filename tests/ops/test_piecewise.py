"""Activations of straight pieces: gradients by finite differences and at the bends; values are in
tests/parity."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg
from tests.common import compare, grid

F, T = mg.functional, torch.nn.functional
CALLS = [
    ("relu6", {}),
    ("hardtanh", {}),
    ("hardtanh", {"min_val": -0.5, "max_val": 2.0}),
    ("hardswish", {}),
]


@pytest.mark.parametrize(("name", "params"), CALLS)
def test_gradients(device, name, params):
    ours, theirs = getattr(F, name), getattr(T, name)
    compare(ours, theirs, [grid((3, 4, 5), low=-8, high=8)], params, device=device)
    bends = np.array([-3.0, 3.0, 0.0, 6.0, -1.0, 1.0])
    compare(ours, theirs, [bends], params, device=device, numerical=False)


def test_hardsigmoid(device):
    """PyTorch's gradient in float64 is a float32 sixth."""
    x = mg.tensor([-4.0, -3, -1, 0, 2, 3, 4], "float64", device, requires_grad=True)
    y = F.hardsigmoid(x)
    expected = T.hardsigmoid(torch.tensor([-4.0, -3, -1, 0, 2, 3, 4], dtype=torch.float64))
    np.testing.assert_allclose(y.detach().cpu().numpy(), expected.numpy())
    y.sum().backward()
    assert x.grad.cpu().numpy().tolist() == [0, 0, 1 / 6, 1 / 6, 1 / 6, 0, 0]


@pytest.mark.parametrize(
    ("shape", "slopes"), [((3, 4, 5), 4), ((3, 4, 5), 1), ((6,), 1), ((2, 3), 3)]
)
def test_prelu(device, shape, slopes):
    arrays = [grid(shape), grid((slopes,), 1, 0.1, 0.9)]
    compare(F.prelu, T.prelu, arrays, device=device)
