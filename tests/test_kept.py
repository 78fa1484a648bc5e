"""What a derivative keeps is found wherever a closure can hold it."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import pytest

import minigrad as mg
from minigrad.kept import kept_arrays, owner


@dataclass
class Held:
    inside: np.ndarray


class Plain:
    def __init__(self, x):
        self.x = x

    def backward(self, g):
        return g * self.x


def test_every_way_to_hold_an_array():
    a, b, c, d, e, f, g = (np.ones(i + 1) for i in range(7))
    table, held, tensor = {"c": [c, (c, 3)]}, Held(d), mg.tensor(e)
    part = functools.partial(lambda x, y: x, f, y=g)

    def inner():
        return b

    def backward(g, a=a):
        return inner, table, held, tensor, part, np, mg.Tensor

    found = kept_arrays(backward)
    assert sorted(array.size for _, array in found) == [1, 2, 3, 4, 5, 6, 7]
    assert {name for name, array in found if array is d} == {"inside"}
    assert [array for _, array in kept_arrays(Plain(a).backward)] == [a]


def test_a_name_that_was_never_bound():
    def make(bind):
        if bind:
            x = np.ones(1)
        return lambda: x

    assert kept_arrays(make(False)) == []
    assert len(kept_arrays(make(True))) == 1


def test_the_owner_of_a_view():
    a = np.ones((3, 4))
    assert owner(a.T[1:].reshape(-1)[:0].base) is not None
    assert owner(a.T[1:]) is a
    assert owner(a) is a


def test_compiled_functions_keep_nothing():
    """Numba's functions lead to its compiler, and on to arrays that are no part of the step."""

    class Compiled:
        def __init__(self):
            self.py_func, self.cache = kept_arrays, np.ones(2)

    a, compiled = np.ones(3), Compiled()
    assert [array for _, array in kept_arrays(lambda g: (compiled, a))] == [a]
    numba = pytest.importorskip("numba")
    assert hasattr(numba.njit(lambda x: x), "py_func")
