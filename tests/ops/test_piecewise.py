"""Activations of straight pieces: gradients by finite differences and at the bends; values are in
tests/parity."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg
from tests.common import compare, grid, refuses

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


def test_errors():
    x = mg.ones(2, 3)
    refuses(ValueError, "max_val: expected a number from 1.0", lambda: F.hardtanh(x, 1.0, -1.0))
    refuses(ValueError, "weight: expected shape (3,) or (1,)", lambda: F.prelu(x, mg.ones(2)))
    refuses(ValueError, "weight: expected shape (C,), (1,)", lambda: F.prelu(x, mg.ones(1, 3)))
    refuses(TypeError, "weight: expected dtype float32", lambda: F.prelu(x, mg.ones(3).to("f8")))
    refuses(TypeError, "inplace: expected True or False", lambda: F.relu6(x, "yes"))
