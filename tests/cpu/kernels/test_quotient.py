"""Remainders and whole quotients: NumPy's bits, or the kernel says that it may not serve."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba")
from minigrad.cpu.kernels import quotient

FAR = np.float32(2**22)


@pytest.mark.parametrize("name", ["remainder", "floor_divide", "fmod"])
def test_same_bits(name):
    """Quotients that are whole, that round to a whole number, and others."""
    kernel, plain = getattr(quotient, name), getattr(np, name)
    generator = np.random.default_rng(0)
    b = generator.choice(np.float32([0.1, -0.7, 3, 0.25]), 4000)
    a = generator.integers(-50, 50, 4000).astype(np.float32) * b
    a[::3] = 100 * generator.standard_normal(a[::3].size).astype(np.float32)
    out = np.empty_like(a)
    assert kernel(out, a, b, FAR)
    np.testing.assert_array_equal(out, plain(a, b))
    for x, y in ((1, 0), (np.nan, 1), (1, np.inf), (1e9, 1)):
        assert not kernel(out[:1], np.float32([x]), np.float32([y]), FAR)
