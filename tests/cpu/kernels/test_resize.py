"""Weighted sums are products by matrices that are mostly zeros."""

from __future__ import annotations

import numpy as np
import pytest

kernels = pytest.importorskip("minigrad.cpu.kernels.resize")

SUMS = np.array([0, 2, 2, 3]), np.array([4, 1, 0]), np.array([0.3, 0.5, 1.0])
PAIRS = np.array([0, 1, 3, 3]), np.array([0, 1, 0]), np.array([1.0, -2, 0.7])


def matrix(sums: tuple[np.ndarray, np.ndarray, np.ndarray], n: int) -> np.ndarray:
    begins, places, weights = sums
    whole = np.zeros((len(begins) - 1, n))
    whole[np.repeat(np.arange(len(whole)), np.diff(begins)), places] = weights
    return whole


@pytest.mark.parametrize("inner", [1, 3])
def test_planes(inner):
    x, out = np.random.default_rng(0).random((4, 2, 5, inner)), np.empty((4, 3, 3, inner))
    for first, last in ((0, 5), (5, 12)):
        sizes = 2, 5, inner
        kernels.planes(out.reshape(-1), x.reshape(-1), *PAIRS, *SUMS, *sizes, first, last)
    expected = np.einsum("ij,njkm,lk->nilm", matrix(PAIRS, 2), x, matrix(SUMS, 5))
    np.testing.assert_allclose(out, expected)


@pytest.mark.parametrize("across_first", [True, False])
def test_images(across_first):
    x, out = np.random.default_rng(0).random((4, 2, 5)), np.zeros((4, 3, 3))
    order = 2, 5, across_first, 0
    kernels.images(out.reshape(-1), x.reshape(-1), *PAIRS, *SUMS, *order, 1, 3)
    expected = np.einsum("ij,njk,lk->nil", matrix(PAIRS, 2), x, matrix(SUMS, 5))
    np.testing.assert_allclose(out[1:3], expected[1:3])
    assert not out[[0, 3]].any()
