"""Samples: what is shown of an array, and numbers of all of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad.explore.pictures import BINS, SPREAD, histogram, norm, only_norm, spread, take
from tests.common import lay_out, layouts, seeds, shapes


def drawn(shape, seed):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@given(shapes(max_dims=4), seeds, layouts, st.sampled_from([np.float16, np.float32, np.float64]))
def test_norm_in_any_memory_order(shape, seed, layout, dtype):
    a = lay_out(drawn(shape, seed).astype(dtype), layout)
    expected = np.linalg.norm(a.astype(np.float64).ravel())
    assert norm(a) == pytest.approx(expected, rel=1e-5)
    assert only_norm(a).norm == norm(a)


@pytest.mark.parametrize(("scale", "count"), [(1e-30, 9), (1e30, 9), (0, 9), (3, 0)])
def test_norm_beyond_its_dtype(scale, count):
    assert norm(np.full(count, scale, np.float32)) == pytest.approx(scale * count**0.5, rel=1e-5)


def test_norm_of_what_is_repeated():
    assert norm(np.broadcast_to(np.float32(2), (3, 4))) == pytest.approx(2 * 12**0.5)


@given(shapes(max_dims=5), seeds, layouts)
def test_maps_are_a_corner_of_the_array(shape, seed, layout):
    a = lay_out(drawn(shape, seed), layout)
    sample = take(a)
    corner = a[(0,) * max(0, a.ndim - 3)]
    corner = corner.reshape((1,) * (3 - corner.ndim) + corner.shape)[:8]
    assert np.array_equal(sample.maps, corner)
    assert sample.step == (1, 1)


def test_filters_are_shown_on_their_channels():
    w = drawn((20, 10, 3, 3), 0)
    sample = take(w, weight=True)
    assert (sample.across, sample.maps.shape) == (8, (64, 3, 3))
    assert np.array_equal(sample.maps[8 * 5 + 2], w[5, 2])
    assert take(w).maps.shape == (8, 3, 3)


def test_large_maps_are_thinned_out():
    sample = take(drawn((2, 3, 130, 64), 0))
    assert (sample.step, sample.maps.shape) == ((3, 1), (3, 44, 64))


def test_a_spread_meets_every_image():
    """With a step that divides the batch, only some images would be seen."""
    a = np.zeros((16, 64, 64), np.float32) + np.arange(16, dtype=np.float32)[:, None, None]
    seen = spread(a.transpose(1, 2, 0).copy().transpose(2, 0, 1))
    assert len(seen) <= SPREAD
    assert set(seen) == set(range(16))


@given(st.lists(st.floats(width=32), max_size=50))
def test_histogram_counts_what_is_finite(values):
    values = np.array(values, np.float32)
    counts, low, high = histogram(values)
    finite = values[np.isfinite(values)]
    assert len(counts) == BINS
    assert sum(counts) == len(finite)
    assert not len(finite) or (low <= finite.min() and finite.max() <= high)
