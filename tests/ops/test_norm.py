"""batch_norm: large inputs, its statistics and errors; the rest is in tests/parity."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg
from tests.common import compare, grid, leaf

pytestmark = pytest.mark.usefixtures("each_way")

batch_norm, reference = mg.functional.batch_norm, torch.nn.functional.batch_norm


@pytest.mark.parametrize("shape", [(16, 64, 32, 32), (64, 2048), (64, 3)])
def test_many_channels_or_pixels(device, shape):
    """Large enough for blocks and threads."""

    def training(function):
        return lambda x, w, b: function(x, None, None, w, b, training=True)

    arrays = [grid(shape), grid(shape[1:2], 1), grid(shape[1:2], 2)]
    compare(training(batch_norm), training(reference), arrays, device=device, numerical=False)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("relu", [True, False])
def test_residual_and_relu_in_the_same_pass(device, training, residual, relu):
    statistics = grid((2,), 4), grid((2,), 5, 0.5, 2.0)

    def fused(x, w, b, z=None):
        mean, var = (leaf(a.astype(x.dtype), device, requires_grad=False) for a in statistics)
        return batch_norm(x, mean, var, w, b, training, residual=z, relu=relu)

    def apart(x, w, b, z=0):
        mean, var = (torch.tensor(a, dtype=x.dtype) for a in statistics)
        y = reference(x, mean, var, w, b, training) + z
        return torch.relu(y) if relu else y

    arrays = [grid((3, 2, 4, 5)), grid((2,), 1), grid((2,), 2), grid((3, 2, 4, 5), 3)]
    compare(fused, apart, arrays[: 4 if residual else 3], device=device, numerical=False)


def test_statistics_may_change_before_backward():
    x, mean, var = leaf(grid((4, 3))), mg.zeros(3, dtype="float64"), mg.ones(3, dtype="float64")
    w = leaf(grid((3,), 1))
    y = batch_norm(x, mean, var, w)
    mean.data += 5
    y.backward(mg.ones(4, 3, dtype="float64"))
    np.testing.assert_allclose(w.grad.numpy(), (x.data / np.sqrt(1 + 1e-5)).sum(0))


@pytest.mark.parametrize("scale", [1e18, 1e30])
@pytest.mark.parametrize("constant", [True, False])
def test_numbers_whose_squares_overflow(scale, constant):
    """As in PyTorch: the variance is infinite, and y 0, only where float32 cannot hold it."""
    shape = (8, 3, 4, 4)
    x = np.full(shape, scale, np.float32) if constant else grid(shape).astype(np.float32) * scale
    x, g = x.astype(np.float32), grid(shape, 1).astype(np.float32)
    found = []
    for module, function in ((mg, batch_norm), (torch, reference)):
        t, mean, var = module.tensor(x, requires_grad=True), module.zeros(3), module.ones(3)
        y = function(t, mean, var, training=True)
        y.backward(module.tensor(g))
        found.append([v.detach().numpy() for v in (y, t.grad, mean, var)])
    (y, gx, *statistics), (ty, tgx, *expected) = found
    if not constant:  # else y is what is left of the mean's rounding
        np.testing.assert_allclose(y, ty, 1e-4, 1e-5)
        assert (y == 0).all() == (scale == 1e30)
    np.testing.assert_allclose(gx, tgx, 1e-4, 1e-6 * np.abs(tgx).max())
    np.testing.assert_allclose(statistics, expected, 1e-4, 1e-7 * scale)


@pytest.mark.parametrize("numbers", [3e18 * grid((8, 3, 4, 4)), np.full((8, 3, 4, 4), 2.0**127)])
def test_sums_that_overflow_although_mean_and_variance_do_not(numbers):
    """As in float64, which PyTorch's float32 need not be."""
    found = []
    for module, function, dtype in ((mg, batch_norm, "f4"), (torch, reference, "f8")):
        x = module.tensor(numbers.astype(np.float32).astype(dtype), requires_grad=True)
        y = function(x, None, None, training=True)
        y.backward(module.tensor(grid(numbers.shape, 1).astype(dtype)))
        found += [y.detach().numpy(), x.grad.numpy()]
    np.testing.assert_allclose(found[0], found[2], 1e-4, 1e-5)
    np.testing.assert_allclose(found[1], found[3], 1e-4, 1e-5 * np.abs(found[3]).max())


def test_a_constant_channel_has_no_gradient():
    x = mg.ones(8, 2, requires_grad=True)
    y = batch_norm(x, None, None, training=True)
    (y * mg.randn(8, 2)).sum().backward()
    assert np.isfinite(x.grad.numpy()).all()
    assert (y.detach().numpy() == 0).all()
