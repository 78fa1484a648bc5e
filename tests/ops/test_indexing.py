"""Gathering and scattering; tests/parity compares them with PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad.cpu import threads
from minigrad.ops import indexing
from tests.common import grid, host, leaf, refuses

INDEX = mg.tensor([[0, 2, 2], [1, 0, 0]])


def test_derivatives():
    x, source = leaf(grid((2, 3))), leaf(grid((2, 3), 1))
    once = mg.tensor([[0, 2, 1], [1, 0, 2]])
    mask = mg.tensor([[True, False, True]])
    for function in (
        lambda x, s: x.gather(1, INDEX) + s,
        lambda x, s: x.scatter(1, once[:, :2], s),
        lambda x, s: x.scatter_add(1, INDEX, s),
        lambda x, s: x.index_add(1, INDEX[1], s, alpha=-2),
        lambda x, s: x.index_select(1, INDEX[0]) * s,
        lambda x, s: x.masked_fill(mask, s[0, 0]),
        lambda x, s: x.masked_select(mask)[:2] * s.diagonal(),
        lambda x, s: x.take_along_dim(once, 1) + mg.diag(s[0, :2]).sum(),
        lambda x, s: x.tril() + s.triu(1),
    ):
        mg.gradcheck(function, [x, source])


def test_one_hot_by_scatter():
    labels = mg.tensor([2, 0])
    expected = [[0, 0, 1], [1, 0, 0]]
    assert mg.zeros(2, 3).scatter(1, labels.unsqueeze(1), 1).tolist() == expected


@pytest.mark.parametrize("bad", [3, -1])
def test_what_is_beyond_the_end(bad):
    x, index = mg.ones(2, 3), mg.tensor([[bad]])
    for call in (
        lambda: x.gather(1, index),
        lambda: x.scatter(1, index, 1.0),
        lambda: x.index_select(1, index[0]),
    ):
        refuses(IndexError, f"index: expected indices from 0 to 2, got {bad} to {bad}", call)


def test_many_small_gradients_do_not_get_lost():
    """They are added in float64."""
    x = mg.ones(1, requires_grad=True)
    y = x.gather(0, mg.zeros(10_000, dtype="int64"))
    y.backward(mg.Tensor(np.full(10_000, 0.1, np.float32)))
    assert x.grad.item() == pytest.approx(1000, rel=1e-6)


@pytest.mark.parametrize("dim", [0, 1, 2])
def test_index_add_of_many(dim):
    """The index is a vector that is expanded, which implementations recognise."""
    x, index = leaf(grid((6, 60, 90))), mg.tensor([3, 5, 3, 3])
    source = leaf(grid([4 if i == dim else n for i, n in enumerate(x.shape)], 1))
    y = x.index_add(dim, index, source)
    expected = host(x).copy()
    np.add.at(expected, (slice(None),) * dim + (host(index),), host(source))
    np.testing.assert_allclose(host(y), expected)
    y.backward(x.detach())
    np.testing.assert_array_equal(host(x.grad), host(x))
    np.testing.assert_array_equal(host(source.grad), host(x).take([3, 5, 3, 3], dim))


def test_errors():
    x = mg.ones(2, 3)
    refuses(ValueError, "index: expected a shape within (2, 3)", lambda: x.gather(1, INDEX[0]))
    refuses(TypeError, "index: expected int32 or int64", lambda: x.gather(1, x))
    refuses(TypeError, "src: expected it or value", lambda: x.scatter(1, INDEX))
    refuses(TypeError, "mask: expected a bool Tensor", lambda: x.masked_fill(x, 0))
    index, double = mg.tensor([0]), mg.ones(1, 3, dtype="float64")
    refuses(TypeError, "source: expected dtype float32", lambda: x.index_add(0, index, double))
    whole = mg.ones(1, 3, dtype="int64")
    text = "alpha: expected a whole number for integers, got 1.5"
    refuses(TypeError, text, lambda: whole.index_add(0, index, whole, alpha=1.5))
    assert whole.index_add(0, index, whole, alpha=2).tolist() == [[3, 3, 3]]
    refuses(ValueError, "input: expected two dimensions", lambda: x[0].tril())


def test_the_extent_within_a_task():
    index, found = np.full(1 << 18, 5), []
    threads.parallel(lambda i: found.append(indexing.extent.run(index)), 2, calls_blas=False)
    assert found == [(5, 5)] * 2
