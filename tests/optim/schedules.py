"""The same schedules in minigrad and PyTorch, drawn, stepped and resumed alike."""

from __future__ import annotations

import contextlib
import copy
import functools
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

import minigrad as mg
from minigrad import optim
from minigrad.optim.lr_scheduler.base import ROUNDING
from tests.common import refuses

theirs = torch.optim.lr_scheduler
gammas = st.floats(0.1, 1.2)


class Decay:
    """A function with a state."""

    def __init__(self, base):
        self.base = base

    def __call__(self, epoch):
        return self.base**epoch


def inverse(epoch):
    return 1 / (1 + epoch)


STEP = st.fixed_dictionaries({"step_size": st.integers(1, 9), "gamma": gammas})
MILESTONES = st.fixed_dictionaries(
    {"milestones": st.lists(st.integers(0, 12), max_size=4), "gamma": gammas}
)
OPTIONS = {
    "StepLR": STEP,
    "MultiStepLR": MILESTONES,
    "CosineAnnealingLR": st.fixed_dictionaries(
        {"T_max": st.integers(1, 12), "eta_min": st.sampled_from((0.0, 0.01, 0.05))}
    ),
    "LambdaLR": st.fixed_dictionaries(
        {"lr_lambda": st.sampled_from((inverse, [inverse, Decay(0.5)], Decay(0.9)))}
    ),
    "MultiplicativeLR": st.fixed_dictionaries(
        {"lr_lambda": st.sampled_from((inverse, [inverse, Decay(0.5)], Decay(0.9)))}
    ),
    "ConstantLR": st.fixed_dictionaries(
        {"factor": st.sampled_from((0.1, 0.5, 1)), "total_iters": st.integers(1, 6)}
    ),
    "LinearLR": st.fixed_dictionaries(
        {
            "start_factor": st.sampled_from((0.1, 0.5, 1)),
            "end_factor": st.sampled_from((0, 0.3, 1)),
            "total_iters": st.integers(1, 6),
        }
    ),
    "ExponentialLR": st.fixed_dictionaries({"gamma": gammas}),
    "PolynomialLR": st.fixed_dictionaries(
        {"total_iters": st.integers(1, 8), "power": st.sampled_from((0, 0.5, 1, 2.5))}
    ),
    "CosineAnnealingWarmRestarts": st.fixed_dictionaries(
        {
            "T_0": st.integers(1, 5),
            "T_mult": st.integers(1, 3),
            "eta_min": st.sampled_from((0.0, 0.05)),
        }
    ),
    "CyclicLR": st.fixed_dictionaries(
        {
            "base_lr": st.sampled_from((0.01, [0.02, 0.0])),
            "max_lr": st.sampled_from((0.5, [0.3, 0.7])),
            "step_size_up": st.sampled_from((1, 3, 4.5)),
            "step_size_down": st.sampled_from((None, 0, 2)),
            "mode": st.sampled_from(("triangular", "triangular2", "exp_range")),
            "gamma": st.sampled_from((1.0, 0.9)),
            "scale_fn": st.sampled_from((None, inverse, Decay(0.7))),
            "scale_mode": st.sampled_from(("cycle", "iterations")),
            "cycle_momentum": st.booleans(),
            "base_momentum": st.sampled_from((0.7, [0.5, 0.6])),
        }
    ),
    "OneCycleLR": st.fixed_dictionaries(
        {
            "max_lr": st.sampled_from((0.5, [0.3, 0.7])),
            "total_steps": st.integers(8, 30),
            "pct_start": st.sampled_from((0.0, 0.3, 0.7)),
            "anneal_strategy": st.sampled_from(("cos", "linear")),
            "cycle_momentum": st.booleans(),
            "base_momentum": st.sampled_from((0.7, [0.5, 0.6])),
            "div_factor": st.sampled_from((25, 3.0)),
            "final_div_factor": st.sampled_from((1e4, 10)),
            "three_phase": st.booleans(),
        }
    ),
    "ReduceLROnPlateau": st.fixed_dictionaries(
        {
            "mode": st.sampled_from(("min", "max")),
            "factor": st.floats(0.1, 0.9),
            "patience": st.integers(0, 3),
            "threshold": st.sampled_from((1e-4, 0.1, 0.0)),
            "threshold_mode": st.sampled_from(("rel", "abs")),
            "cooldown": st.integers(0, 3),
            "min_lr": st.sampled_from((0, 1e-2, [0.01, 0.2])),
            "eps": st.sampled_from((1e-8, 1e-2)),
        }
    ),
}
simple = st.sampled_from(sorted(OPTIONS)).flatmap(lambda n: st.tuples(st.just(n), OPTIONS[n]))
parts = st.lists(simple.filter(lambda case: case[0] != "ReduceLROnPlateau"), min_size=1, max_size=3)
COMPOSED = {
    "ChainedScheduler": st.fixed_dictionaries({"schedulers": parts}),
    "SequentialLR": parts.flatmap(
        lambda found: st.fixed_dictionaries(
            {
                "schedulers": st.just(found),
                "milestones": st.lists(
                    st.integers(0, 12), min_size=len(found) - 1, max_size=len(found) - 1
                ).map(sorted),
            }
        )
    ),
}
composed = st.sampled_from(sorted(COMPOSED)).flatmap(lambda n: st.tuples(st.just(n), COMPOSED[n]))
cases = simple | composed


