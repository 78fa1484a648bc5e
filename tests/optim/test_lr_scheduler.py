"""Every schedule gives PyTorch's learning rates, alone and beside others, and goes on from where it
was saved."""

from __future__ import annotations

import json
import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import optim
from tests.common import refuses, signature
from tests.optim.schedules import (
    COMPOSED,
    OPTIONS,
    Decay,
    Pair,
    cases,
    inverse,
    lrs,
    optimizers,
    theirs,
)


@pytest.mark.parametrize("name", [*OPTIONS, *COMPOSED])
def test_constructor_is_pytorchs(name):
    assert signature(getattr(optim, name)) == signature(getattr(theirs, name))
    assert getattr(optim.lr_scheduler, name) is getattr(optim, name)


@pytest.mark.parametrize("name", [*OPTIONS, *COMPOSED])
@settings(max_examples=25)
@given(st.data())
def test_rates_are_pytorchs(name, data):
    pair = Pair()
    if not pair.make((name, data.draw((OPTIONS | COMPOSED)[name]))):
        return
    metrics = data.draw(st.lists(st.floats(0.1, 2) | st.just(math.nan), min_size=25, max_size=25))
    for metric in metrics:
        pair.check()
        if not pair.step(0, metric):
            assert name in ("OneCycleLR", *COMPOSED)
            return
    pair.check()


WAYS = ("states", "each other's states", "last_epoch")
acts = st.one_of(
    st.tuples(st.just("step"), st.integers(0, 9), st.floats(0.1, 2)),
    st.tuples(st.just("step"), st.integers(0, 9), st.floats(0.1, 2)),
    st.tuples(st.just("make"), cases),
    st.tuples(st.just("lr"), st.integers(0, 1), st.sampled_from((0.001, 0.3, 2.0))),
    st.tuples(st.just("resume"), st.sampled_from(WAYS)),
)


@settings(max_examples=150)
@given(cases, st.lists(acts, max_size=25))
def test_programs(case, program):
    """Schedules that act together, rates set by hand and resumed runs."""
    pair = Pair()
    if not pair.make(case):
        return
    for act, *arguments in program:
        if act == "step":
            number, metric = arguments
            if not pair.step(number % len(pair.schedules), metric):
                return
        elif act == "make":
            if not pair.make(*arguments):
                return
        elif act == "lr":
            group, rate = arguments
            pair.set(lambda o, group=group, rate=rate: o.param_groups[group].update(lr=rate))
        else:
            if (pair := pair.resumed(*arguments)) is None:
                return
        pair.check()


def test_two_schedules_on_one_optimizer():
    ours, _ = optimizers((1.0,))
    schedules = optim.StepLR(ours, 3, 0.5), optim.MultiStepLR(ours, [2, 4], 0.1)
    found = []
    for _ in range(8):
        found += lrs(ours)
        for schedule in schedules:
            schedule.step()
    np.testing.assert_allclose(found, [1, 1, 0.1, 0.05, 0.005, 0.005, 0.0025, 0.0025])


# ---------------------------------------------------------------------------- groups added later


def add(library, optimizer, rate):
    zeros = mg.zeros(1) if library is mg else torch.zeros(1)
    optimizer.add_param_group({"params": [zeros], "lr": rate})


@pytest.mark.parametrize("name", ["StepLR", "MultiStepLR", "ReduceLROnPlateau"])
@settings(max_examples=20)
@given(st.data())
def test_a_group_added_later_is_scheduled_too(name, data):
    options = data.draw(OPTIONS[name])
    if isinstance(options.get("min_lr"), list):
        options["min_lr"] = 0.01
    pair = Pair()
    pair.make((name, options))
    for metric in data.draw(st.lists(st.floats(0.1, 2), max_size=12)):
        pair.step(0, metric)
        if len(lrs(pair.optimizers[0])) == 2:
            for library, optimizer in zip((mg, torch), pair.optimizers, strict=True):
                add(library, optimizer, 0.3)
        pair.step(0, metric)
        pair.check()


