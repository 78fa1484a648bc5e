"""Reductions against PyTorch and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import Tensor
from tests.common import compare, grid, layouts, leaf, refuses, seeds, shapes


def dims(ndim: int) -> st.SearchStrategy:
    """No dimension, one, or several distinct ones, counted from either end."""
    one = st.integers(-max(ndim, 1), max(ndim, 1) - 1)
    some = st.lists(one, min_size=1, max_size=ndim, unique_by=lambda d: d % ndim).map(tuple)
    return st.none() | one | some if ndim else st.none() | one


@given(st.data(), st.sampled_from(["sum", "mean", "var"]), shapes(), st.booleans(), seeds, layouts)
def test_sum_mean_var(device, data, name, shape, keepdim, seed, layout):
    dim = data.draw(dims(len(shape)))
    params = {"dim": dim, "keepdim": keepdim}
    x = grid(shape, seed)
    if name == "var":
        over = range(x.ndim) if dim is None else dim if isinstance(dim, tuple) else (dim,)
        count = int(np.prod([shape[d] for d in over])) if shape else 1
        params["correction"] = data.draw(st.sampled_from([c for c in (0, 0.5, 1) if c < count]))
    ours, theirs = getattr(Tensor, name), getattr(torch.Tensor, name)
    compare(ours, theirs, [x], params, device=device, layout=layout)


@given(
    st.data(), st.sampled_from(["max", "min", "argmax"]), shapes(), st.booleans(), seeds, layouts
)
def test_extremes_along_a_dimension(device, data, name, shape, keepdim, seed, layout):
    dim = data.draw(st.integers(-max(len(shape), 1), max(len(shape), 1) - 1))
    params = {"dim": dim, "keepdim": keepdim}
    ours, theirs = getattr(Tensor, name), getattr(torch.Tensor, name)
    compare(ours, theirs, [grid(shape, seed)], params, device=device, layout=layout)


@pytest.mark.parametrize("name", ["sum", "mean", "var", "max", "min", "argmax"])
@pytest.mark.parametrize("layout", ["C", "batch innermost"])
def test_of_all_elements(device, name, layout):
    ours, theirs = getattr(Tensor, name), getattr(torch.Tensor, name)
    compare(ours, theirs, [grid((2, 3, 4))], device=device, layout=layout)


@pytest.mark.parametrize("name", ["max", "min"])
def test_ties(device, name):
    """Without a dimension equal elements share the gradient; along one the first takes it."""
    x = np.array([[1.0, 2, 2], [1, 2, 1]])
    ours, theirs = getattr(Tensor, name), getattr(torch.Tensor, name)
    compare(ours, theirs, [x], device=device, numerical=False)
    compare(ours, theirs, [x], {"dim": 1}, device=device, numerical=False)
    x[0, 1] = np.nan
    compare(ours, theirs, [x], device=device, numerical=False)
    compare(ours, theirs, [x], {"dim": 1}, device=device, numerical=False)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64"])
@pytest.mark.parametrize("name", ["sum", "max", "min", "argmax"])
def test_of_integers(device, name, dtype):
    x = np.array([[3, 0, 2], [1, 1, 0]]).astype(dtype)
    ours, theirs = getattr(Tensor, name), getattr(torch.Tensor, name)
    if (name, dtype) != ("argmax", "bool"):  # which PyTorch lacks
        compare(ours, theirs, [x], device=device)
        compare(ours, theirs, [x], {"dim": -1}, device=device)


def test_variance_does_not_cancel():
    x = leaf(np.array([1e8, 1e8 + 1, 1e8 + 2]))
    assert x.var().item() == 1


def test_empty_reductions():
    """A sum of nothing is 0, a mean NaN; the gradient has no element."""
    for name in ("sum", "mean"):
        ours, theirs = getattr(Tensor, name), getattr(torch.Tensor, name)
        compare(ours, theirs, [np.zeros((0, 3))], numerical=False)
        compare(ours, theirs, [np.zeros((0, 3))], {"dim": 0}, numerical=False)
    compare(Tensor.argmax, torch.Tensor.argmax, [np.zeros((0, 3))], {"dim": 1})


def test_named_result():
    found = mg.tensor([[1.0, 3.0], [5.0, 2.0]]).max(1)
    assert found.values.numpy().tolist() == [3, 5]
    assert found.indices.numpy().tolist() == [1, 0]


@pytest.mark.parametrize("name", ["sum", "mean", "var", "max", "min", "argmax"])
@pytest.mark.parametrize(
    ("dim", "error", "match"),
    [
        (2, IndexError, "dim: expected a dimension from -2 to 1, got 2"),
        (-3, IndexError, "dim: expected a dimension from -2 to 1, got -3"),
        ("0", TypeError, "dim: expected a whole number, got '0'"),
        (0.5, TypeError, "dim: expected a whole number, got 0.5"),
    ],
)
def test_dim_errors(name, dim, error, match):
    def call(x):
        return lambda: getattr(x, name)(dim=dim)

    refuses(error, match, call(mg.ones(2, 3)), call(torch.ones(2, 3)))


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (
            lambda m: m.ones(2, 3).sum((0, 0)),
            (ValueError, RuntimeError),
            "dim: expected distinct dimensions",
        ),
        (
            lambda m: m.tensor([1]).mean(),
            (TypeError, RuntimeError),
            "input: expected a floating dtype, got int64",
        ),
        (
            lambda m: m.tensor([1]).var(),
            (TypeError, RuntimeError),
            "input: expected a floating dtype, got int64",
        ),
        (
            lambda m: m.zeros(0).max(),
            (ValueError, RuntimeError),
            "max: an empty reduction has no value, got shape (0,)",
        ),
        (
            lambda m: m.zeros(2, 0).min(1),
            (ValueError, IndexError),
            "min: an empty reduction has no value",
        ),
        (
            lambda m: m.zeros(0).argmax(),
            (ValueError, IndexError),
            "argmax: an empty reduction has no value",
        ),
    ],
)
def test_errors(call, error, match):
    refuses(error, match, lambda: call(mg), lambda: call(torch))


def test_max_of_two_tensors_is_not_supported():
    x = mg.ones(2)
    refuses(NotImplementedError, "max: of two tensors is not supported", lambda: x.max(x))
