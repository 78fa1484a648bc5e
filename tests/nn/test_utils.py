"""Clipping and vectors of parameters are PyTorch's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.nn import utils
from tests.common import grid, host, refuses, seeds

SHAPES = ((3, 4), (5,), (), (1, 2))


def twins(seed, scale=1.0, dtype=np.float32):
    """Parameters with gradients, and one without, in both libraries."""
    ours, theirs = [], []
    for i, shape in enumerate(SHAPES):
        value, g = (grid(shape, seed + k, -3, 3).astype(dtype) for k in (i, i + 10))
        ours.append(mg.tensor(value, requires_grad=True))
        theirs.append(torch.tensor(value, requires_grad=True))
        if i != 1:
            ours[-1].grad = mg.tensor(np.asarray(g * dtype(scale)))
            theirs[-1].grad = torch.tensor(np.asarray(g * dtype(scale)))
    return ours, theirs


def gradients(parameters):
    return [None if p.grad is None else p.grad.numpy() for p in parameters]


def assert_same(ours, theirs):
    for a, b in zip(gradients(ours), gradients(theirs), strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a, b, rtol=1e-5)


@given(
    seeds.map(lambda s: s % 1000),
    st.sampled_from([1e-3, 1.0, 30.0, 0]),
    st.sampled_from([1.0, 2.0, 3, 0.5, math.inf]),
    st.sampled_from([np.float32, np.float64]),
)
def test_norms_are_clipped_as_pytorchs(seed, limit, order, dtype):
    ours, theirs = twins(seed, dtype=dtype)
    norm = utils.clip_grad_norm_(iter(ours), limit, order)
    expected = torch.nn.utils.clip_grad_norm_(iter(theirs), limit, order)
    assert (norm.shape, norm.dtype) == ((), dtype)
    np.testing.assert_allclose(norm.item(), expected.item(), rtol=1e-5)
    assert_same(ours, theirs)


def test_values_are_clipped_as_pytorchs():
    ours, theirs = twins(0)
    utils.clip_grad_value_(ours, 1.5)
    torch.nn.utils.clip_grad_value_(theirs, 1.5)
    assert_same(ours, theirs)


def test_one_parameter_and_none():
    ours, theirs = twins(0)
    assert utils.clip_grad_norm_([], 1.0).item() == 0
    assert utils.get_total_norm([mg.ones(0, 2)]).item() == 0
    found = utils.clip_grad_norm_(ours[0], 1.0).item()
    expected = torch.nn.utils.clip_grad_norm_(theirs[0], 1.0).item()
    assert found == pytest.approx(expected, rel=1e-5)


def test_a_norm_that_is_large_or_not_finite():
    ours = [mg.ones(3, 4, requires_grad=True)]
    ours[0].grad = mg.tensor(np.full((3, 4), 1e30, np.float32))
    norm = utils.clip_grad_norm_(ours, 1.0).item()
    assert norm == pytest.approx(1e30 * math.sqrt(12), rel=1e-5)
    np.testing.assert_allclose(host(ours[0].grad), np.full((3, 4), 12**-0.5), rtol=1e-5)
    ours[0].grad = mg.tensor(np.full((3, 4), np.nan, np.float32))
    text = "get_total_norm: the norm of order 2.0 is not finite"
    refuses(RuntimeError, text, lambda: utils.clip_grad_norm_(ours, 1.0, error_if_nonfinite=True))
    assert math.isnan(utils.clip_grad_norm_(ours, 1.0).item())


def test_parameters_as_a_vector():
    ours, theirs = twins(3)
    vector, expected = utils.parameters_to_vector(ours), torch.nn.utils.parameters_to_vector(theirs)
    np.testing.assert_array_equal(host(vector), expected.detach().numpy())
    (vector * vector).sum().backward()
    np.testing.assert_allclose(host(ours[1].grad), 2 * host(ours[1]))
    arrays = [p.data for p in ours]
    utils.vector_to_parameters(vector.detach() * 2, ours)
    for p, array, tp in zip(ours, arrays, theirs, strict=True):
        assert p.data is array
        np.testing.assert_array_equal(array, 2 * tp.detach().numpy())


def test_errors():
    p = mg.ones(2)
    for error, text, call in (
        (ValueError, "max_norm: ", lambda: utils.clip_grad_norm_(p, -1)),
        (ValueError, "norm_type: expected a number above 0", lambda: utils.get_total_norm(p, 0)),
        (ValueError, "clip_value: ", lambda: utils.clip_grad_value_(p, -1)),
        (TypeError, "parameters: expected a Tensor", lambda: utils.clip_grad_value_([1], 1)),
        (ValueError, "vec: expected 2 elements", lambda: utils.vector_to_parameters(mg.ones(3), p)),
    ):
        refuses(error, text, call)