def test_its_own_rate_is_its_initial_one():
    """Where PyTorch's ``zip`` fails."""
    ours, _ = optimizers((1.0,))
    schedule = optim.LambdaLR(ours, lambda epoch: 0.5**epoch)
    cosine_of, _ = optimizers((1.0,))
    cosine = optim.CosineAnnealingLR(cosine_of, 4)
    for _ in range(2):
        schedule.step()
        cosine.step()
    add(mg, ours, 0.8)
    add(mg, cosine_of, 0.5)  # as the first is now
    schedule.step()
    assert lrs(ours) == [0.125, 0.1]
    assert schedule.state_dict()["base_lrs"] == [1.0, 0.8]
    for _ in range(3):
        cosine.step()
    assert cosine.last_epoch == 5
    rise = (1 - math.cos(math.pi / 4)) / 2
    np.testing.assert_allclose(lrs(cosine_of), [rise, 0.5 * rise])
    again = optim.LambdaLR(ours, lambda epoch: 0.5**epoch)
    again.load_state_dict(schedule.state_dict())
    assert again.base_lrs == [1.0, 0.8]


def test_what_does_not_fit_the_groups_changes_nothing():
    ours, _ = optimizers()
    schedules = (
        optim.LambdaLR(ours, [inverse, inverse]),
        optim.ReduceLROnPlateau(ours, patience=0, min_lr=[0, 0]),
    )
    states = [schedule.state_dict() for schedule in schedules]
    add(mg, ours, 0.3)
    before = lrs(ours)
    text = "lr_lambda: expected 3 functions, one for each parameter group, got 2"
    refuses(ValueError, text, schedules[0].step)
    text = "min_lr: expected 3 bounds, one for each parameter group, got 2"
    refuses(ValueError, text, lambda: schedules[1].step(1.0))
    assert lrs(ours) == before
    assert schedules[0].last_epoch == schedules[1].last_epoch == 0
    assert schedules[1].state_dict() == states[1]
    text = "base_lrs: expected 3 numbers, one for each parameter group, got 2"
    refuses(ValueError, text, lambda: schedules[0].load_state_dict(states[0]))


class Two(optim.LRScheduler):
    def get_lr(self):
        return [1.0, 2.0]


def test_a_schedule_of_ones_own():
    ours, _ = optimizers()
    schedule = Two(ours)
    assert lrs(ours) == schedule.get_last_lr() == [1, 2]
    add(mg, ours, 0.3)
    refuses(ValueError, "get_lr: expected 3 rates, one for each parameter group", schedule.step)
    assert (schedule.last_epoch, lrs(ours)) == (0, [1, 2, 0.3])


# ---------------------------------------------------------------------------- state


@pytest.mark.parametrize("name", sorted({*OPTIONS} - {"LambdaLR", "MultiplicativeLR"}))
@settings(max_examples=5)
@given(st.data())
def test_a_state_holds_the_options(name, data):
    pair, other = Pair(), Pair()
    for each in (pair, other):
        options = data.draw(OPTIONS[name])
        fixed = {"cycle_momentum": True, "scale_fn": None}  # for which others have other entries
        each.make((name, {k: fixed.get(k, v) for k, v in options.items()}))
    ours, _ = pair.schedules[0]
    loaded, _ = other.schedules[0]
    for _ in range(3):
        pair.step(0, 1.0)
    state = ours.state_dict()
    loaded.load_state_dict(state)
    assert loaded.state_dict() == state
    known = pair.schedules[0][1].state_dict()
    assert state.keys() <= known.keys()
    assert known.keys() - state.keys() <= {
        *("_step_count", "_is_initial", "_get_lr_called_within_step", "mode_worse")
    }


