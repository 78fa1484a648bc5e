"""Every schedule gives PyTorch's learning rates, and goes on from where it was saved."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import optim
from tests.common import refuses, signature

EPOCHS = 25
theirs = torch.optim.lr_scheduler
gammas = st.floats(0.1, 1.2)
options = st.one_of(
    st.tuples(
        st.just("StepLR"),
        st.fixed_dictionaries({"step_size": st.integers(1, 9), "gamma": gammas}),
    ),
    st.tuples(
        st.just("MultiStepLR"),
        st.fixed_dictionaries(
            {"milestones": st.lists(st.integers(0, 20), max_size=4), "gamma": gammas}
        ),
    ),
    st.tuples(
        st.just("CosineAnnealingLR"),
        st.fixed_dictionaries({"T_max": st.integers(1, 30), "eta_min": st.floats(0, 0.05)}),
    ),
    st.tuples(st.just("LambdaLR"), st.just({"lr_lambda": lambda epoch: 1 / (1 + epoch)})),
)
plateau_options = st.fixed_dictionaries(
    {
        "mode": st.sampled_from(("min", "max")),
        "factor": st.floats(0.1, 0.9),
        "patience": st.integers(0, 3),
        "threshold": st.sampled_from((1e-4, 0.1, 0.0)),
        "threshold_mode": st.sampled_from(("rel", "abs")),
        "cooldown": st.integers(0, 3),
        "min_lr": st.sampled_from((0, 1e-2)),
        "eps": st.sampled_from((1e-8, 1e-2)),
    }
)


def optimizers(rates=(0.1, 0.5)):
    """Ours and PyTorch's, with a group for each rate; both must have stepped before a schedule."""
    ours = optim.SGD([{"params": mg.zeros(1), "lr": r} for r in rates])
    reference = torch.optim.SGD([{"params": torch.zeros(1), "lr": r} for r in rates])
    ours.step()
    reference.step()
    return ours, reference


def lrs(optimizer):
    return [group["lr"] for group in optimizer.param_groups]


def close(ours, reference):
    np.testing.assert_allclose(lrs(ours), lrs(reference), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "name", ["StepLR", "MultiStepLR", "CosineAnnealingLR", "LambdaLR", "ReduceLROnPlateau"]
)
def test_constructor_is_pytorchs(name):
    assert signature(getattr(optim, name)) == signature(getattr(theirs, name))
    assert getattr(optim.lr_scheduler, name) is getattr(optim, name)


@given(options)
def test_rates_are_pytorchs(case):
    name, arguments = case
    ours, reference = optimizers()
    schedule = getattr(optim, name)(ours, **arguments)
    twin = getattr(theirs, name)(reference, **arguments)
    for _ in range(EPOCHS):
        close(ours, reference)
        assert schedule.last_epoch == twin.last_epoch
        assert schedule.get_last_lr() == lrs(ours)
        schedule.step()
        reference.step()
        twin.step()


@given(plateau_options, st.lists(st.floats(0.1, 2) | st.just(float("nan")), max_size=40))
def test_plateau_is_pytorchs(arguments, metrics):
    ours, reference = optimizers()
    schedule = optim.ReduceLROnPlateau(ours, **arguments)
    twin = theirs.ReduceLROnPlateau(reference, **arguments)
    for metric in metrics:
        schedule.step(mg.tensor(metric, dtype="float64"))
        twin.step(metric)
        close(ours, reference)
        assert (schedule.num_bad_epochs, schedule.cooldown_counter, schedule.last_epoch) == (
            twin.num_bad_epochs,
            twin.cooldown_counter,
            twin.last_epoch,
        )
    assert schedule.get_last_lr() == lrs(ours)


def after(epochs, case):
    """An optimiser, and its schedule after some epochs."""
    name, arguments = case
    ours, _ = optimizers()
    schedule = getattr(optim, name)(ours, **arguments)
    for _ in range(epochs):
        schedule.step()
    return ours, schedule


@given(options, st.integers(0, 10))
def test_resuming_from_a_state(case, epochs):
    name, arguments = case
    ours, schedule = after(epochs, case)
    other, _ = optimizers((9.0, 9.0))
    resumed = getattr(optim, name)(other, **arguments)
    other.load_state_dict(ours.state_dict())
    resumed.load_state_dict(schedule.state_dict())
    for _ in range(5):
        assert lrs(other) == lrs(ours)
        schedule.step()
        resumed.step()


