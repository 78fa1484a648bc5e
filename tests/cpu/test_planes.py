"""Pooling of images in C order: that it serves them; tests/ops/cases_pool.py has what it
computes."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad.functional as F
from minigrad.cpu import planes
from tests.common import lay_out, leaf

pytestmark = pytest.mark.usefixtures("compiled")


def test_serves_c_order():
    x = np.ones((2, 3, 4, 8), np.float32)
    assert planes.serves(x)
    assert not planes.serves(lay_out(x, "batch innermost"))
    assert not planes.serves(x[..., :4].copy())  # narrow


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d", "adaptive_max_pool2d"])
def test_results_are_in_c_order(name):
    x = leaf(np.ones((2, 3, 4, 8), np.float32))
    y = getattr(F, name)(x, 2)
    y.sum().backward()
    assert y.data.flags.c_contiguous
    assert x.grad.data.flags.c_contiguous
