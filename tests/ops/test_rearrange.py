"""Pieces and repetitions; tests/parity compares them with PyTorch."""

from __future__ import annotations

import numpy as np

import minigrad as mg
from minigrad.testing import arrays, check_op
from tests.common import refuses


def test_derivatives():
    for function in (
        lambda x: x.split(3)[1],
        lambda x: x.chunk(3, 1)[2],
        lambda x: x.unbind(1)[1],
        lambda x: x.narrow(0, 1, 2),
        lambda x: x.flip(0, 1),
        lambda x: x.roll((1, -1), (0, 1)),
        lambda x: x.tile(2),
        lambda x: x.repeat(2, 1, 2),
        lambda x: x.repeat_interleave(mg.tensor([0, 2, 1]), 1),
        lambda x: mg.meshgrid(x[0], x[:, 0])[1],
    ):
        check_op(function, arrays((4, 3)), max_examples=4)


def test_pieces_are_views():
    x = mg.ones(4, 3)
    assert all(np.shares_memory(part.data, x.data) for part in (*x.chunk(2), *x.unbind()))


def test_errors():
    x = mg.ones(4, 3)
    for text, call in (
        ("split_size_or_sections: expected sizes that add up to 4", lambda: x.split([1, 2])),
        ("chunks: expected a whole number from 1", lambda: x.chunk(0)),
        ("dims: expected distinct dimensions", lambda: x.flip(0, 0)),
        ("shifts: expected one for each of 2", lambda: x.roll(1, (0, 1))),
        ("sizes: cannot unflatten 3 into (2, 2)", lambda: x.unflatten(1, (2, 2))),
        ("repeats: expected 2 numbers at least", lambda: x.repeat(2)),
    ):
        refuses(ValueError, text, call)
