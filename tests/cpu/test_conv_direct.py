"""Convolution straight from the image: padding, infinities, and repeatable sums."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad.cpu import conv_direct as direct
from minigrad.ops.conv import Window

pytestmark = pytest.mark.usefixtures("compiled")


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_infinity_stays_where_it_is(channels):
    """Filters, channels and outputs that fill up blocks make no NaN of it."""
    x, w = np.ones((channels, 3, 3, 5)), np.arange(1.0, 1 + channels).reshape(1, -1, 1, 1)
    x[-1, 1, 1], x[0, 0, 0] = np.inf, -np.inf
    options = (0, 0), Window((1, 1)), 1
    y = direct.correlate(x, w, None, *options)
    np.testing.assert_array_equal(y, (x * w.reshape(-1, 1, 1, 1)).sum(axis=0, keepdims=True))
    g = np.ones((1, 3, 3, 5))
    g[0, 0, 0, 0] = np.inf
    gx = direct.input_gradient(g, w, (3, 3), *options)
    np.testing.assert_array_equal(gx, w.reshape(-1, 1, 1, 1) * g)


def test_windows_of_nothing_but_padding():
    x, w, b = np.ones((2, 1, 1, 40)), np.ones((3, 2, 1, 1)), np.array([1.0, 2.0, 3.0])
    y = direct.correlate(x, w, b, (0, 2), Window((1, 1)), 1)
    np.testing.assert_array_equal(y[:, 0, :, 0], b[:, None] + [0, 0, 2, 0, 0])


def test_pixels_that_no_window_reads_have_no_gradient():
    g, w = np.ones((1, 2, 2, 3)), np.ones((1, 1, 1, 1))
    gx = direct.input_gradient(g, w, (4, 3), (0, 0), Window((1, 1), (3, 2)), 1)
    np.testing.assert_array_equal(gx[0, ..., 0], [[1, 0, 1], [0, 0, 0], [0, 0, 0], [1, 0, 1]])
