"""Element by element: as the NumPy expressions, NaN and infinities included."""

from __future__ import annotations

import numpy as np
import pytest

activation = pytest.importorskip("minigrad.cpu.kernels.activation")

VALUES = np.array([0, -0.0, 1, -1, np.nan, np.inf, -np.inf, 1e-40])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kernels(dtype):
    y, g = (a.ravel().astype(dtype) for a in np.meshgrid(VALUES, VALUES))
    out = np.empty_like(y)
    activation.relu_gradient(out, y, g, 0, len(out))
    np.testing.assert_array_equal(out, np.where(y != 0, g, 0))
    activation.relu(out, y, 0, len(out))
    np.testing.assert_array_equal(out, np.maximum(y, 0))
    keep = np.arange(len(g)) % 3 == 0
    activation.masked(out, g, keep, dtype(1.25), 0, len(out))
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(out, g * dtype(1.25) * keep)
