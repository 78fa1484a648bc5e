"""Sums of products in several parts."""

from __future__ import annotations

import numpy as np
import pytest

product = pytest.importorskip("minigrad.cpu.kernels.product")


def test_dot():
    a, b = np.random.default_rng(0).random((2, 2 * product.RUN + 5))
    sums = np.zeros(2)
    product.dot(sums, a, b, 0, len(a))
    assert sums[0] == pytest.approx(a @ b, rel=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 7), (5, 1), (40, product.RUN + 3)])
def test_by_vector(shape, dtype):
    generator = np.random.default_rng(0)
    a, x = (generator.standard_normal(s).astype(dtype) for s in (shape, shape[1:]))
    y = np.full(len(a) + 1, 7, dtype)
    product.by_vector(y, a.reshape(-1), x, 0, len(a))
    exact = a.astype(np.float64) @ x
    np.testing.assert_allclose(y[:-1], exact, atol=len(x) * np.finfo(dtype).eps)
    assert y[-1] == 7
