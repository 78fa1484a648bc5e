"""Passes over arrays in blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.cpu.elementwise import BLOCK, contiguous, elementwise
from minigrad.layout import memory_order
from minigrad.tape import add, add_into
from tests.common import grid, lay_out, layouts, seeds, set_compiled, shapes


@given(
    shapes(0, 4, min_side=0), st.integers(1, 3), st.sampled_from([1, 3, 1 << 15]), seeds, st.data()
)
def test_elementwise(shape, count, block, seed, data):
    """Any number of operands of any layouts, cut into blocks of any size."""
    chosen = [data.draw(layouts) if 0 not in shape else "C" for _ in range(count)]
    arrays = [lay_out(grid(shape, seed + i), layout) for i, layout in enumerate(chosen)]

    def total(out, *blocks):
        out[...] = 0
        for part in blocks:
            out += part

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("minigrad.cpu.elementwise.BLOCK", block)
        y = elementwise(total, *arrays)
    assert (y.dtype, y.shape) == (np.float64, shape)
    np.testing.assert_allclose(y, sum(arrays))


@pytest.mark.parametrize("gaps", [True, False])
def test_gaps_and_repeated_numbers(gaps, monkeypatch):
    """The other operand decides on the memory order where numbers repeat."""
    monkeypatch.setattr("minigrad.cpu.elementwise.PIECE", 7)
    x = grid((3, 5))[:, 1:] if gaps else np.broadcast_to(grid((4,)), (3, 4))
    other = lay_out(grid((3, 4), 1), "Fortran")
    np.testing.assert_array_equal(elementwise(lambda out, x: np.negative(x, out), x), -x)
    y = elementwise(lambda out, *both: np.add(*both, out=out), x, other)
    np.testing.assert_array_equal(y, x + other)
    assert memory_order(y) == memory_order(x if gaps else other)


@given(shapes(1, 4, min_side=0), st.sampled_from([1, 3, 70]), layouts, seeds, st.data())
def test_contiguous(shape, longer, layout, seed, data):
    """Copies of any layout, turned in tiles of any size."""
    x = lay_out(grid((longer * shape[0], *shape[1:]), seed), layout)
    limits = {"TURNED": data.draw(st.sampled_from([1, 1 << 17])), "TILE": (3, 5), "PIECE": 7}
    compiled = mg.is_compiled() and data.draw(st.booleans())
    with set_compiled(compiled), pytest.MonkeyPatch.context() as patch:
        for name, value in limits.items():
            patch.setattr(f"minigrad.cpu.copy.{name}", value)
        y = contiguous(x)
    assert y.flags.c_contiguous
    assert (y is x) == x.flags.c_contiguous
    np.testing.assert_array_equal(y, x)


@pytest.mark.parametrize("shape", [(3, 5), (4, 3, 200, 200)])
def test_gradients_in_different_memory_orders(shape):
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(shape).astype(np.float32) for _ in "ab")
    batch_last = [*range(1, len(shape)), 0]
    a_inner = np.ascontiguousarray(a.transpose(batch_last)).transpose(np.argsort(batch_last))
    expected = a + b
    found = add.run(a_inner, b)
    np.testing.assert_array_equal(found, expected)
    assert found.size < BLOCK or memory_order(found) == batch_last
    frame = np.zeros(tuple(n + 2 for n in shape), np.float32)
    part = frame[tuple(slice(1, -1) for _ in shape)]  # a view with gaps
    add_into.run(part, a_inner)
    add_into.run(part, b)
    np.testing.assert_array_equal(part, expected)
    assert np.count_nonzero(frame) == np.count_nonzero(expected)
