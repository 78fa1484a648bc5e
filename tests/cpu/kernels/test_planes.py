"""Max pooling of images in C order, compiled and in plain NumPy: the same bits."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from tests.common import leaf, seeds, set_compiled
from tests.cpu.kernels.test_pool import VALUES, pairs


@given(pairs(1, 3), pairs(1, 3), pairs(1, 2), st.integers(8, 40), st.data(), seeds)
def test_twins(kernel, stride, dilation, width, data, seed):
    padding = tuple(data.draw(st.integers(0, k // 2)) for k in kernel)
    values = VALUES[: data.draw(st.integers(2, 7))]
    x = np.random.default_rng(seed).choice(values, (2, 2, 6, width))
    ceil_mode, results = data.draw(st.booleans()), []
    for compiled in (True, False):
        with set_compiled(compiled):
            t = leaf(x)
            y = mg.functional.max_pool2d(t, kernel, stride, padding, dilation, ceil_mode)
            y.backward(mg.ones(y.shape))
            results.append((y.detach().numpy(), t.grad.numpy()))
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)
