"""NAdam, RAdam and Adamax take PyTorch's steps."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.common import seeds
from tests.optim.twins import TIGHT, assert_steps_are_pytorchs, common, fractions

OPTIONS = {
    **common,
    "betas": st.tuples(fractions, st.sampled_from((0.5, 0.9, 0.999))),
    "eps": st.sampled_from((1e-8, 1e-3)),
}
DECOUPLED = {"decoupled_weight_decay": st.booleans()}
CASES = {
    "NAdam": OPTIONS | DECOUPLED | {"momentum_decay": st.sampled_from((0, 4e-3, 0.5))},
    "RAdam": OPTIONS | DECOUPLED,  # of 8 steps, the last 3 are divided by √v
    "Adamax": OPTIONS,
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", TIGHT)
@given(data=st.data(), seed=seeds)
@settings(max_examples=20)
def test_steps_are_pytorchs(name, dtype, data, seed):
    options = data.draw(st.fixed_dictionaries(CASES[name]))
    assert_steps_are_pytorchs(name, options, dtype, seed)
