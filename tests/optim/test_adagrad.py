"""Adagrad and Adadelta take PyTorch's steps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import optim
from tests.common import host, seeds
from tests.optim.twins import TIGHT, assert_steps_are_pytorchs, common

ADAGRAD = st.fixed_dictionaries(
    {
        **common,
        "lr_decay": st.sampled_from((0, 0.1, 2)),
        "initial_accumulator_value": st.sampled_from((0, 0.3)),
        "eps": st.sampled_from((1e-10, 1e-2)),
    }
)
ADADELTA = st.fixed_dictionaries(
    {
        **common,
        "rho": st.sampled_from((0.0, 0.5, 0.9, 1.0)),
        "eps": st.sampled_from((1e-6, 1e-2)),
    }
)
cases = st.tuples(st.just("Adagrad"), ADAGRAD) | st.tuples(st.just("Adadelta"), ADADELTA)


@pytest.mark.parametrize("dtype", TIGHT)
@given(case=cases, seed=seeds)
@settings(max_examples=30)
def test_steps_are_pytorchs(dtype, case, seed):
    assert_steps_are_pytorchs(*case, dtype, seed)


def test_adagrads_sum_begins_with_the_optimiser():
    p, other = (mg.zeros(2, requires_grad=True) for _ in "ab")
    optimizer = optim.Adagrad([p], initial_accumulator_value=0.5)
    optimizer.add_param_group({"params": other, "initial_accumulator_value": 2})
    assert host(mg.Tensor(optimizer.state[p]["sum"])).tolist() == [0.5, 0.5]
    assert optimizer.state_dict()["state"][1]["sum"].tolist() == [2, 2]
    assert optimizer.state[p]["sum"].dtype == np.float32
