"""Max pooling compiled and in plain NumPy: the same bits, ties, NaN and infinities included."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from tests.common import leaf, seeds, set_compiled

VALUES = np.array([0, 1, -1, 2, np.nan, np.inf, -np.inf], np.float32)
pairs = lambda low, high: st.tuples(*[st.integers(low, high)] * 2)  # noqa: E731


@given(
    pairs(1, 3), pairs(1, 3), pairs(1, 2), st.sampled_from([1, 3, 9]), st.data(),
    st.integers(2, 7), seeds,
)  # fmt: skip
def test_twins(kernel, stride, dilation, images, data, values, seed):
    padding = tuple(data.draw(st.integers(0, k // 2)) for k in kernel)
    x = np.random.default_rng(seed).choice(VALUES[:values], (images, 2, 6, 7))
    options = (kernel, stride, padding, dilation, data.draw(st.booleans()))
    results = []
    for compiled in (True, False):
        with set_compiled(compiled):
            t = leaf(x, layout="batch innermost")
            y = mg.functional.max_pool2d(t, *options)
            y.backward(mg.ones(y.shape))
            results.append((y.detach().numpy(), t.grad.numpy()))
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)
