"""The kernels against sums written out; tests/cpu/test_conv_shifted.py has the operations."""

from __future__ import annotations

import numpy as np
import pytest

shifted = pytest.importorskip("minigrad.cpu.kernels.shifted")


def test_a_frame_has_zeros_all_around():
    x = np.arange(1.0, 25).reshape(2, 3, 4)
    framed = np.full(2 * 40 + 3, np.nan)
    shifted.frame(x.ravel(), 2, 3, 4, 7, 6, 40, framed)
    expected = np.zeros((2, 40))
    for row in range(3):
        expected[:, 7 + 6 * row : 11 + 6 * row] = x[:, row]
    np.testing.assert_array_equal(framed[:80].reshape(2, 40), expected)
    assert np.isnan(framed[80:]).all()


def test_some_rows_of_some_outputs_only():
    generator = np.random.default_rng(0)
    rows, row, width, channels, outputs = 5, 9, 7, 3, shifted.ROWS + 1
    block = shifted.BLOCK_BYTES // 8
    plane = (rows + 2) * row + block
    framed = generator.standard_normal((channels, plane))
    shifts = np.array([0, 1, row + 2])
    filters = generator.standard_normal((outputs, len(shifts), channels))
    padded = np.zeros((2 * shifted.ROWS, len(shifts), channels))
    padded[:outputs] = filters
    packed = np.ascontiguousarray(padded.reshape(2, shifted.ROWS, -1).transpose(0, 2, 1)).ravel()
    bias, y = np.zeros(2 * shifted.ROWS), np.full(outputs * rows * width, np.nan)
    bias[:outputs] = generator.standard_normal(outputs)
    sums = np.full(shifted.ROWS * -(-3 * row // block) * block, np.nan)
    sizes = outputs, rows, width, 1, 4
    shifted.correlate(framed.ravel(), plane, row, channels, shifts, packed, bias, *sizes, y, sums)
    runs = np.stack([framed[:, s : s + rows * row] for s in shifts])  # (taps, channels, elements)
    expected = np.einsum("opc,pce->oe", filters, runs) + bias[:outputs, None]
    y, expected = y.reshape(outputs, rows, width), expected.reshape(outputs, rows, row)
    np.testing.assert_allclose(y[:, 1:4], expected[:, 1:4, :width], 1e-12, 1e-12)
    assert np.isnan(y[:, [0, 4]]).all()


def test_a_gradient_adds_to_what_is_there():
    generator = np.random.default_rng(1)
    across, block = shifted.lines(8), shifted.BLOCK_BYTES // 8
    channels, outputs, size = 2 * across, 2 * shifted.LINES, 3 * block
    framed = generator.standard_normal((channels, size + 5))
    g = generator.standard_normal((outputs, size))
    shifts = np.array([0, 4])
    w = np.ones((outputs, 2 * channels))
    some = shifted.LINES, outputs, block, size
    sizes = size + 5, channels, shifts, g.ravel(), size
    shifted.weight_gradient(framed.ravel(), *sizes, *some, w.ravel(), 2 * channels)
    runs = np.stack([framed[:, s : s + size] for s in shifts])
    expected = 1 + np.einsum("oe,pce->opc", g[:, block:], runs[..., block:])
    np.testing.assert_allclose(w[some[0] :], expected[some[0] :].reshape(-1, 2 * channels))
    assert (w[: some[0]] == 1).all()
