"""Convolution of few images, beside im2col."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.cpu import conv_columns
from minigrad.cpu import conv_shifted as shifted
from minigrad.ops.conv import Window
from tests.common import grid, seeds
from tests.guard import guarded

pytestmark = pytest.mark.usefixtures("compiled")


@given(
    st.tuples(st.sampled_from([1, 2, 5, 32]), st.integers(1, 5), st.integers(1, 5)),
    st.tuples(*[st.integers(1, 3)] * 4),
    st.tuples(st.integers(1, 20), st.integers(1, 20)),
    st.sampled_from(["float32", "float64"]),
    seeds,
)
def test_as_by_columns(sizes, options, more, dtype, seed):
    n, c, o = sizes
    window = Window(options[:2], (1, 1), options[2:])
    padding = tuple(seed % reach for reach in window.reach)
    h, w = (max(1, reach - 2 * p) + m for reach, p, m in zip(window.reach, padding, more))  # noqa: B905
    x = grid((c, h, w, n), seed).astype(dtype)
    filters = grid((o, c, *window.kernel), seed + 1).astype(dtype)
    b = grid((o,), seed + 2).astype(dtype)
    calls = padding, window, 1
    tolerance = {"rtol": 1e-3 if dtype == "float32" else 1e-10, "atol": 1e-4}
    assert shifted.is_supported(x[:, :, :1, :1], 1)
    with np.errstate(invalid="ignore"), guarded():
        y, by_columns = (m.correlate(x, filters, b, *calls) for m in (shifted, conv_columns))
        np.testing.assert_allclose(y, by_columns, **tolerance)
        infinite = x.copy()
        infinite.reshape(-1)[seed % x.size] = np.inf
        y, by_columns = (m.correlate(infinite, filters, b, *calls) for m in (shifted, conv_columns))
        np.testing.assert_allclose(y, by_columns, **tolerance)
        g = grid(y.shape, seed + 3).astype(dtype)
        gw, by_columns = (
            m.weight_gradient(x, g, filters.shape, *calls) for m in (shifted, conv_columns)
        )
        np.testing.assert_allclose(gw, by_columns, **tolerance)
        gx, by_columns = (
            m.input_gradient(g, filters, (h, w), *calls) for m in (shifted, conv_columns)
        )
        np.testing.assert_allclose(gx, by_columns, **tolerance)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_shared_among_threads(threads, monkeypatch):
    monkeypatch.setattr(shifted, "MIN_PRODUCTS", 0)
    before = mg.get_num_threads()
    x, w = grid((9, 8, 8, 2), 0), grid((21, 9, 3, 3), 1)
    calls = (1, 1), Window((3, 3)), 1
    mg.set_num_threads(threads)
    try:
        y = shifted.correlate(x, w, None, *calls)
        gw = shifted.weight_gradient(x, y, w.shape, *calls)
    finally:
        mg.set_num_threads(before)
    np.testing.assert_allclose(y, conv_columns.correlate(x, w, None, *calls), 1e-10, 1e-10)
    np.testing.assert_allclose(gw, conv_columns.weight_gradient(x, y, w.shape, *calls), 1e-10)
