"""Samples are put together as PyTorch puts them."""

from __future__ import annotations

from collections import OrderedDict, UserList, namedtuple
from types import MappingProxyType

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.data import default_collate
from tests.common import refuses

Point = namedtuple("Point", ["x", "y"])


def plain(value):
    """A batch without the types of the library."""
    if isinstance(value, (mg.Tensor, torch.Tensor)):
        return str(value.dtype).removeprefix("torch."), tuple(value.shape), value.tolist()
    if isinstance(value, dict):
        return type(value), [(key, plain(v)) for key, v in value.items()]
    if isinstance(value, (list, tuple, UserList)):
        return type(value), [plain(v) for v in value]
    return value


leaves = st.sampled_from(
    (
        lambda i, m: i,
        lambda i, m: i > 1,
        lambda i, m: i / 2,
        lambda i, m: f"{i}",
        lambda i, m: bytes([i]),
        lambda i, m: np.full((2, 1), i, np.uint8),
        lambda i, m: np.full((), i, np.float32),
        lambda i, m: np.float32(i),
        lambda i, m: np.int16(i),
        lambda i, m: np.bool_(i > 1),
        lambda i, m: m.tensor([i, i + 1]),
        lambda i, m: m.tensor(np.full((1, 2), i, np.float64)),
    )
)


def nested(inner):
    return st.one_of(
        st.tuples(inner, inner).map(lambda p: lambda i, m: (p[0](i, m), p[1](i, m))),
        st.tuples(inner, inner).map(lambda p: lambda i, m: Point(p[0](i, m), p[1](i, m))),
        inner.map(lambda f: lambda i, m: [f(i, m)]),
        inner.map(lambda f: lambda i, m: UserList([f(i, m), f(i, m)])),
        inner.map(lambda f: lambda i, m: {"a": f(i, m), 3: i}),
        inner.map(lambda f: lambda i, m: OrderedDict(a=f(i, m))),
    )


@given(st.recursive(leaves, nested, max_leaves=5), st.integers(1, 4))
def test_batches_are_pytorchs(sample, count):
    ours = default_collate([sample(i, mg) for i in range(count)])
    theirs = torch.utils.data.default_collate([sample(i, torch) for i in range(count)])
    assert plain(ours) == plain(theirs)


def test_mappings_that_are_no_dicts():
    samples = [MappingProxyType({"a": i}) for i in range(2)]
    assert default_collate(samples)["a"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("error", "text", "samples"),
    [
        (ValueError, "batch: expected at least one sample", []),
        (TypeError, "batch: expected a sequence of samples", 3),
        (TypeError, "or tuples, got NoneType", [None]),
        (TypeError, "or tuples, got object", [object()]),
        (TypeError, "batch: expected numbers, got str", [1, "a"]),
        (TypeError, "dtype", [np.zeros(1), np.zeros(1, np.float32)]),
        (TypeError, "batch: expected arrays of bool, integer or float", [np.array(["a"])]),
        (ValueError, "one shape, got (1,) and (2,)", [np.zeros(1), np.zeros(2)]),
        (ValueError, "one shape, got (1,) and (2,)", [mg.zeros(1), mg.zeros(2)]),
        (ValueError, "the same keys", [{"a": 1}, {"b": 1}]),
        (ValueError, "as many entries", [(1, 2), (1,)]),
        (ValueError, "as many entries", [(1, 2), 3]),
    ],
)
def test_errors(error, text, samples):
    refuses(error, text, lambda: default_collate(samples))
