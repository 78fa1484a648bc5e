"""Pooling's CUDA kernels: large windows, long sums; else see tests/ops/test_implementations."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad.gpu.pool import _pool_by_kernel
from minigrad.ops import pool
from tests.common import leaf
from tests.gpu.kernels.twins import draw, without_kernels

pytestmark = pytest.mark.usefixtures("on_cpu")


def assert_same(function, x):
    """`function` of a Tensor and its gradient, by kernels and in NumPy."""
    results = []
    for way in (lambda f: f(), without_kernels):

        def run():
            t = leaf(x)
            y = function(t)
            y.backward(mg.Tensor(draw(y.shape, 1, x.dtype)))
            return y.detach().numpy(), t.grad.numpy()

        results.append(way(run))
    for one, other in zip(*results, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("padding", [0, 1])
def test_max_of_nothing_but_minus_infinity(padding):
    """The first place takes the gradient, as of any equals."""
    x = np.full((3, 2, 4, 4), -np.inf, np.float32)
    assert_same(lambda t: mg.functional.max_pool2d(t, 2, 2, padding), x)


def test_max_of_a_window_with_more_places_than_a_byte_counts():
    x = draw((2, 1, 20, 20), 0, np.float32)
    assert pool.place_dtype(pool.Window((16, 16))) is np.uint16
    assert_same(lambda t: mg.functional.max_pool2d(t, 16, 2), x)


def test_max_of_a_window_with_more_places_than_two_bytes_count():
    """Its first place is numbered 65536, from the end; ``ceil_mode`` lets it exceed the image."""
    x = np.zeros((2, 1, 2, 3), np.float32)
    x[0, 0, 0, 0] = x[1, 0, 1, 2] = 1
    assert pool.place_dtype(pool.Window((256, 256))) is np.uint32
    t = leaf(x)
    mg.functional.max_pool2d(t, 256, ceil_mode=True).sum().backward()
    np.testing.assert_array_equal(t.grad.numpy(), x)


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
@pytest.mark.parametrize("stride", [1, 6])
def test_windows_whose_sums_are_long(name, stride):
    """Outputs of 36 pixels, and pixels that lie in 36 windows: both are added up in float64."""
    x = draw((3, 2, 12, 12), 0, np.float32)
    x[:, 0, 5, 6] = 9  # the largest in many windows
    assert_same(lambda t: getattr(mg.functional, name)(t, 6, stride), x)


def test_more_positions_than_can_be_counted():
    y = np.broadcast_to(np.float32(0), (1 << 12, 1 << 10, 1 << 10, 1))
    x, place = np.zeros(1, np.float32), np.zeros(1, np.uint8)
    with pytest.raises(OverflowError, match="max_pool: P: 4294967296 does not fit uint32"):
        _pool_by_kernel("max_pool", y, (x,), (1,) * 13, 0.0, x, place, terms=1)