@given(options, st.integers(0, 10))
def test_resuming_from_the_optimizers_state_alone(case, epochs):
    """As in PyTorch: ``last_epoch`` and the "initial_lr" that the optimiser's groups keep."""
    name, arguments = case
    ours, schedule = after(epochs, case)
    other, _ = optimizers((9.0, 9.0))
    other.load_state_dict(ours.state_dict())
    resumed = getattr(optim, name)(other, **arguments, last_epoch=schedule.last_epoch)
    schedule.step()
    assert resumed.last_epoch == schedule.last_epoch
    assert lrs(other) == lrs(ours)


@given(plateau_options, st.lists(st.floats(0.1, 2), min_size=2, max_size=30), st.data())
def test_resuming_a_plateau(arguments, metrics, data):
    cut = data.draw(st.integers(0, len(metrics)))
    ours, _ = optimizers()
    schedule = optim.ReduceLROnPlateau(ours, **arguments)
    for metric in metrics[:cut]:
        schedule.step(metric)
    other, _ = optimizers()
    resumed = optim.ReduceLROnPlateau(other, **arguments)
    other.load_state_dict(ours.state_dict())
    resumed.load_state_dict(schedule.state_dict())
    for metric in metrics[cut:]:
        schedule.step(metric)
        resumed.step(metric)
        assert lrs(other) == lrs(ours)


def test_a_rate_beyond_all_numbers_is_infinite():
    """Python's own power would be an OverflowError."""
    ours, _ = optimizers()
    schedule = optim.StepLR(ours, 1, 1e300)
    for _ in range(2):
        schedule.step()
    assert lrs(ours) == [math.inf] * 2


def test_what_is_refused():
    ours, _ = optimizers()
    for error, text, make in (
        (TypeError, "optimizer: ", lambda: optim.StepLR("SGD", 1)),
        (TypeError, "optimizer: ", lambda: optim.ReduceLROnPlateau("SGD")),
        (ValueError, "initial_lr", lambda: optim.StepLR(ours, 1, last_epoch=3)),
        (ValueError, "step_size: ", lambda: optim.StepLR(ours, 0)),
        (TypeError, "step_size: ", lambda: optim.StepLR(ours, 1.5)),
        (ValueError, "milestones: ", lambda: optim.MultiStepLR(ours, [-1])),
        (ValueError, "T_max: ", lambda: optim.CosineAnnealingLR(ours, 0)),
        (NotImplementedError, "lr_lambda: ", lambda: optim.LambdaLR(ours, [abs, abs])),
        (ValueError, "mode: ", lambda: optim.ReduceLROnPlateau(ours, "least")),
        (ValueError, "factor: ", lambda: optim.ReduceLROnPlateau(ours, factor=1)),
        (ValueError, "threshold_mode: ", lambda: optim.ReduceLROnPlateau(ours, threshold_mode="x")),
        (ValueError, "patience: ", lambda: optim.ReduceLROnPlateau(ours, patience=-1)),
        (TypeError, "gamma: ", lambda: optim.StepLR(ours, 1, "x")),
        (TypeError, "gamma: ", lambda: optim.MultiStepLR(ours, [1], "x")),
        (TypeError, "eta_min: ", lambda: optim.CosineAnnealingLR(ours, 1, "x")),
        (TypeError, "threshold: ", lambda: optim.ReduceLROnPlateau(ours, threshold="x")),
        (TypeError, "cooldown: ", lambda: optim.ReduceLROnPlateau(ours, cooldown="x")),
        (TypeError, "min_lr: ", lambda: optim.ReduceLROnPlateau(ours, min_lr="x")),
        (TypeError, "eps: ", lambda: optim.ReduceLROnPlateau(ours, eps="x")),
        (NotImplementedError, "min_lr: ", lambda: optim.ReduceLROnPlateau(ours, min_lr=[0, 0])),
    ):
        refuses(error, text, make)
    assert lrs(ours) == [0.1, 0.5]
    with pytest.raises(NotImplementedError):
        optim.LRScheduler(ours)
