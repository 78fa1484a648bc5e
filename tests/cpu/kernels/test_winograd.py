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


@given(st.integers(1, 9), st.integers(1, 7), st.booleans(), st.integers(1, 3), st.data())
def test_filters(o, c, flipped, shares, data):
    """Of any strides, in parts of the rows, and more of them than fit the scratch at once."""
    o, c = data.draw(st.sampled_from([(o, c), (3 * o, 50 * c), (o, kernels.FILTERS + c)]))
    generator = np.random.default_rng(0)
    w = generator.standard_normal((o, c, 3, 3))
    seen = w.reshape(o, c, 9)
    if flipped:
        w, seen = w[..., ::-1, ::-1], seen[..., ::-1]
    blocks = -(-o // kernels.ROWS)
    cut = data.draw(st.integers(0, blocks))
    scratch = np.full(kernels.filter_scratch(c), np.nan)
    u = np.full(36 * blocks * c * kernels.ROWS, np.nan)
    for first, last in (0, cut), (cut, blocks):
        kernels.filter_points(seen, first, last, u, scratch)
    u = u.reshape(6, 6, blocks, c, kernels.ROWS).transpose(2, 4, 3, 0, 1).reshape(-1, c, 6, 6)
    np.testing.assert_allclose(u[:o], G @ w @ G.T, 1e-12, 1e-12)
    assert not u[o:].any()

    rows, width = o + 1, c + data.draw(st.integers(0, 3))
    gw = np.full((o, c, 3, 3), np.nan)
    points = generator.standard_normal((shares, 6, 6, rows, width))
    scratch = np.full(kernels.filter_scratch(width), np.nan)
    cut = data.draw(st.integers(0, o))
    for first, last in (0, cut), (cut, o):
        sizes = shares, rows, width, c, first, last
        kernels.filter_gradient(points.ravel(), *sizes, gw.reshape(-1), scratch)
    total = points.sum(axis=0).transpose(2, 3, 0, 1)[:o, :c]
    np.testing.assert_allclose(gw, G.T @ total @ G, 1e-12, 1e-12)


@given(
    st.integers(1, 2),
    st.tuples(st.integers(1, 9), st.integers(1, 30)),
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
    st.integers(1, 3),
    st.data(),
)
def test_transforms(c, size, padding, n, data):
    """Of all images or some of them; nothing is written outside the tiles."""
    image, n_all = data.draw(st.sampled_from([(0, n), (1, n + 3)]))
    h, wide = size
    oh, ow = max(1, h + 2 * padding[0] - 2), max(1, wide + 2 * padding[1] - 2)
    down, across = -(-oh // 4), -(-ow // 4)
    first = data.draw(st.integers(0, down * across - 1))
    tiles = data.draw(st.integers(1, down * across - first))
    generator = np.random.default_rng(0)
    x, g = (generator.standard_normal((c, *size, n_all)) for size in ((h, wide), (oh, ow)))
    some = slice(image, image + n)
    pitch = tiles * n + data.draw(st.sampled_from([0, 3]))
    plane = c * pitch + 5
    points = np.full((36, plane), np.nan)
    scratch = np.full(kernels.tile_scratch(n), np.nan)
    where = (image, n, across, first, tiles)

    def seen(points):
        """(36, plane) as (tile, C, N, 6, 6)."""
        p = points[:, : c * pitch].reshape(6, 6, c, pitch)[..., : tiles * n]
        p = p.reshape(6, 6, c, tiles, n)
        return p.transpose(3, 2, 4, 0, 1)

    flat = points.reshape(-1), plane, pitch
    kernels.input_points(x.ravel(), c, h, wide, n_all, *padding, *where, *flat, scratch)
    room = [(0, 0), (padding[0], 8), (padding[1], 8), (0, 0)]
    xp, gp = np.pad(x[..., some], room), np.pad(g[..., some], [(0, 0), (0, 4), (0, 4), (0, 0)])
    for k, found in enumerate(seen(points)):
        i, j = 4 * ((first + k) // across), 4 * ((first + k) % across)
        d = xp[:, i : i + 6, j : j + 6].transpose(0, 3, 1, 2)
        np.testing.assert_allclose(found, BT @ d @ BT.T, 1e-12, 1e-12)

    kernels.gradient_points(g.ravel(), c, oh, ow, n_all, *where, *flat, scratch)
    for k, found in enumerate(seen(points)):
        i, j = 4 * ((first + k) // across), 4 * ((first + k) % across)
        d = gp[:, i : i + 4, j : j + 4].transpose(0, 3, 1, 2)
        np.testing.assert_allclose(found, A @ d @ A.T, 1e-12, 1e-12)

    points[...] = generator.standard_normal(points.shape)
    bias = generator.standard_normal(c if data.draw(st.booleans()) else 0)
    y = np.full((c, oh, ow, n_all), 7.0)
    kernels.outputs(*flat, c, oh, ow, n_all, *where, bias, y.ravel(), scratch)
    for k, m in enumerate(seen(points)):
        i, j = 4 * ((first + k) // across), 4 * ((first + k) % across)
        found = y[:, i : i + 4, j : j + 4, some].transpose(0, 3, 1, 2)
        expected = (A.T @ m @ A)[..., : found.shape[2], : found.shape[3]]
        expected = expected + (bias[:, None, None, None] if len(bias) else 0)
        np.testing.assert_allclose(found, expected, 1e-12, 1e-12)
        y[:, i : i + 4, j : j + 4, some] = 7
    assert (y == 7).all(), "wrote outside its tiles"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept(dtype):
    x, points = np.ones(6 * 6 * 2, dtype), np.zeros(36 * 2, dtype)
    scratch = np.zeros(kernels.tile_scratch(2), dtype)
    kernels.input_points(x, 1, 6, 6, 2, 0, 0, 0, 2, 1, 0, 1, points, 2, 2, scratch)
    expected = BT @ np.ones((6, 6)) @ BT.T
    np.testing.assert_array_equal(points.reshape(6, 6, 2)[..., 0], np.round(expected, 10))


def test_products():
    generator, pitch = np.random.default_rng(0), 70
    c, o, columns = 4, 2 * kernels.ROWS, 64
    u = generator.standard_normal((36, 2, c, kernels.ROWS))
    v, m = generator.standard_normal((36, c, pitch)), np.full((36, o, pitch), np.nan)
    flat = v.reshape(-1), c * pitch, pitch
    kernels.products(u.ravel(), *flat, c, 0, 2, columns, m.reshape(-1), o * pitch, pitch)
    expected = u.transpose(0, 1, 3, 2).reshape(36, o, c) @ v[..., :columns]
    np.testing.assert_allclose(m[..., :columns], expected, 1e-12, 1e-12)

    kernels.clear(*flat, c, 60, 64)
    points = np.ones((36, o + 4, c))
    for fresh in (True, False):
        sizes = c, columns, o + 4, points.reshape(-1)
        kernels.sum_products(m.reshape(-1), o * pitch, pitch, 4, o, *flat, *sizes, fresh)
    expected = 2 * expected[..., :60] @ v[..., :60].swapaxes(1, 2)
    np.testing.assert_allclose(points[:, 4:], expected, 1e-12, 1e-12)
    assert (points[:, :4] == 1).all()
