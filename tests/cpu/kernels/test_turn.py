"""Blocks of numbers turned, beside NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad.cpu import copy

kernels = pytest.importorskip("minigrad.cpu.kernels.turn")
SIDES = st.sampled_from([1, 2, 3, 7, 8, 9, 16, 17, kernels.TILE, 2 * kernels.TILE + 1])


@given(st.lists(SIDES, min_size=2, max_size=4), st.data())
def test_turn(sides, data):
    """Between any two orders of axes for which there is a way, in three parts."""
    shape = tuple(n if i < 2 else min(n, 3) for i, n in enumerate(sides))
    x = np.arange(math.prod(shape), dtype=np.float32).reshape(shape)
    x = x.transpose(data.draw(st.permutations(range(len(shape)))))
    out = np.full(x.shape, -1, np.float32)
    plan = copy._turn(x.shape, out.strides, x.strides, 4)
    if plan is None:
        return
    bands = math.prod(plan.sizes) * -(-plan.high // kernels.TILE)
    cuts = sorted(data.draw(st.integers(0, bands)) for _ in range(2))
    memory = x.transpose(np.argsort(x.strides)[::-1]).reshape(-1)
    for first, last in zip([0, *cuts], [*cuts, bands], strict=True):
        kernels.turn(out.reshape(-1), memory, *plan, first, last)
    np.testing.assert_array_equal(out, x)
