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
