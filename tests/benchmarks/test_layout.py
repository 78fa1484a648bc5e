"""The parts that the layout benchmark times compute the same in every memory order."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks import layout

X = np.random.default_rng(0).standard_normal((2, 3, 8, 8), np.float32)
W = np.random.default_rng(1).standard_normal((4, 3, 3, 3), np.float32)


def there(x: np.ndarray, order: str) -> np.ndarray:
    return np.ascontiguousarray(x.transpose(["NCHW".index(a) for a in order]))


def back(y: np.ndarray, order: str) -> np.ndarray:
    return y.transpose([order.index(a) for a in "NCHW"])


@pytest.mark.parametrize("order", layout.ORDERS)
def test_parts(order):
    x = torch.from_numpy(X)
    conv = back(layout._convolve(order, there(X, order), W), order)
    np.testing.assert_allclose(conv, torch.conv2d(x, torch.from_numpy(W)), rtol=1e-4, atol=1e-4)
    pool = back(layout._pool(order, there(X, order), W), order)
    np.testing.assert_array_equal(pool, torch.max_pool2d(x, 2))
    mean, var = layout._moments(order, there(X, order), W)
    np.testing.assert_allclose(mean.ravel(), x.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(var, x.var((0, 2, 3), correction=0), rtol=1e-4)
