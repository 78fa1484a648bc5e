"""Convolution straight from the image: infinities, and where it is used."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad.cpu import conv_direct as direct

pytestmark = pytest.mark.usefixtures("compiled")


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_infinity(channels):
    """Channels repeated to fill up fours make no NaN of it."""
    x, w = np.ones((channels, 3, 3, 4)), np.arange(1.0, 1 + channels).reshape(1, -1, 1, 1)
    x[-1, 1, 1], x[0, 0, 0] = np.inf, -np.inf
    y = direct.correlate(x, w, None, (0, 0), (1, 1), (3, 3))
    np.testing.assert_array_equal(y, (x * w.reshape(-1, 1, 1, 1)).sum(axis=0, keepdims=True))


def test_where_it_is_used():
    x = np.zeros((16, 8, 8, 4), np.float32)
    assert direct.is_supported(x, (32, 16, 3, 3), 1, direct.MAX_FORWARD_CHANNELS)
    assert not direct.is_supported(x, (32, 32, 3, 3), 1, direct.MAX_FORWARD_CHANNELS)
    assert direct.is_supported(x, (32, 32, 3, 3), 1, direct.MAX_BACKWARD_CHANNELS)
    assert not direct.is_supported(x, (32, 8, 3, 3), 2, direct.MAX_FORWARD_CHANNELS)
    assert not direct.is_supported(x[..., :1], (32, 16, 3, 3), 1, direct.MAX_FORWARD_CHANNELS)
