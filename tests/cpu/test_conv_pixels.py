"""1 x 1 convolution of images in C order: where it serves; tests/ops/cases_conv.py has what it
computes."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad.cpu import conv_pixels
from minigrad.ops.conv import Window
from tests.common import lay_out

pytestmark = pytest.mark.usefixtures("compiled")


@pytest.mark.parametrize(
    ("shape", "layout", "filters", "options", "serves"),
    [
        ((8, 32, 16, 16), "C", (32, 32, 1, 1), {}, True),
        ((8, 32, 16, 16), "batch innermost", (32, 32, 1, 1), {}, False),
        ((32, 32, 16, 16), "C", (32, 32, 1, 1), {"window": Window((1, 1), (2, 2))}, True),
        ((8, 32, 16, 16), "C", (32, 32, 1, 1), {"padding": (1, 1)}, False),
        ((8, 32, 16, 16), "C", (32, 16, 1, 1), {"groups": 2}, False),
        ((1, 32, 64, 64), "C", (32, 32, 1, 1), {}, False),  # is batch-innermost, too
        ((8, 32, 4, 4), "C", (512, 32, 1, 1), {}, False),  # few pixels
        ((2, 8, 16, 16), "C", (8, 8, 1, 1), {}, False),  # few products
    ],
)
def test_serves_images_in_c_order(shape, layout, filters, options, serves):
    x, w = lay_out(np.ones(shape, np.float32), layout), np.ones(filters, np.float32)
    given = {"padding": (0, 0), "window": Window((1, 1)), "groups": 1, **options}
    assert conv_pixels.is_supported(x, w, None, **given) is serves
