"""Convolution straight from the image against the definition, minigrad.ops.conv."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.cpu import conv_direct as direct
from minigrad.ops import conv
from tests.common import seeds, set_compiled

pytestmark = pytest.mark.usefixtures("compiled")

pairs = lambda low, high: st.tuples(*[st.integers(low, high)] * 2)  # noqa: E731

strides = st.just((1, 1)) | pairs(1, 3)


@given(
    *[pairs(1, 9), pairs(1, 3), strides, pairs(1, 2), pairs(-1, 2), pairs(-1, 2), pairs(0, 4)],
    *[st.booleans(), st.integers(1, 3), st.sampled_from([1, 3, 700]), seeds],
)
def test_equals_the_definition(
    channels, kernel, stride, dilation, before, after, slack, biased, threads, n, seed
):
    """Any number of channels and taps, so also those left over from pieces of four; zeros around
    the image or parts of it cut off; runs longer than a strip."""
    (c, o), edges = channels, tuple(zip(before, after, strict=True))
    window = conv.Window(kernel, stride, dilation)
    framed = tuple(r + s for r, s in zip(window.reach, slack, strict=True))
    size = tuple(max(1, s - a - b) for s, (a, b) in zip(framed, edges, strict=True))
    out = window.output(*(s + a + b for s, (a, b) in zip(size, edges, strict=True)))
    generator = np.random.default_rng(seed)
    shapes = (c, *size, n), (o, c, *kernel), (o,), (o, *out, n)
    x, w, b, g = (generator.standard_normal(shape) for shape in shapes)
    b = b if biased else None
    mg.set_num_threads(threads)
    if stride == (1, 1):
        y = direct.correlate(x, w, b, before, dilation, out)
    gw = direct.weight_gradient(x, g, w.shape, before, stride, dilation)
    with set_compiled(False):
        if stride == (1, 1):
            np.testing.assert_allclose(y, conv.correlate(x, w, b, edges, window, 1), 1e-11, 1e-11)
        expected = conv.weight_gradient(x, g, w.shape, edges, window, 1)
    np.testing.assert_allclose(gw, expected, 1e-11, 1e-11)


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_infinity(channels):
    """Channels repeated to fill up fours make no NaN of it."""
    x, w = np.ones((channels, 3, 3, 4)), np.arange(1.0, 1 + channels).reshape(1, -1, 1, 1)
    x[-1, 1, 1], x[0, 0, 0] = np.inf, -np.inf
    y = direct.correlate(x, w, None, (0, 0), (1, 1), (3, 3))
    np.testing.assert_array_equal(y, (x * w.reshape(-1, 1, 1, 1)).sum(axis=0, keepdims=True))


def test_where_it_is_used():
    x = np.zeros((16, 8, 8, 4), np.float32)
    assert direct.suits(x, (32, 16, 3, 3), 1, direct.FORWARD)
    assert not direct.suits(x, (32, 32, 3, 3), 1, direct.FORWARD)
    assert direct.suits(x, (32, 32, 3, 3), 1, direct.BACKWARD)
    assert not direct.suits(x, (32, 8, 3, 3), 2, direct.FORWARD)
    assert not direct.suits(x[..., :1], (32, 16, 3, 3), 1, direct.FORWARD)
