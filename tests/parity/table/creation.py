"""New tensors."""

from __future__ import annotations

import math

import torch
from hypothesis import strategies as st

import minigrad as mg
from tests.parity.driver import Call, Drawer
from tests.parity.table import entry


@entry("zeros", lambda *a: mg.zeros(*a), lambda *a: torch.zeros(*a))
@entry("ones", lambda *a: mg.ones(*a), lambda *a: torch.ones(*a))
def sized(d: Drawer) -> Call:
    sizes = d(st.lists(st.integers(-1 if d.rarely() else 0, 4), max_size=3))
    return Call([], d([tuple(sizes), (tuple(sizes),), (sizes,)]))


@entry("randn", lambda *a: mg.randn(*a) * 0, lambda *a: torch.randn(*a) * 0)
def random(d: Drawer) -> Call:
    return sized(d)


@entry(
    "tensor",
    lambda data, dtype: mg.tensor(data, dtype),
    lambda data, dtype: torch.tensor(data, dtype=dtype and getattr(torch, dtype)),
)
def made(d: Drawer) -> Call:
    numbers = st.sampled_from([0, 1, -2, 2.5, True, False, math.inf, 2**31, "1", None, 1j])
    plain = st.sampled_from([0, 1, -2, 2.5, True, False])
    numbers = numbers if d.rarely(4) else plain
    rows = st.lists(st.lists(numbers, min_size=2, max_size=2), max_size=3)
    data = d(numbers | st.lists(numbers, max_size=3) | rows)
    if isinstance(data, list) and data and d.rarely():
        data.append([1])
    return Call([], (data, d([None, None, "float64", "float32", "int64", "bool"])))
