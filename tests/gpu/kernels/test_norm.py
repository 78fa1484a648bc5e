"""Batch norm's CUDA kernels: long rows, infinities; else see tests/ops/test_implementations."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad.gpu import launch as cuda
from minigrad.gpu.norm import PER_THREAD, THREADS
from minigrad.ops import norm
from tests.gpu.kernels.twins import assert_twins, draw

pytestmark = pytest.mark.usefixtures("on_cpu")
SEGMENT = THREADS * PER_THREAD


def test_statistics_may_change_before_backward():
    x, g = draw((2, 5, 3), 0, np.float32)
    gradients = []
    for change in (0, 1):
        now = np.ones((2, 3), np.float32)
        options = {"mean": now[0], "var": now[1], "batch": False, "eps": 1e-3, "relu": True}
        _, backward = norm._batch_norm.run(x, None, None, None, **options)
        now += change
        gradients.append(backward(g, (True, False, False, False))[0])
    np.testing.assert_array_equal(*gradients)


def test_running_statistics_of_a_layer():
    """As PyTorch's definition has them, the variance unbiased."""
    layer, x = mg.nn.BatchNorm1d(3), draw((5, 3), 0, np.float32)
    layer(mg.Tensor(x))
    found = [layer.running_mean.numpy(), layer.running_var.numpy()]
    np.testing.assert_allclose(found[0], 0.1 * x.mean(axis=0), 1e-5, 1e-7)
    np.testing.assert_allclose(found[1], 0.9 + 0.1 * x.var(axis=0, ddof=1), 1e-5)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_long_rows_far_from_zero(offset):
    """More segments than a warp has threads: as exact as the values' own rounding lets them be."""
    x, g = draw((2, 1, 1, 40 * SEGMENT + 3), 0, np.float64)
    x = (x + offset).astype(np.float32)
    mean, var = np.zeros((2, 1), np.float32)
    options = {"mean": mean, "var": var, "batch": True, "eps": 1e-5, "relu": False}
    _, backward = norm._batch_norm.run(x, None, None, None, **options)
    truth = x.astype(np.float64)
    np.testing.assert_allclose(mean[0], truth.mean(), 1e-6, 1e-6)
    np.testing.assert_allclose(var[0], truth.var(), 1e-5)
    _, t, s, _ = backward(g.astype(np.float32), (True, True, True, False))
    standard = (truth - truth.mean()) / np.sqrt(truth.var() + 1e-5)
    np.testing.assert_allclose(s[0], g.sum(), 1e-4, 1e-2)
    np.testing.assert_allclose(t[0], (g * standard).sum(), 1e-4, 0.3 if offset else 1e-2)


@pytest.mark.parametrize("n", [3, SEGMENT + 5, 40 * SEGMENT])
def test_an_infinite_mean(n):
    """In one segment, or in several: there are warps with nothing to add."""
    x = draw((n, 2), 0, np.float32)
    x[[0, -1], 1] = -np.inf
    mean, var = np.zeros((2, 2), np.float32)
    norm._batch_norm.run(x, *[None] * 3, mean=mean, var=var, batch=True, eps=0.1, relu=False)
    np.testing.assert_allclose(mean, [x[:, 0].mean(), -np.inf], 1e-5, 1e-6)
    np.testing.assert_allclose(var, [x[:, 0].var(), np.nan], 1e-5)


def test_infinities_do_not_spread_where_the_moments_are_constants():
    x, g = draw((2, 3, 2, 5), 0, np.float32)
    x[1, 0, 2] = np.inf
    mean, var = np.zeros(2, np.float32), np.ones(2, np.float32)
    constants = {"mean": mean, "var": var, "batch": False, "eps": 0.1, "relu": False}
    inputs = [x, None, None, None]
    assert_twins(lambda *inputs: norm._batch_norm.run(*inputs, **constants), inputs, g)


def test_an_empty_batch_has_gradients_of_zero():
    x, (w, mean, var) = np.empty((0, 2, 3), np.float32), np.ones((3, 2), np.float32)
    options = {"mean": mean, "var": var, "batch": False, "eps": 0.1, "relu": True}
    y, backward = norm._batch_norm.run(x, w, w, x, **options)
    gx, gw, gb, gz = backward(y, (True, True, True, True))
    assert gx.shape == gz.shape == y.shape == x.shape
    np.testing.assert_array_equal([gw, gb], np.zeros((2, 2)))


def test_more_blocks_than_the_gpu_takes(monkeypatch):
    """The largest grid has one dimension, so that channels and pixels are bounded by memory."""
    grids = []
    monkeypatch.setattr(cuda, "_launch", lambda f, name, d, grid, *rest: grids.append(grid))
    x = np.broadcast_to(np.float32(0), (1, 70_000, 1))
    mean, var = np.zeros((2, 70_000), np.float32)
    norm._batch_norm.run(x, *[None] * 3, mean=mean, var=var, batch=True, eps=0.1, relu=False)
    assert grids == [(70_000,)]
