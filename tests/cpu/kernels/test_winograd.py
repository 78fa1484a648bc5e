"""Transforms of filters against the matrices that define them, and the products."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

jit = pytest.importorskip("minigrad.cpu.kernels").jit
kernels = pytest.importorskip("minigrad.cpu.kernels.winograd")


def compiled(part):
    """A kernel of nothing but ``part`` of one."""

    @jit
    def whole(*args):
        part(*args)

    return whole


products, sum_products, clear = map(
    compiled, (kernels.products, kernels.sum_products, kernels.clear)
)

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
    scratch = np.full((1, kernels.filter_scratch(c)), np.nan)
    u = np.full(36 * blocks * c * kernels.ROWS, np.nan)
    for first, last in (0, cut), (cut, blocks):
        kernels.filter_points(seen, u, scratch, first, last)
    u = u.reshape(6, 6, blocks, c, kernels.ROWS).transpose(2, 4, 3, 0, 1).reshape(-1, c, 6, 6)
    np.testing.assert_allclose(u[:o], G @ w @ G.T, 1e-12, 1e-12)
    assert not u[o:].any()

    rows, width = o + 1, c + data.draw(st.integers(0, 3))
    gw = np.full((o, c, 3, 3), np.nan)
    points = generator.standard_normal((shares, 6, 6, rows, width))
    scratch = np.full((1, kernels.filter_scratch(width)), np.nan)
    cut = data.draw(st.integers(0, o))
    for first, last in (0, cut), (cut, o):
        sizes = shares, rows, width, c
        kernels.filter_gradient(points.ravel(), *sizes, gw.reshape(-1), scratch, first, last)
    total = points.sum(axis=0).transpose(2, 3, 0, 1)[:o, :c]
    np.testing.assert_allclose(gw, G.T @ total @ G, 1e-12, 1e-12)


def test_products():
    generator, pitch = np.random.default_rng(0), 70
    c, o, columns = 4, 2 * kernels.ROWS, 64
    u = generator.standard_normal((36, 2, c, kernels.ROWS))
    v, m = generator.standard_normal((36, c, pitch)), np.full((36, o, pitch), np.nan)
    flat = v.reshape(-1), c * pitch, pitch
    target = m.reshape(-1), o * pitch, pitch
    products(u.ravel(), *flat, c, 0, 2, columns, *target, np.zeros(kernels.ROWS))
    expected = u.transpose(0, 1, 3, 2).reshape(36, o, c) @ v[..., :columns]
    np.testing.assert_allclose(m[..., :columns], expected, 1e-12, 1e-12)

    clear(*flat, c, 60, 64)
    points = np.ones((36, o + 4, c))
    for fresh in (True, False):
        sizes = c, columns, o + 4, points.reshape(-1)
        sum_products(m.reshape(-1), o * pitch, pitch, 4, o, *flat, *sizes, fresh)
    expected = 2 * expected[..., :60] @ v[..., :60].swapaxes(1, 2)
    np.testing.assert_allclose(points[:, 4:], expected, 1e-12, 1e-12)
    assert (points[:, :4] == 1).all()
