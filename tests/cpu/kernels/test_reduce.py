"""Sums of runs, of which the last may be shorter."""

from __future__ import annotations

import numpy as np
import pytest

kernels = pytest.importorskip("minigrad.cpu.kernels.reduce")


def test_sums():
    x = np.random.default_rng(0).random(5000, np.float32)
    sums, squares, centres = np.empty(3), np.empty(3), np.array([0, 0.5, 2])
    for part in ((0, 2), (2, 3)):
        kernels.sums(sums, x, 2000, part == (2, 3), *part)
        kernels.squares(squares, x, 2000, centres, *part)
    runs = np.split(x.astype(np.float64), (2000, 4000))
    np.testing.assert_allclose(sums, [run.sum() for run in runs], 1e-6)
    expected = [((run - c) ** 2).sum() for run, c in zip(runs, centres, strict=True)]
    np.testing.assert_allclose(squares, expected, 1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extremes(dtype):
    """Of numbers of any sign and size; a NaN of any sign is larger than all."""
    x = np.random.default_rng(0).standard_normal(40).astype(dtype)
    x[3], x[13], x[23], x[33], x[34] = -np.inf, np.inf, np.nan, -np.nan, np.inf
    for sign, reduce in (1, np.max), (-1, np.min):
        found = np.empty(4, dtype)
        kernels.extremes(x.dtype)(found, x, 10, dtype(sign), 0, 4)
        np.testing.assert_array_equal(found, reduce(x.reshape(4, 10), 1))


def test_products():
    x = np.random.default_rng(0).uniform(0.5, 2, 5000)
    x[[7, 4100, 4200]] = 0, np.inf, np.nan
    products, odd = np.empty((2, 3))
    kernels.products(products, x, 2000, 0, 3)
    kernels.count_odd(odd, x, 2000, 0, 3)
    np.testing.assert_allclose(products, [run.prod() for run in np.split(x, (2000, 4000))], 1e-12)
    np.testing.assert_array_equal(odd, [1, 0, 2])


def test_columns():
    inner = kernels.WIDE + 3
    x = np.random.default_rng(0).random((2, 70, inner), np.float32)
    sums = np.empty((2, inner))
    for part in ((0, 3), (3, 4)):
        kernels.columns(sums.reshape(-1), x.reshape(-1), 70, inner, *part)
    np.testing.assert_allclose(sums, x.sum(1, np.float64), 1e-6)
    squares, centres = np.empty(2 * inner), np.full(2 * inner, 0.5)
    kernels.column_squares(squares, x.reshape(-1), centres, 70, inner, 0, 4)
    expected = ((x - 0.5) ** 2).sum(1, np.float64)
    np.testing.assert_allclose(squares.reshape(2, inner), expected, 1e-6)


@pytest.mark.parametrize("name", ["maximum", "minimum", "multiply"])
def test_joined_columns(name):
    x = np.random.default_rng(0).integers(-2, 3, (2, 9, 20)).astype(np.float32)
    x[:, 0, 1], x[:, 5, 2:5], x[:, 8, 4:7] = np.nan, -np.nan, np.inf
    found = np.empty((2, 20), np.float32)
    kernels.joining(name)(found.reshape(-1), x.reshape(-1), 9, 20, 0, 2)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(found, getattr(np, name).reduce(x, 1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_places(dtype):
    """The first of equal numbers, zeros of both signs too; a NaN of any sign is beyond all."""
    x = np.random.default_rng(0).integers(-2, 3, (2, 9, 20)).astype(dtype)
    x[0, 2, ::2] = -0.0
    x[:, 5, :8], x[:, 7, 4:12] = -np.nan, np.nan
    for sign, name in (1, "argmax"), (-1, "argmin"):
        places, tops = np.empty((2, 20)), np.empty((2, 20), dtype)
        arrays = places.reshape(-1), tops.reshape(-1), x.reshape(-1)
        kernels.placing(x.dtype)(*arrays, dtype(sign), 9, 20, 0, 2)
        np.testing.assert_array_equal(places, getattr(x, name)(1))
        np.testing.assert_array_equal(tops, getattr(x, name[3:])(1))
