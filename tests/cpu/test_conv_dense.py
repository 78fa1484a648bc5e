"""Convolution as one matrix product: where it serves, and which numbers it takes;
tests/ops/cases_conv.py has what it computes."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad.cpu import conv_dense
from minigrad.ops.conv import Window

pytestmark = pytest.mark.usefixtures("compiled")


@pytest.mark.parametrize(
    ("pixels", "images", "groups", "serves"),
    [
        ((2, 2), 64, 1, True),
        ((2, 4), 64, 1, True),
        ((3, 3), 64, 1, False),  # no fewer pixels than a filter
        ((2, 2), 16, 1, False),
        ((2, 2), 64, 2, False),
    ],
)
def test_serves_many_images_of_few_pixels(pixels, images, groups, serves):
    x = np.empty((4, *pixels, images), np.float32)
    assert conv_dense.is_supported(x, (3, 3), groups) is serves


@pytest.mark.parametrize(
    ("size", "padding", "window", "expected"),
    [
        ((2, 2), (1, 1), Window((3, 3)), [[4, 5, 7, 8], [3, 4, 6, 7], [1, 2, 4, 5], [0, 1, 3, 4]]),
        ((1, 1), (1, 1), Window((3, 3)), [[4]]),
        ((1, 2), (0, 1), Window((1, 3)), [[1, 2], [0, 1]]),
        ((1, 2), (0, 2), Window((1, 2), dilation=(1, 2)), [[1, -1], [-1, 1], [0, -1], [-1, 0]]),
        ((1, 3), (0, 1), Window((1, 3), (1, 2)), [[1, 2, -1], [-1, 0, 1]]),
    ],
)
def test_which_number_an_output_takes_of_a_pixel(size, padding, window, expected):
    assert conv_dense._taps(size, padding, window).tolist() == expected
