"""The kernels against sums written out; tests/cpu/test_conv_shifted.py has the operations."""

from __future__ import annotations

import numpy as np
import pytest

shifted = pytest.importorskip("minigrad.cpu.kernels.shifted")

IMAGE = 2, 3, 4, 2


@pytest.mark.parametrize("right", [1, 2])
def test_a_frame_has_zeros_all_around(right):
    x = np.arange(1.0, 49).reshape(IMAGE)
    tops, lefts, pitch, columns = np.array([-1, 0]), np.array([-2, -1, 6]), 3, 5
    plane = 6 * pitch * columns * 2 + 16
    framed = np.full(2 * plane, np.nan)
    frame = 2, right, pitch, columns * 2, plane
    shifted.fill(x.ravel(), IMAGE, frame, tops, lefts, framed)
    expected = np.zeros((2, 2, 3, pitch, columns, 2))
    padded = np.pad(x, ((0, 0), (2, 9), (2, 20), (0, 0)))
    for i, top in enumerate(tops):
        for j, left in enumerate(lefts):
            rows, first = slice(2 + top, 2 + top + 2 * pitch, 2), 2 + left
            expected[:, i, j] = padded[:, rows, first : first + right * columns : right]
    framed = framed.reshape(2, plane)
    np.testing.assert_array_equal(framed[:, :-16].reshape(expected.shape), expected)
    assert (framed[:, -16:] == 0).all()


@pytest.mark.parametrize("beside", [0, 2])  # rows follow each other, or zeros lie between
def test_some_rows_of_some_outputs_only(beside):
    generator = np.random.default_rng(0)
    (channels, height, width, n), outputs = (2, 5, 7, 1), shifted.ROWS + 1
    x, row = generator.standard_normal((channels, height, width)), width + beside
    frame = 1, 1, 4, row, 5 * row + 16
    shifts = np.array([0, row, row + beside])
    w, places = generator.standard_normal((outputs, channels, 4)), np.array([1, 0, 3])
    bias, y = generator.standard_normal(outputs), np.full(outputs * height * width, np.nan)
    layout = width, 0, height * width, width, 1
    scratch = np.full(channels * frame[4] + shifted.ROWS * 64, np.nan)
    begin = np.array([0])
    rows = np.array([[0, 1], [1, 4]])
    shifted.correlate(
        x.reshape(1, -1), (channels, height, width, n), frame, begin, begin, w.reshape(1, -1),
        channels * 4, 4, places, shifts, bias[None], outputs, y[None], layout, rows, 1, 2,
        scratch[None], 1, 2,
    )  # fmt: skip
    framed = np.pad(x, ((0, 0), (0, 0), (0, beside)))
    seen = [framed, framed[:, 1:], framed[:, 1:, beside:]]
    expected = np.full((outputs, height, width), np.nan)
    expected[:, 1:4] = bias[:, None, None] + sum(
        np.einsum("oc,chw->ohw", w[:, :, p], one[:, 1:4, :width])
        for p, one in zip(places, seen, strict=True)
    )
    np.testing.assert_allclose(y.reshape(expected.shape), expected, 1e-12, 1e-12)


def test_a_gradient_of_filters():
    generator = np.random.default_rng(1)
    across, block = shifted.lines(8), shifted.BLOCK_BYTES // 8
    channels, (outputs, height, width, n) = 2 * across, (shifted.LINES + 1, 3, 4, 2)
    row, size = 5 * n, 2 * block * -(-height * 5 * n // (2 * block))
    framed = generator.standard_normal((channels, size + 4))
    g = generator.standard_normal((outputs, height, width, n))
    shifts, frame = np.array([0, 4]), (1, 1, height, row, size + 16)
    w, each = np.full((outputs, channels - 1, 2), np.nan), channels - 1
    scratch = np.full(2 * shifted.LINES * (size + 16 + 2 * channels), np.nan)
    shifted.weight_gradient(
        framed.ravel(), size + 4, channels, shifts, g.ravel(), g.shape, frame, np.array([0]),
        size, block, w.reshape(-1), each, np.array([[0, 2], [2, outputs]]), scratch[None], 0, 2,
    )  # fmt: skip
    runs = np.stack([framed[:each, s : s + height * row] for s in shifts])
    padded = np.pad(g, ((0, 0), (0, 0), (0, 1), (0, 0))).reshape(outputs, -1)
    np.testing.assert_allclose(w, np.einsum("oe,pce->ocp", padded, runs), 1e-12, 1e-12)