def build(library, optimizer, case, **more):
    name, options = case
    options = copy.deepcopy(options)
    if name in COMPOSED:
        options["schedulers"] = [build(library, optimizer, part) for part in options["schedulers"]]
        more = {}  # which have no last_epoch to begin at
    if name == "SequentialLR":
        more["optimizer"] = optimizer
    elif name != "ChainedScheduler":
        return getattr(library, name)(optimizer, **options, **more)
    return getattr(library, name)(**options, **more)


def optimizers(rates=(0.1, 0.5)):
    """Ours and PyTorch's, with a group for each rate; both must have stepped before a schedule."""
    ours = optim.SGD([{"params": mg.zeros(1), "lr": r} for r in rates])
    reference = torch.optim.SGD([{"params": torch.zeros(1), "lr": r} for r in rates])
    ours.step()
    reference.step()
    return ours, reference


def lrs(optimizer):
    return [group["lr"] for group in optimizer.param_groups]


def momenta(optimizer):
    return [group["momentum"] for group in optimizer.param_groups]


@contextmanager
def watched(schedule):
    """Within it, gives all rates after steps of the schedules that PyTorch's chain is made of."""
    rates, inner = [0.0], getattr(schedule, "_schedulers", [])

    def step(part):
        type(part).step(part)
        rates.extend(lrs(part.optimizer))

    for part in inner:
        part.step = functools.partial(step, part)
    yield rates
    for part in inner:
        del part.step


class Pair:
    """Optimisers and schedules, ours and PyTorch's."""

    def __init__(self, rates=(0.1, 0.5)):
        self.optimizers = optimizers(rates)
        self.cases, self.schedules = [], []

    def make(self, case, **more):
        """Returns whether it could be made: some combinations have rates below 0 at once, as ours
        says."""
        reference = build(theirs, self.optimizers[1], case, **more)
        if min(lrs(self.optimizers[1])) <= -ROUNDING:
            with pytest.raises(ValueError, match="lr: expected a number from 0"):
                build(optim, self.optimizers[0], case, **more)
            return False
        self.cases.append(case)
        self.schedules.append((build(optim, self.optimizers[0], case, **more), reference))
        self.optimizers[1].step()  # PyTorch warns of a schedule that goes before it
        return True

    def step(self, number, metric):
        """Returns whether the rates can still agree. Ours refuses those below 0, as drawn programs
        of two cosines come to them, and both refuse a step after the last one of a cycle."""
        ours, reference = self.schedules[number]
        metrics = (metric,) if isinstance(ours, optim.ReduceLROnPlateau) else ()
        refused = "lr: expected a number from 0"
        lowest = 0.0
        try:
            with watched(reference) as rates:
                reference.step(*metrics)
                lowest = min(*lrs(self.optimizers[1]), *rates)
        except ValueError:  # the last one of a cycle is done
            refused = "steps are done; there is no next one"
        except ZeroDivisionError:
            refused = "lr: expected a number at the next epoch"
        else:
            if lowest > -ROUNDING:
                ours.step(*metrics)
                return True
            parts = [ours, *getattr(ours, "_schedulers", [])]
            if any(isinstance(part, optim.OneCycleLR) for part in parts):
                with contextlib.suppress(ValueError):  # of another part
                    ours.step()  # see one-cycle-end in docs/differences.md
                return False
        before = ours.state_dict(), lrs(self.optimizers[0]), momenta(self.optimizers[0])
        refuses(ValueError, refused, ours.step)
        assert (ours.state_dict(), lrs(self.optimizers[0]), momenta(self.optimizers[0])) == before
        return False

    def set(self, change):
        for optimizer in self.optimizers:
            change(optimizer)

    def check(self):
        ours, reference = self.optimizers
        np.testing.assert_allclose(lrs(ours), lrs(reference), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(momenta(ours), momenta(reference), rtol=1e-9, atol=1e-12)
        for one, other in self.schedules:
            if not isinstance(one, optim.ChainedScheduler):  # which has none
                assert one.last_epoch == other.last_epoch
            np.testing.assert_allclose(one.get_last_lr(), other.get_last_lr(), 1e-9, 1e-12)

    def resumed(self, how):
        """A pair that goes on from the states of this one."""
        new = Pair((9.0,) * len(lrs(self.optimizers[0])))
        saved = [optimizer.state_dict() for optimizer in self.optimizers]
        if how == "last_epoch":  # the optimiser's state and the number of the epoch alone
            for optimizer, state in zip(new.optimizers, saved, strict=True):
                optimizer.load_state_dict(state)
        for case, (ours, _) in zip(self.cases, self.schedules, strict=True):
            without = (*COMPOSED, "ReduceLROnPlateau")  # have no such argument
            more = how == "last_epoch" and case[0] not in without
            if not new.make(case, **({"last_epoch": ours.last_epoch} if more else {})):
                return None
        if how != "last_epoch":
            order = -1 if how == "each other's states" else 1
            for optimizer, state in zip(new.optimizers, saved, strict=True):
                optimizer.load_state_dict(state)
            for pair, before in zip(new.schedules, self.schedules, strict=True):
                states = [schedule.state_dict() for schedule in before][::order]
                for schedule, state in zip(pair, states, strict=True):
                    schedule.load_state_dict(copy.deepcopy(state))
        return new
