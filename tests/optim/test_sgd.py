"""SGD takes PyTorch's steps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.common import seeds
from tests.optim.twins import (
    TIGHT,
    Twins,
    assert_factors_close_to_one_count,
    assert_steps_are_pytorchs,
    common,
    fractions,
    make,
)

pytestmark = pytest.mark.usefixtures("each_implementation")

DAMPENED = st.fixed_dictionaries(
    {**common, "momentum": fractions, "dampening": st.sampled_from((0, 0.3, 1))}
)
NESTEROV = st.fixed_dictionaries(
    {**common, "momentum": st.sampled_from((0.5, 0.9)), "nesterov": st.just(True)}
)
OPTIONS = DAMPENED | NESTEROV


@pytest.mark.parametrize("dtype", TIGHT)
@given(options=OPTIONS, seed=seeds)
@settings(max_examples=25)
def test_steps_are_pytorchs(dtype, options, seed):
    assert_steps_are_pytorchs("SGD", options, dtype, seed)


@pytest.mark.parametrize("number", [float, np.float32])
def test_factors_close_to_one(number):
    options = {"momentum": 0.9, "dampening": 0.9999999}
    assert_factors_close_to_one_count("SGD", options, number)


def test_momentum_switched_on_during_a_run():
    twins = Twins()
    pair = make("SGD", twins, lr=0.1, dampening=0.5)
    for step in range(4):
        for optimizer in pair:
            optimizer.param_groups[0]["momentum"] = 0.9 if step >= 2 else 0
        twins.step(*pair)
    twins.check(1e-12)
