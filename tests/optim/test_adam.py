"""Adam and AdamW take PyTorch's steps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import optim
from tests.common import host, refuses, seeds
from tests.optim.twins import (
    TIGHT,
    assert_factors_close_to_one_count,
    assert_steps_are_pytorchs,
    common,
    fractions,
)

pytestmark = pytest.mark.usefixtures("each_implementation")

OPTIONS = st.fixed_dictionaries(
    {
        **common,
        "betas": st.tuples(fractions, st.sampled_from((0.5, 0.9, 0.999))),
        "eps": st.sampled_from((1e-8, 1e-3)),
        "amsgrad": st.booleans(),
    }
)


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
@pytest.mark.parametrize("dtype", TIGHT)
@given(options=OPTIONS, seed=seeds)
@settings(max_examples=25)
def test_steps_are_pytorchs(name, dtype, options, seed):
    assert_steps_are_pytorchs(name, options, dtype, seed)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Adam", {"betas": (0.9, 0.999999)}),
        ("Adam", {"betas": (0.999999, 0.99)}),
        ("AdamW", {"betas": (0.5, 0.9999999)}),
    ],
)
@pytest.mark.parametrize("number", [float, np.float32])
def test_factors_close_to_one(name, options, number):
    assert_factors_close_to_one_count(name, options, number)


def test_no_memory_of_a_large_gradient():
    """β₁ = 0 keeps nothing, where m + (g − m) keeps the rounding of m."""
    p = mg.zeros(1, requires_grad=True)
    optimizer = optim.Adam([p], lr=1, betas=(0, 0))
    for g in (1e8, 1.0, 1.0):
        p.grad = mg.tensor([g])
        optimizer.step()
    assert host(p).tolist() == [-3]


def test_plain_adam_state_is_not_adamws():
    p = [mg.zeros(2, requires_grad=True)]
    saved = optim.Adam(p).state_dict()
    refuses(
        NotImplementedError,
        "decoupled_weight_decay=False",
        lambda: optim.AdamW(p).load_state_dict(saved),
    )
