"""Products in registers: sizes around those of blocks, and views of any kind."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad.cpu import matrices, threads
from tests.common import grid, lay_out, layouts

kernels = pytest.importorskip("minigrad.cpu.kernels.matrices")
dtypes = st.sampled_from([np.float32, np.float64])
rows = st.sampled_from([1, 7, 8, 9, 40])
columns = st.sampled_from([1, 15, 16, 17, 32, 33, 70])
depths = st.sampled_from([1, 15, 16, 33, kernels.DEPTH, kernels.DEPTH + 17])


def product(a, b):
    y = np.full((len(a), b.shape[1]), np.nan, a.dtype)
    matrices._multiply_in_cache(a, b, y, None, 1, 1)
    return y


@given(dtypes, rows, columns, depths, st.tuples(layouts, layouts))
@settings(max_examples=60)
def test_is_numpys(dtype, m, n, depth, orders):
    a, b = grid((m, depth)).astype(dtype), grid((depth, n), 1).astype(dtype)
    x, w = (lay_out(v, order) for v, order in zip((a, b), orders, strict=True))
    exact, size = a.astype(np.float64) @ b, np.abs(a).astype(np.float64) @ np.abs(b)
    error = np.abs(product(x, w) - exact)
    assert (error <= depth * np.finfo(dtype).eps * size).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("number", [1, 2, 5], indirect=True)
def test_an_element_is_the_same_among_any_others(dtype, number):
    """To the last bit, whatever other rows and columns there are, and on any number of threads."""
    generator = np.random.default_rng(0)
    a, b = (generator.standard_normal(s).astype(dtype) for s in ((75, 300), (300, 90)))
    whole = product(a, b)
    assert (whole[3:30, 40:] == product(a[3:30], b[:, 40:])).all()
    assert (product(b.T, a.T) == whole.T).all()
    threads.set_num_threads(1)
    assert (whole == product(a, b)).all()


def test_nan_and_infinity_stay_in_their_rows_and_columns():
    a, b = np.ones((40, 20), np.float32), np.ones((20, 50), np.float32)
    a[3, 5], b[7, 33] = np.nan, np.inf
    y = product(a, b)
    assert np.isnan(y[3]).all()
    assert np.isfinite(np.delete(np.delete(y, 3, 0), 33, 1)).all()
    assert np.isposinf(np.delete(y[:, 33], 3)).all()
