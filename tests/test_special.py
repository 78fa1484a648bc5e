"""Special functions against the standard library's, in units of the last place."""

from __future__ import annotations

import math

import numpy as np
import pytest

from minigrad.special import erf
from tests.common import units

X = np.concatenate([np.linspace(-7, 7, 20001), np.geomspace(1e-30, 1, 1000), [0.0, 40, 1e30]])


@pytest.mark.parametrize(("dtype", "most"), [(np.float16, 0.51), (np.float32, 2), (np.float64, 4)])
def test_erf(dtype, most):
    x = X.clip(None, 6e4).astype(dtype)
    assert erf(x).dtype == dtype
    assert units(erf(x), np.array([math.erf(v) for v in x])) <= most


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_erf_of_extreme_values(dtype):
    y = erf(np.array([np.nan, np.inf, -np.inf, -0.0, np.finfo(dtype).max], dtype))
    np.testing.assert_array_equal(y, np.array([np.nan, 1, -1, -0.0, 1]))
    assert np.signbit(y[3])