@pytest.mark.parametrize("kind", COMPOSED)
def test_a_wrong_state_of_a_part_changes_none(kind):
    ours, _ = optimizers()
    parts = [optim.StepLR(ours, 2), optim.ExponentialLR(ours, 0.5)]
    whole = {"ChainedScheduler": lambda: optim.ChainedScheduler(parts)}.get(
        kind, lambda: optim.SequentialLR(ours, parts, [2])
    )()
    before = whole.state_dict()
    for _ in range(3):
        whole.step()
    state = whole.state_dict()
    for wrong in ([before["_schedulers"][0], {}], before["_schedulers"][:1], 3):
        with pytest.raises((TypeError, ValueError)):
            whole.load_state_dict(before | {"_schedulers": wrong})
        assert whole.state_dict() == state
    whole.load_state_dict(before)
    assert whole.state_dict() == before


def test_a_step_that_one_of_a_chain_refuses_changes_none():
    ours, _ = optimizers()
    wrong = optim.LambdaLR(ours, lambda epoch: 1.0 if epoch < 1 else -1)
    chain = optim.ChainedScheduler([optim.ExponentialLR(ours, 0.5), wrong])
    state, rates = chain.state_dict(), lrs(ours)
    refuses(ValueError, "lr_lambda: its result", chain.step)
    assert (chain.state_dict(), lrs(ours)) == (state, rates)


@given(st.lists(st.floats(0, 40), max_size=8), st.integers(1, 4), st.integers(1, 3))
def test_fractions_of_epochs(epochs, first, factor):
    """Of warm restarts, as within an epoch."""
    pair = optimizers()
    ours, reference = (
        library.CosineAnnealingWarmRestarts(o, first, factor, 0.01)
        for library, o in zip((optim, theirs), pair, strict=True)
    )
    for epoch in epochs:
        ours.step(epoch)
        reference.step(epoch)
        np.testing.assert_allclose(lrs(pair[0]), lrs(pair[1]), 1e-9, 1e-12)
        assert ours.last_epoch == reference.last_epoch
        ours.step()
        reference.step()
        np.testing.assert_allclose(lrs(pair[0]), lrs(pair[1]), 1e-9, 1e-12)


def test_a_state_is_a_copy():
    ours, _ = optimizers()
    schedule = optim.MultiStepLR(ours, [1, 1, 3])
    state = schedule.state_dict()
    assert state["milestones"] == Counter({1: 2, 3: 1})
    schedule.step()
    assert state["last_epoch"] == 0
    assert state["_last_lr"] == [0.1, 0.5]
    json.dumps(state)


def test_a_function_with_a_state():
    """As in PyTorch: the attributes of objects; of functions nothing."""
    ours, _ = optimizers()
    schedule = optim.LambdaLR(ours, [Decay(0.5), inverse])
    state = schedule.state_dict()
    assert state["lr_lambdas"] == [{"base": 0.5}, None]
    other = optim.LambdaLR(ours, [Decay(0.9), inverse])
    other.load_state_dict(state)
    assert other.lr_lambdas[0].base == 0.5
    for wrong in ([None], [None, 3], 3):
        with pytest.raises((TypeError, ValueError), match="lr_lambdas: expected"):
            other.load_state_dict(state | {"lr_lambdas": wrong})


def test_loading_leaves_the_rates_to_the_optimizer():
    ours, _ = optimizers()
    schedule = optim.StepLR(ours, 1)
    state = schedule.state_dict()
    schedule.step()
    schedule.load_state_dict(state)
    np.testing.assert_allclose(lrs(ours), [0.01, 0.05])
    assert schedule.get_last_lr() == [0.1, 0.5]


def test_rates_that_fall_to_0_do_not_miss_it():
    """PyTorch's is −1.4e-18 at the end."""
    ours, _ = optimizers()
    schedule = optim.LinearLR(ours, start_factor=0.1, end_factor=0, total_iters=4)
    for _ in range(4):
        schedule.step()
    assert lrs(ours) == [0, 0]
    ours.step()


def test_a_rate_beyond_all_numbers_is_infinite():
    """Python's own power would be an OverflowError."""
    ours, _ = optimizers()
    schedule = optim.StepLR(ours, 1, 1e300)
    for _ in range(2):
        schedule.step()
    assert lrs(ours) == [math.inf] * 2
