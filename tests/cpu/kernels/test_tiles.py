"""Transforms of tiles against the matrices that define them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cpu.kernels.test_winograd import BT, A, compiled, kernels

input_points, gradient_points, outputs = map(
    compiled, (kernels.input_points, kernels.gradient_points, kernels.outputs)
)


@given(
    st.integers(1, 2),
    st.tuples(st.integers(1, 9), st.integers(1, 30)),
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
    st.integers(8, 19),
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
    zeros = np.zeros(6 * n_all)
    where = np.array([image, n, first, tiles]), across

    def seen(points):
        """(36, plane) as (tile, C, N, 6, 6)."""
        p = points[:, : c * pitch].reshape(6, 6, c, pitch)[..., : tiles * n]
        p = p.reshape(6, 6, c, tiles, n)
        return p.transpose(3, 2, 4, 0, 1)

    flat = points.reshape(-1), plane, pitch
    input_points(x.ravel(), (c, h, wide, n_all), padding, *where, *flat, zeros)
    room = [(0, 0), (padding[0], 8), (padding[1], 8), (0, 0)]
    xp, gp = np.pad(x[..., some], room), np.pad(g[..., some], [(0, 0), (0, 4), (0, 4), (0, 0)])
    for k, found in enumerate(seen(points)):
        i, j = 4 * ((first + k) // across), 4 * ((first + k) % across)
        d = xp[:, i : i + 6, j : j + 6].transpose(0, 3, 1, 2)
        np.testing.assert_allclose(found, BT @ d @ BT.T, 1e-12, 1e-12)

    of_all = (c, oh, ow, n_all), (0, c)
    gradient_points(g.ravel(), *of_all, *where, *flat, zeros)
    for k, found in enumerate(seen(points)):
        i, j = 4 * ((first + k) // across), 4 * ((first + k) % across)
        d = gp[:, i : i + 4, j : j + 4].transpose(0, 3, 1, 2)
        np.testing.assert_allclose(found, A @ d @ A.T, 1e-12, 1e-12)

    points[...] = generator.standard_normal(points.shape)
    bias = generator.standard_normal(c if data.draw(st.booleans()) else 0)
    y = np.full((c, oh, ow, n_all), 7.0)
    outputs(*flat, *of_all, *where, bias, y.reshape(-1))
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
    x, points, zeros = (np.ones(count * 16, dtype) for count in (36, 36, 6))
    block = np.array([0, 16, 0, 1])
    input_points(x, (1, 6, 6, 16), (0, 0), block, 1, points, 16, 16, zeros)
    expected = BT @ np.ones((6, 6)) @ BT.T
    np.testing.assert_array_equal(points.reshape(6, 6, 16)[..., 0], np.round(expected, 10))
