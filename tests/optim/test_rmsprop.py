"""RMSprop takes PyTorch's steps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.common import seeds
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
        "alpha": st.sampled_from((0.5, 0.9, 0.99)),
        "eps": st.sampled_from((1e-6, 1e-2)),
        "momentum": fractions,
        "centered": st.booleans(),
    }
)


@pytest.mark.parametrize("dtype", TIGHT)
@given(options=OPTIONS, seed=seeds)
@settings(max_examples=25)
def test_steps_are_pytorchs(dtype, options, seed):
    assert_steps_are_pytorchs("RMSprop", options, dtype, seed)


@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("number", [float, np.float32])
def test_factors_close_to_one(centered, number):
    options = {"alpha": 0.999999, "centered": centered}
    assert_factors_close_to_one_count("RMSprop", options, number)
