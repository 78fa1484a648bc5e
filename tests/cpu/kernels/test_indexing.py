"""Counting sort, and rows longer than a run."""

from __future__ import annotations

import numpy as np
import pytest

indexing = pytest.importorskip("minigrad.cpu.kernels.indexing")


def test_rows():
    index, n, inner = np.array([2, 4, 0, 2, 2, 0]), 5, indexing.RUN + 3
    starts, places = np.empty(n + 1, np.int64), np.empty(len(index), np.int64)
    indexing.sort(index, starts, places)
    assert (starts.tolist(), places.tolist()) == ([0, 2, 2, 5, 5, 6], [2, 5, 0, 3, 4, 1])
    g, start = np.random.default_rng(0).random((2, 6, inner)), np.ones((2, n, inner))
    out = np.empty_like(start)
    for part in ((0, 3), (3, 10)):
        arrays = out.reshape(-1), start.reshape(-1), g.reshape(-1)
        indexing.add_rows(*arrays, starts, places, inner, *part)
    expected = start.copy()
    np.add.at(expected, (slice(None), index), g)
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("inner", [1, 5])
def test_places(inner):
    rng = np.random.default_rng(0)
    g, index = rng.random((2, 4, inner)), rng.random((2, 4, inner)).argsort(1)
    out, expected = np.empty_like(g), np.empty_like(g)
    width = min(2, inner)
    strips = 2 * -(-inner // width)
    for part in ((0, 1), (1, strips)):
        indexing.place(*(a.reshape(-1) for a in (out, g, index)), 4, inner, width, *part)
    np.put_along_axis(expected, index, g, 1)
    np.testing.assert_array_equal(out, expected)
