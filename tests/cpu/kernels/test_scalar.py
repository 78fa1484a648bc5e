"""Functions of one number, compiled into a loop, against the standard library's."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.common import units

pytest.importorskip("numba")
from minigrad.cpu.kernels import activation, scalar

FUNCTIONS = {
    "exp": (math.exp, -70, 70),
    "exp_falling": (math.exp, -70, 0),
    "expm1": (math.expm1, -70, 70),
    "log1p": (math.log1p, 0, 1),
    "tanh": (math.tanh, -25, 25),
    "sigmoid": (lambda x: 1 / (1 + math.exp(-x)), -70, 70),
    "erf": (math.erf, -7, 7),
}
# At ∞, −∞ and the largest numbers of both signs.
LIMITS = {
    "exp": (math.inf, 0),
    "expm1": (math.inf, -1),
    "tanh": (1, -1),
    "sigmoid": (1, 0),
    "erf": (1, -1),
}


def apply(name, x):
    out = np.empty_like(x)
    activation.loop(1, getattr(scalar, name), x.dtype.type)(out, x, (), 0, len(x))
    return out


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_last_bits(name, dtype):
    """Within four units of the last place, near 0 too."""
    function, low, high = FUNCTIONS[name]
    x = np.concatenate([np.linspace(low, high, 10001), np.geomspace(1e-30, 1, 1000)]).astype(dtype)
    assert units(apply(name, x), np.array([function(v) for v in x.tolist()])) <= 4


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", LIMITS)
def test_extreme_values(name, dtype):
    above, below = LIMITS[name]
    most = np.finfo(dtype).max
    y = apply(name, np.array([np.inf, most, -np.inf, -most, np.nan], dtype))
    np.testing.assert_array_equal(y, np.array([above, above, below, below, np.nan]))


def test_log():
    x = np.concatenate([np.linspace(1, 1e6, 10001), 1 + np.geomspace(1e-15, 1, 1000), [np.nan]])
    assert units(apply("log", x)[:-1], np.array([math.log(v) for v in x[:-1].tolist()])) <= 4
    assert np.isnan(apply("log", x[-1:]))


@pytest.mark.parametrize(("dtype", "most"), [(np.float32, 4e-7), (np.float64, 1e-15)])
def test_gelu(dtype, most):
    """Value and slope, relative to the largest value around."""
    x = np.linspace(-12, 12, 10001).astype(dtype)
    phi = np.array([0.5 * math.erfc(-v * math.sqrt(0.5)) for v in x.tolist()])
    density = np.exp(-0.5 * x.astype(np.float64) ** 2) / math.sqrt(2 * math.pi)
    kernels, out = activation.passes("gelu", x.dtype), np.empty_like(x)
    kernels.value(out, x, (), 0, len(x))
    np.testing.assert_allclose(out, x * phi, rtol=most, atol=most)
    kernels.gradient(out, x, np.ones_like(x), (), 0, len(x))
    np.testing.assert_allclose(out, phi + x * density, rtol=most, atol=most)


def test_exp_of_the_smallest_results():
    """They are subnormal: neither 0 nor NaN."""
    x = np.float64([-745, -720, -708.5])
    np.testing.assert_allclose(apply("exp", x), np.exp(x), rtol=1e-15, atol=5e-324)
