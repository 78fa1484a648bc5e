"""Winograd's convolution against the definition, minigrad.ops.conv."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.cpu import conv_winograd as winograd
from minigrad.ops import conv
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


def largest_of_tiles(x, before, tile, step):
    """max |x| of each tile, ``step`` apart, of x (C, H, W, N) with zeros around."""
    x = np.pad(np.abs(x), ((0, 0), (before, 5), (before, 5), (0, 0)))
    views = np.lib.stride_tricks.sliding_window_view(x, (tile, tile), (1, 2))
    return views[:, ::step, ::step].max((-1, -2))


KINDS = {
    "normal": lambda draw, shape: draw.standard_normal(shape),
    "signs": lambda draw, shape: draw.choice([-1.0, 1.0], shape),
    "heavy tails": lambda draw, shape: draw.standard_cauchy(shape),
    "any magnitude": lambda draw, shape: 10 ** draw.uniform(-6, 6, shape),
    "outliers": lambda draw, shape: np.where(draw.random(shape) < 0.01, 1e5, draw.random(shape)),
}


@pytest.mark.parametrize("channels", [1, 64])
@pytest.mark.parametrize("weights", KINDS)
@pytest.mark.parametrize("inputs", KINDS)
def test_the_bound_of_a_tile(inputs, weights, channels):
    """What the docstring of minigrad.cpu.conv_winograd states, whatever the numbers."""
    draw = np.random.default_rng(0)
    x = KINDS[inputs](draw, (channels, 8, 8, 16)).astype(np.float32)
    w = KINDS[weights](draw, (4, channels, 3, 3)).astype(np.float32)
    g = KINDS[weights](draw, (4, 8, 8, 16)).astype(np.float32)
    exact = [a.astype(np.float64) for a in (x, w, g)]
    largest = largest_of_tiles(x, 1, 6, 4)[:, :2, :2]
    unit = 1000 * 2.0**-24

    limit = np.einsum("oc,chwn->ohwn", np.abs(exact[1]).sum((2, 3)), largest)
    truth = definition(*exact[:2], None, (1, 1))
    error = np.abs(winograd.correlate(x, w, None, (1, 1)) - truth)
    assert (largest_of_tiles(error, 0, 4, 4)[:, :2, :2] <= unit * limit).all()

    limit = np.einsum("ohwn,chwn->oc", largest_of_tiles(g, 0, 4, 4)[:, :2, :2], largest)
    truth = conv.weight_gradient(exact[0], exact[2], w.shape, edges((1, 1)), WINDOW, 1)
    error = np.abs(winograd.weight_gradient(x, g, (1, 1)) - truth)
    assert (error.max((2, 3)) <= unit * limit).all()


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
