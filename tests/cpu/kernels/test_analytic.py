"""Sine and cosine against the standard library's."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.common import units

pytest.importorskip("numba")
from minigrad.cpu.kernels import analytic

RNG = np.random.default_rng(0)
NUMBERS = {
    "small": np.geomspace(1e-300, 1, 1000),
    "usual": RNG.uniform(-1e3, 1e3, 5000),
    "near multiples of π/2": np.arange(-1000, 1000) * (math.pi / 2),
    "far": RNG.uniform(-analytic.FAR, analytic.FAR, 5000),
    "huge": RNG.uniform(-1e300, 1e300, 100),
    "mixed": np.resize([1.0, 1e9, -0.5], 2 * analytic.RUN + 1),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_last_bits(name):
    x = NUMBERS[name]
    for quarter, function in enumerate((math.sin, math.cos)):
        out = np.empty_like(x)
        analytic.waves(out, x, quarter, 0, len(x))
        assert units(out, np.array([*map(function, x.tolist())])) <= 2


@pytest.mark.parametrize("quarter", [0, 1])
def test_special_values(quarter):
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0])
    analytic.waves(x, x, quarter, 0, len(x))
    np.testing.assert_array_equal(x, [np.nan, np.nan, np.nan, quarter, quarter])
    if not quarter:
        np.testing.assert_array_equal(np.signbit(x[3:]), [False, True])
