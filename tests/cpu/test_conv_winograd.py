"""The error of Winograd's convolution, and where it is used."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad.cpu import conv_winograd as winograd
from minigrad.layout import from_batch_last, to_batch_last
from minigrad.ops.conv import Window, _conv2d
from tests.common import set_compiled

pytestmark = pytest.mark.usefixtures("compiled")

OPTIONS = {"padding": (1, 1), "window": Window((3, 3)), "groups": 1}


def definition(x, w, g=None):
    """The convolution with padding 1, and dL/dw for g = dL/dy."""
    y, backward = _conv2d.definition(from_batch_last(x), w, None, **OPTIONS)
    gw = None if g is None else backward(from_batch_last(g), (False, True, False))[1]
    return to_batch_last(y), gw


def draw(seed, *shapes, dtype=np.float64):
    generator = np.random.default_rng(seed)
    return [generator.standard_normal(shape).astype(dtype) for shape in shapes]


@pytest.mark.parametrize("channels", [16, 256])
def test_float32_error(channels):
    """In float32 the error is a few times the definition's, and stays there for many channels."""
    x, w = draw(0, (channels, 8, 8, 16), (16, channels, 3, 3))
    truth, _ = definition(x, w)
    x, w = x.astype(np.float32), w.astype(np.float32)

    def error(y):
        return np.sqrt(np.mean((y - truth) ** 2)) / truth.std()

    ours = error(winograd.correlate(x, w, None, (1, 1)))
    assert ours < 2e-6
    assert ours < 10 * error(definition(x, w)[0])


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
    truth, gw = definition(*exact)
    error = np.abs(winograd.correlate(x, w, None, (1, 1)) - truth)
    assert (largest_of_tiles(error, 0, 4, 4)[:, :2, :2] <= unit * limit).all()

    limit = np.einsum("ohwn,chwn->oc", largest_of_tiles(g, 0, 4, 4)[:, :2, :2], largest)
    error = np.abs(winograd.weight_gradient(x, g, (1, 1)) - gw)
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
    assert winograd.is_supported(x, 64, (16, 16))
    assert not winograd.is_supported(x, 64, (2, 2)), "four of five products would be thrown away"
    assert not winograd.is_supported(x[:2], 64, (16, 16)), "the transforms cost more than they save"
    assert winograd.is_supported(x[..., :4], 64, (16, 16))
    assert not winograd.is_supported(x[..., :1], 64, (16, 16)), "filters take too long"
    with set_compiled(False):
        assert not winograd.is_supported(x, 64, (16, 16))
