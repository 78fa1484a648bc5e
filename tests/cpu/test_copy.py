"""Copies in parts, of views in any memory order; tests/ops/cases_shape.py has the operations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad.cpu import copy
from minigrad.layout import memory_order
from tests.common import grid

VIEWS = (
    lambda x: x,
    lambda x: x.transpose(2, 0, 1),
    lambda x: x[::-1, :, ::2],
    lambda x: np.broadcast_to(x[:, :1], x.shape),
    lambda x: x[:1],
)


@given(
    st.sampled_from(VIEWS),
    st.sampled_from([1, 7, 1000]),
    st.permutations(range(3)),
    st.sampled_from([1, 1000]),
    st.sampled_from(["f8", "i8"]),
)
def test_parts_are_the_whole(view, piece, order, short, dtype):
    x = view(grid((4, 5, 6), 0).astype(dtype))

    def launch(kernel, count, elements, *args, align):
        for first in range(0, count, piece):
            kernel(*args, first, min(first + piece, count))

    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"FEW": 1, "PIECE": piece, "SHORT": short, "launch": launch}.items():
            patch.setattr(copy, name, value)
        y, dense = copy.copied(x, order), copy.dense(x)
        wide = np.zeros((*x.shape, 2), dtype)
        copy.copy_into(wide[..., 1], x)
        axis, parts = copy.cut(x)
    for copied in (y, dense, wide[..., 1]):
        np.testing.assert_array_equal(copied, x)
    assert not wide[..., 0].any()
    assert y.transpose(order).flags.c_contiguous
    assert dense.transpose(memory_order(dense)).flags.c_contiguous
    assert (parts[0].start, parts[-1].stop) == (0, x.shape[axis])


def test_dense_memory_is_not_copied():
    x = grid((4, 5), 0).T
    assert copy.dense(x) is x
