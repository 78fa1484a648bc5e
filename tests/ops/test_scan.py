"""Products, running sums and norms; tests/parity compares them with PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad.testing import arrays, check_op
from tests.common import grid, leaf, refuses

WITH_ZEROS = [[1.5, 0.0, 2.0, -1.0], [0.0, 3.0, 0.0, 1.0], [1.0, 2.0, 3.0, 4.0]]


@pytest.mark.parametrize("values", [grid((3, 4)), np.array(WITH_ZEROS)])
def test_products(values):
    x = leaf(values)
    mg.gradcheck(lambda x: x.prod(1), x)
    mg.gradcheck(lambda x: x[2:].prod(), x)
    mg.gradcheck(lambda x: x.cumprod(1), x)
    mg.gradcheck(lambda x: x.cumsum(0), x)


@pytest.mark.parametrize("p", [1, 2, 3.5, np.inf, -np.inf, 0.5])
def test_norms(p):
    check_op(lambda x: x.norm(p, 1), arrays((3, 4)), max_examples=3)


@pytest.mark.parametrize("p", [1, 2, 3, np.inf, -np.inf])
@pytest.mark.parametrize("values", [[np.nan, 1, -2], [np.nan, np.inf, -2], [-np.inf, 1, 0]])
def test_slopes_at_special_values(p, values):
    found = []
    for m in (mg, torch):
        x = m.tensor(np.array(values), requires_grad=True)
        x.norm(p).backward()
        found.append(x.grad.numpy())
    np.testing.assert_array_equal(*found)


def test_the_norm_of_zeros_has_no_slope():
    x = leaf(np.zeros(3))
    x.norm().backward()
    assert x.grad.tolist() == [0, 0, 0]


def test_logsumexp():
    check_op(lambda x: x.logsumexp((0, 1)), arrays((3, 4)), max_examples=3)
    assert mg.tensor([1000.0, 1000.0]).logsumexp(0).item() == pytest.approx(1000 + np.log(2))


def test_running_sums_do_not_drift():
    y = mg.full((100_000,), 0.1).cumsum(0)
    assert y[-1].item() == pytest.approx(10_000, rel=1e-6)


def test_errors():
    x = mg.ones(2)
    refuses(NotImplementedError, "p='nuc' is not supported", lambda: x.norm("nuc"))
    refuses(ValueError, "norm: an empty reduction", lambda: mg.zeros(0).norm(np.inf))
    refuses(TypeError, "dtype: expected a floating dtype", lambda: leaf([1.0]).sum(dtype="int64"))
