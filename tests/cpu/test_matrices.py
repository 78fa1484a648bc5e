"""Products of matrices in any memory order, and of stacks that broadcast."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad.cpu import matrices
from minigrad.cpu.matrices import matmul2d, matrix_product, matrix_products
from tests.common import grid, lay_out, layouts

sizes = st.sampled_from([1, 2, 17, 40])
stacks = st.sampled_from([((), ()), ((3,), (3,)), ((5, 1), (4,)), ((1,), (2,))])
MANY = 1 << 18
limits = st.sampled_from([(1, 1, MANY), (1, MANY, MANY), (MANY, MANY, MANY), (1, 1, 1)])


def limit(patch, held, shared, cached=MANY):
    """From so many multiply-adds on, BLAS is held to one thread, products are shared, and kernels
    multiply."""
    patch.setattr(matrices, "MIN_HELD_PRODUCT", held)
    patch.setattr(matrices, "MIN_SHARED_PRODUCT", shared)
    patch.setattr(matrices, "MIN_IN_CACHE", cached)
    patch.setattr(matrices, "NARROW", 1)


@given(stacks, sizes, sizes, sizes, st.tuples(layouts, layouts), limits)
@settings(max_examples=40)
def test_is_numpys(beside, m, k, n, orders, least):
    a, b = grid((*beside[0], m, k), 0), grid((*beside[1], k, n), 1)
    x, w = (lay_out(v, order) for v, order in zip((a, b), orders, strict=True))
    with pytest.MonkeyPatch.context() as patch:
        limit(patch, *least)
        y = matrix_products(x, w) if beside[0] else matrix_product(x, w)
    assert y.flags.c_contiguous or not beside[0]
    np.testing.assert_allclose(y, np.matmul(a, b), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sizes", [(20000, 24, 1), (1, 24, 20000), (20000, 24, 5), (30, 64, 500)])
@pytest.mark.parametrize("number", [1, 2, 3], indirect=True)
@pytest.mark.parametrize("cached", [1, 1 << 30])
def test_added_to_a_shift_of_any_shape(sizes, number, cached, monkeypatch):
    """One number for each result, row, or column, or the only one."""
    m, k, n = sizes
    limit(monkeypatch, 1, 1, cached)
    a, b = grid((2, m, k)).astype(np.float32), grid((2, k, n), 1).astype(np.float32)
    for shape in (m, n), (m, 1), (1, n), (1, 1):
        shift = grid((2, *shape), 2).astype(np.float32)
        for given_shift in (shift, np.asfortranarray(shift)):
            exact = 2 * (a.astype(np.float64) @ b) - 0.5 * shift
            found = matrix_products(a, b, given_shift, 2, -0.5)
            np.testing.assert_allclose(found, exact, atol=1e-4)
            found = matmul2d(a[1], b[1], given_shift[1], 2, -0.5)
            np.testing.assert_allclose(found, exact[1], atol=1e-4)


def test_a_product_with_one_number_keeps_nan():
    zero, row = np.zeros((1, 1), np.float32), np.array([[1, np.nan, -np.inf]], np.float32)
    with np.errstate(invalid="ignore"):
        assert np.isnan(matmul2d(zero, row)).tolist() == [[False, True, True]]
        assert np.isnan(matmul2d(row.T, zero)).tolist() == [[False], [True], [True]]


@pytest.mark.parametrize("number", [1, 2, 5], indirect=True)
@pytest.mark.parametrize("shape", [(400, 700), (700, 400), (3, 90000), (90000, 3)])
def test_a_vector_by_a_matrix_that_threads_share(shape, number):
    a = grid(shape).astype(np.float32)
    column, row = (grid((n,), 1).astype(np.float32) for n in shape[::-1])
    for matrix in (a, np.asfortranarray(a), np.repeat(a, 2, axis=1)[:, ::2]):
        for x, w in ((matrix, column[:, None]), (row[None], matrix)):
            exact = x.astype(np.float64) @ w
            size = np.abs(x).astype(np.float64) @ np.abs(w)
            error = np.abs(matrix_product(x, w) - exact)
            assert (error <= 1e-5 * size + 1e-30).all()
