"""The three transforms against the matrices that define them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

kernels = pytest.importorskip("minigrad.cpu.kernels.winograd")

POINTS = (0, 1 / 2, -1 / 2, 3 / 2, -3 / 2)


def powers(count: int) -> np.ndarray:
    """(6, count): the powers of every point, and of infinity."""
    rows = [[p**k for k in range(count)] for p in POINTS]
    return np.array([*rows, [float(k == count - 1) for k in range(count)]])


DISTANCES = np.array([np.prod([p - q for q in POINTS if q != p]) for p in POINTS] + [1.0])
A = powers(4)
BT = np.linalg.inv(powers(6)).T * DISTANCES[:, None]


G = powers(3) / DISTANCES[:, None]


@given(st.integers(1, 5), st.integers(1, 7), st.booleans(), st.integers(1, 3), st.data())
def test_filters(o, c, flipped, shares, data):
    """Of any strides, in parts of the rows, and more of them than fit the scratch at once."""
    o, c = data.draw(st.sampled_from([(o, c), (3 * o, 50 * c), (o, kernels.FILTERS + c)]))
    generator = np.random.default_rng(0)
    w = generator.standard_normal((o, c, 3, 3))
    seen = w.reshape(o, c, 9)
    if flipped:
        w, seen = w[..., ::-1, ::-1], seen[..., ::-1]
    cut = data.draw(st.integers(0, o))
    scratch = np.full(kernels.filter_scratch(c), np.nan)
    u, gw = np.full(36 * o * c, np.nan), np.full((o, c, 3, 3), np.nan)
    points = generator.standard_normal((shares, 6, 6, o, c))
    for first, last in (0, cut), (cut, o):
        kernels.filter_points(seen, first, last, u, scratch)
        sizes = shares, o, c, first, last
        kernels.filter_gradient(points.ravel(), *sizes, gw.reshape(-1), scratch)
    np.testing.assert_allclose(
        u.reshape(6, 6, o, c).transpose(2, 3, 0, 1), G @ w @ G.T, 1e-12, 1e-12
    )
    total = points.sum(axis=0).transpose(2, 3, 0, 1)
    np.testing.assert_allclose(gw, G.T @ total @ G, 1e-12, 1e-12)


@given(
    st.integers(1, 2),
    st.tuples(st.integers(1, 9), st.integers(1, 30)),
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
    st.integers(1, 3),
    st.data(),
)
def test_transforms(c, size, padding, n, data):
    h, wide = size
    oh, ow = max(1, h + 2 * padding[0] - 2), max(1, wide + 2 * padding[1] - 2)
    down, across = -(-oh // 4), -(-ow // 4)
    first = data.draw(st.integers(0, down * across - 1))
    tiles = data.draw(st.integers(1, down * across - first))
    generator = np.random.default_rng(0)
    x, g = generator.standard_normal((c, h, wide, n)), generator.standard_normal((c, oh, ow, n))
    pitch = tiles * n + data.draw(st.sampled_from([0, 3]))
    plane = c * pitch + 5
    points = np.full((36, plane), np.nan)
    scratch = np.full(kernels.tile_scratch(n), np.nan)
    where = (across, first, tiles)

    def seen(points):
        """(36, plane) as (tile, C, N, 6, 6)."""
        p = points[:, : c * pitch].reshape(6, 6, c, pitch)[..., : tiles * n]
        p = p.reshape(6, 6, c, tiles, n)
        return p.transpose(3, 2, 4, 0, 1)

    flat = points.reshape(-1), plane, pitch
    kernels.input_points(x.ravel(), c, h, wide, n, *padding, *where, *flat, scratch)
    room = [(0, 0), (padding[0], 8), (padding[1], 8), (0, 0)]
    xp, gp = np.pad(x, room), np.pad(g, [(0, 0), (0, 4), (0, 4), (0, 0)])
    for k, found in enumerate(seen(points)):
        i, j = 4 * ((first + k) // across), 4 * ((first + k) % across)
        d = xp[:, i : i + 6, j : j + 6].transpose(0, 3, 1, 2)
        np.testing.assert_allclose(found, BT @ d @ BT.T, 1e-12, 1e-12)

    kernels.gradient_points(g.ravel(), c, oh, ow, n, *where, *flat, scratch)
    for k, found in enumerate(seen(points)):
        i, j = 4 * ((first + k) // across), 4 * ((first + k) % across)
        d = gp[:, i : i + 4, j : j + 4].transpose(0, 3, 1, 2)
        np.testing.assert_allclose(found, A @ d @ A.T, 1e-12, 1e-12)

    points[...] = generator.standard_normal(points.shape)
    bias = generator.standard_normal(c if data.draw(st.booleans()) else 0)
    y = np.full((c, oh, ow, n), 7.0)
    kernels.outputs(*flat, c, oh, ow, n, *where, bias, y.ravel(), scratch)
    for k, m in enumerate(seen(points)):
        i, j = 4 * ((first + k) // across), 4 * ((first + k) % across)
        found = y[:, i : i + 4, j : j + 4].transpose(0, 3, 1, 2)
        expected = (A.T @ m @ A)[..., : found.shape[2], : found.shape[3]]
        expected = expected + (bias[:, None, None, None] if len(bias) else 0)
        np.testing.assert_allclose(found, expected, 1e-12, 1e-12)
        y[:, i : i + 4, j : j + 4] = 7
    assert (y == 7).all(), "wrote outside its tiles"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept(dtype):
    x, points = np.ones(6 * 6 * 2, dtype), np.zeros(36 * 2, dtype)
    scratch = np.zeros(kernels.tile_scratch(2), dtype)
    kernels.input_points(x, 1, 6, 6, 2, 0, 0, 1, 0, 1, points, 2, 2, scratch)
    expected = BT @ np.ones((6, 6)) @ BT.T
    np.testing.assert_array_equal(points.reshape(6, 6, 2)[..., 0], np.round(expected, 10))
