"""Winograd's convolution against the definition, minigrad.ops.conv."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.ops import conv, winograd
from tests.common import seeds, set_compiled

pytestmark = pytest.mark.usefixtures("compiled")

WINDOW = conv.Window((3, 3))
sides = st.integers(1, 4)


def edges(padding):
    return tuple((p, p) for p in padding)


def definition(x, w, b, padding):
    return conv.correlate(x, w, b, edges(padding), WINDOW, 1)


def draw(seed, *shapes, dtype=np.float64):
    generator = np.random.default_rng(seed)
    return [generator.standard_normal(shape).astype(dtype) for shape in shapes]


@given(
    st.tuples(sides, sides),
    st.tuples(st.integers(3, 14), st.integers(3, 22)),
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
    st.integers(1, 5),
    st.booleans(),
    st.integers(1, 3),
    st.sampled_from([1, 20_000, 1 << 20]),
    seeds,
)
def test_equals_the_definition(channels, size, padding, n, biased, threads, block_bytes, seed):
    """Ragged edges, any padding, one block or many, few blocks for the threads or enough."""
    (c, o), (h, wide) = channels, size
    out = tuple(s + 2 * p - 2 for s, p in zip(size, padding, strict=True))
    x, w, b, g = draw(seed, (c, h, wide, n), (o, c, 3, 3), (o,), (o, *out, n))
    mg.set_num_threads(threads)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd, "BLOCK_BYTES", block_bytes)
        patch.setattr(winograd, "SUM_BYTES", block_bytes)
        y = winograd.correlate(x, w, b if biased else None, padding)
        gw = winograd.weight_gradient(x, g, padding)
    expected = definition(x, w, b if biased else None, padding)
    np.testing.assert_allclose(y, expected, 1e-11, 1e-11)
    expected = conv.weight_gradient(x, g, w.shape, edges(padding), WINDOW, 1)
    np.testing.assert_allclose(gw, expected, 1e-10, 1e-10)


@pytest.mark.parametrize("channels", [16, 256])
def test_float32_error(channels):
    """In float32 the error is a few times the definition's, and stays there for many channels."""
    x, w = draw(0, (channels, 8, 8, 16), (16, channels, 3, 3))
    truth = definition(x, w, None, (1, 1))
    x, w = x.astype(np.float32), w.astype(np.float32)

    def error(y):
        return np.sqrt(np.mean((y - truth) ** 2)) / truth.std()

    ours = error(winograd.correlate(x, w, None, (1, 1)))
    assert ours < 2e-6
    assert ours < 10 * error(definition(x, w, None, (1, 1)))


def test_same_bits_every_time():
    x, w, g = draw(1, (8, 16, 16, 16), (8, 8, 3, 3), (8, 16, 16, 16), dtype=np.float32)
    for function in (
        lambda: winograd.correlate(x, w, None, (1, 1)),
        lambda: winograd.weight_gradient(x, g, (1, 1)),
    ):
        np.testing.assert_array_equal(function(), function())


def test_where_it_is_used():
    x = np.zeros((64, 16, 16, 32), np.float32)
    assert winograd.suits(x, 64, (16, 16))
    assert not winograd.suits(x, 64, (2, 2)), "four of five products would be thrown away"
    assert not winograd.suits(x[:2], 64, (16, 16)), "the transforms cost more than they save"
    assert not winograd.suits(x[..., :4], 64, (16, 16)), "runs of four elements are too short"
    with set_compiled(False):
        assert not winograd.suits(x, 64, (16, 16))
