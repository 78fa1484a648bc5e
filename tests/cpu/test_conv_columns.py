"""Blocks of columns; tests/ops/test_implementations.py compares the products."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad.cpu import conv_columns as columns
from minigrad.ops.conv import Window


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 1 << 20))
def test_blocks_cover_every_position_once(oh, ow, size):
    seen = np.zeros((oh, ow), int)
    for rows, cols in columns.blocks(oh, ow, size):
        seen[rows, cols] += 1
    assert (seen == 1).all()


@given(*[st.integers(-2, 2)] * 4)
def test_pad_adds_zeros_or_crops(top, bottom, left, right):
    x = np.arange(2.0 * 5 * 6 * 3).reshape(2, 5, 6, 3)
    found = columns.pad(x, ((top, bottom), (left, right)))
    wide = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)))
    expected = wide[:, 2 - top : 7 + bottom, 2 - left : 8 + right]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("way", ["by_correlation", "col2im"])
def test_both_ways_to_the_input_gradient(way):
    generator = np.random.default_rng(0)
    g, w = generator.standard_normal((4, 3, 4, 5)), generator.standard_normal((4, 2, 3, 2))
    window = Window((3, 2))
    found = getattr(columns, way)(g, w, (5, 5), (0, 0), window, 1)
    expected = np.zeros((2, 5, 5, 5))
    for (rows, cols), part in zip(
        window.offsets((3, 4)), w.reshape(4, 2, 6).transpose(2, 1, 0), strict=True
    ):
        expected[:, rows, cols] += np.tensordot(part, g, 1)
    np.testing.assert_allclose(found, expected, 1e-12, 1e-12)
