"""Batch norm's CUDA kernels against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.gpu import launch as cuda
from minigrad.ops import norm
from tests.common import layouts, leaf, seeds
from tests.gpu.kernels.twins import assert_twins, draw, without_kernels

pytestmark = pytest.mark.usefixtures("on_cpu")
SEGMENT = norm.THREADS * norm.PER_THREAD

pixels = st.sampled_from([(), (1,), (3, 5), (7, 91), (2, SEGMENT // 2), (SEGMENT + 1,)])


@given(
    *(st.integers(1, 3), st.integers(1, 3), pixels),
    *(st.booleans(), st.booleans(), st.booleans(), st.booleans()),
    *(layouts, st.sampled_from([np.float32, np.float64]), seeds),
)
def test_twins(n, c, size, batch, affine, plus, relu, layout, dtype, seed):
    x, g, z = (draw((n, c, *size), seed + i, dtype, layout) for i in (0, 1, 6))
    w, b, mean, var = (draw((c,), seed + i, dtype, layout) for i in range(2, 6))
    moments = []

    def forward(x, w, b, z):
        now = mean.copy(), var**2
        options = {"mean": now[0], "var": now[1], "batch": batch, "eps": 1e-3, "relu": relu}
        y, backward = norm._batch_norm.run(x, w, b, z, **options)
        moments.append(now)
        for array in now:
            array += 1  # as a caller may before backward
        return y, backward

    affine = [w, b] if affine else [None, None]
    assert_twins(forward, [x, *affine, z if plus else None], g)
    for one, other in zip(*moments, strict=True):
        np.testing.assert_allclose(one, other, 1e-4 if dtype == np.float32 else 1e-10)


@given(
    *(st.sampled_from([1, 3, norm.THREADS + 1]), st.sampled_from([0.0, 0.1, 1 - 1e-6, 1.0])),
    *(st.integers(1, 2), layouts, st.sampled_from([np.float32, np.float64]), seeds),
)
def test_running_statistics(c, momentum, steps, layout, dtype, seed):
    """The same by one kernel as in NumPy, from the same moments."""
    x, start = draw((4, c), seed, dtype), draw((2, c), seed + 1, dtype) * 10**6

    def run():
        running = [leaf(a, layout=layout, requires_grad=False) for a in start]
        for _ in range(steps):
            norm._track(*(t.data for t in running), x[0], x[1], momentum, 4 / 3)
        return [t.numpy() for t in running]

    for ours, theirs in zip(run(), without_kernels(run), strict=True):
        assert (ours != start).any() or momentum == 0
        np.testing.assert_allclose(ours, theirs, 1e-6 if dtype == np.float32 else 1e-14)


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
    assert grids == [(70_000,)] * 3
