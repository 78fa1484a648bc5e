"""Activations' CUDA kernels against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad.ops import activation
from tests.common import layouts, seeds
from tests.gpu.kernels.twins import assert_twins, draw

pytestmark = pytest.mark.usefixtures("on_cpu")


@given(st.sampled_from([(), (0, 3), (1,), (3, 5), (2, 3, 300)]), layouts, seeds)
def test_relu(shape, layout, seed):
    for dtype in (np.float32, np.float64):
        x, g = (draw(shape, seed + i, dtype, layout) for i in range(2))
        x[abs(x) < 0.2] = 0
        x[x > 2] = np.nan
        assert_twins(activation._relu.run, [x], g, exact=True)
