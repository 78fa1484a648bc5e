"""The kernels of filters as a matrix; tests/cpu/test_conv_dense.py has which numbers they take."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad.cpu.compiled import kernels

pytestmark = pytest.mark.usefixtures("compiled")
TAPS = np.array([[2, 0], [-1, 2]])  # of two outputs and two pixels


@pytest.fixture
def dense():
    return kernels("dense", np.dtype(np.float64))


def test_numbers_of_some_filters_are_spread(dense):
    w = np.arange(2 * 3 * 4.0)  # two filters of three channels and four offsets
    m = np.full((2, 2, 2, 3), -7.0)
    dense.spread(w, 4, 3, TAPS, m.reshape(-1), 1, 2)
    own = w.reshape(2, 3, 4)[1].T
    assert (m[0] == -7).all()
    np.testing.assert_array_equal(m[1], [[own[2], own[0]], [0 * own[0], own[2]]])


def test_sums_of_some_filters_are_gathered(dense):
    m = np.random.default_rng(0).standard_normal((2, 2, 2, 3))
    w = np.full((2, 3, 4), -7.0)
    dense.gather(m.reshape(-1), 4, 3, TAPS, w.reshape(-1), 0, 1)
    expected = np.zeros((3, 4))
    expected[:, 0], expected[:, 2] = m[0, 0, 1], m[0, 0, 0] + m[0, 1, 1]
    np.testing.assert_allclose(w[0], expected)
    assert (w[1] == -7).all()
