"""Convolution of few pixels: where it serves; tests/ops/cases_conv.py has what it computes."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad.cpu import conv_rows

pytestmark = pytest.mark.usefixtures("compiled")


@pytest.mark.parametrize(
    ("pixels", "filters", "channels", "groups", "serves"),
    [
        ((8, 8, 1), 256, 128, 1, True),
        ((2, 2, 64), 256, 128, 1, True),
        ((2, 2, 65), 256, 128, 1, False),  # more pixels than pay
        ((8, 8, 1), 256, 128, 2, False),
        ((8, 8, 1), 250, 128, 1, False),  # filters in no whole vectors
        ((8, 8, 1), 256, 3, 1, False),
    ],
)
def test_serves_few_pixels(pixels, filters, channels, groups, serves):
    x = np.empty((channels, *pixels), np.float32)
    w = np.empty((filters, channels // groups, 3, 3), np.float32)
    assert conv_rows.is_supported(x, w, pixels[:2], groups) is serves
