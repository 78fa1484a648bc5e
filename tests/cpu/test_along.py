"""Memory along axes: (outer, n, inner)."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from minigrad.cpu import along
from minigrad.layout import memory_order
from tests.common import lay_out

AXES = [axes for count in (0, 1, 2, 3) for axes in itertools.permutations(range(3), count)]


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("layout", ["C", "Fortran", "batch innermost"])
def test_flat_memory_and_back(layout, axes):
    x = lay_out(np.arange(24.0).reshape(2, 3, 4), layout)
    view = along.along(x, *axes)
    flat = view.flat(x)
    assert flat.shape == (view.outer * view.n * view.inner,)
    order = memory_order(x)
    begin = order.index(axes[0]) if axes else 0
    assert np.shares_memory(flat, x) == (tuple(order[begin : begin + len(axes)]) == axes)
    np.testing.assert_array_equal(view.array(flat), x)
    most = flat.reshape(view.outer, view.n, view.inner).max(1).reshape(-1)
    beside = x.max(axes, keepdims=True)
    np.testing.assert_array_equal(view.array(most, *(1,) * len(axes)), beside)
    np.testing.assert_array_equal(view.flat(beside), most)


def test_short_rows_are_columns():
    """A copy, and results in C's order again."""
    x = np.arange(20 * 3.0).reshape(4, 5, 3)
    view = along.columns(x, 2)
    assert (view.outer, view.n, view.inner) == (1, 3, 20)
    flat = view.flat(x)
    np.testing.assert_array_equal(flat, x.reshape(20, 3).T.reshape(-1))
    assert view.array(flat).flags.c_contiguous
    np.testing.assert_array_equal(view.array(flat), x)
    np.testing.assert_array_equal(view.array(flat[:20], 1), x[:, :, :1])


def test_other_rows_stay():
    for shape, axis in (
        ((20, along.SHORT_ROW + 1), 1),
        ((15, 3), 1),
        ((20, 3), 0),
        ((20, 3, 2), 1),
    ):
        x = np.zeros(shape)
        assert along.columns(x, axis) is along.along(x, axis)
    x = np.zeros((4, 5, 3)).transpose(1, 0, 2)  # rows in another order
    assert along.columns(x, 2) is along.along(x, 2)


@pytest.mark.parametrize("axis", range(3))
def test_filled(axis, monkeypatch):
    """As x lies in memory; the parts together are all of it."""
    monkeypatch.setattr(along, "PIECE", 7)
    x = np.arange(24.0).reshape(2, 3, 4).transpose(1, 2, 0)
    view, many = along.along(x, axis), 5
    rows = view.flat(x).reshape(view.outer, view.n, view.inner)

    def fill(out, first, last):
        out.reshape(view.outer, many, view.inner)[first:last] = rows[first:last, :1]

    y = view.filled(x.dtype, view.outer, fill, many)
    np.testing.assert_array_equal(y, x.take([0] * many, axis))
    assert memory_order(y) == memory_order(x)


@pytest.mark.parametrize("shape", [(7, 3), (2, 3, 40)])
def test_all_rows_or_strips_are_run(shape, monkeypatch):
    monkeypatch.setattr(along.Along, "strip", 1)
    view, seen = along.along(np.zeros(shape), 1), []
    width, count = (1, 7) if view.inner == 1 else (16, 6)
    assert view.strips(16, 1) == (width, count)

    def run(team, threads, begin, end, parts, align, *args):
        seen.append((begin, end, *args))

    view.run(lambda name: SimpleNamespace(run=run, has_seats=False), "value", "x")
    assert seen == [(0, count, "x", 3, view.inner, width)]
    assert view.parts() == 1  # of few numbers
