"""Which parameters are of which group, and rates between points."""

from __future__ import annotations

import dataclasses

import pytest

from cifar.errors import UserError
from cifar.recipes.groups import ParameterGroup, in_steps, piecewise_linear
from tests.cifar import tiny
from tests.common import refuses


def test_a_parameter_belongs_to_the_first_group_it_matches():
    groups = {"biases": ParameterGroup("*.bias", lr=0.5), "head": ParameterGroup("head.*", lr=0.2)}
    recipe = dataclasses.replace(tiny.RECIPE, groups=groups)
    names = ["a.weight", "a.bias", "head.weight", "head.bias"]
    found = {part.lr: part.parameters for part in recipe.parts(names, 1)}
    assert found == {
        tiny.RECIPE.lr: ("a.weight",),
        0.5: ("a.bias", "head.bias"),
        0.2: ("head.weight",),
    }
    text = "groups: head: no parameter is left that matches 'head.*'; there are a.bias, …"
    refuses(UserError, text, lambda: recipe.parts(["a.bias"], 1))
    all_of_groups = recipe.parts(["head.weight", "head.bias"], 1)
    assert [part.lr for part in all_of_groups] == [0.5, 0.2]


def test_a_rate_between_points():
    factor = piecewise_linear(((1, 0.5), (2.25, 1.0), (4, 0.0)), 10)
    found = [factor(step) for step in (0, 10, 16, 22, 31, 40, 99)]
    assert found == pytest.approx([0.5, 0.5, 0.75, 1.0, 0.5, 0.0, 0.0])


def test_epochs_become_steps():
    options = {"milestones": (1, 3), "gamma": 0.1}
    assert in_steps("MultiStepLR", options, 10)[1] == {"milestones": (10, 30), "gamma": 0.1}
    assert in_steps("StepLR", {"step_size": "1"}, 10)[1] == {"step_size": "1"}  # StepLR refuses it


@pytest.mark.parametrize(
    ("schedule", "options", "stretched", "steps"),
    [
        (
            "CosineAnnealingWarmRestarts",
            {"T_0": 5, "T_mult": 2},
            {"T_0": 10, "T_mult": 2},
            {"T_0": 50, "T_mult": 2},
        ),
        (
            "CyclicLR",
            {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 2.5, "step_size_down": 5},
            {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 5.0, "step_size_down": 10},
            {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 25.0, "step_size_down": 50},
        ),
        (
            "OneCycleLR",
            {"max_lr": 1.0, "total_steps": 10, "pct_start": 0.1},
            {"max_lr": 1.0, "total_steps": 20, "pct_start": 0.1},
            {"max_lr": 1.0, "total_steps": 100, "pct_start": 0.1},
        ),
        (
            "OneCycleLR",
            {"max_lr": 1.0, "epochs": 10, "steps_per_epoch": 7},
            {"max_lr": 1.0, "epochs": 20, "steps_per_epoch": 7},
            {"max_lr": 1.0, "epochs": 10, "steps_per_epoch": 7},
        ),
    ],
)
def test_what_a_cycle_counts_is_in_epochs(schedule, options, stretched, steps):
    given = {"schedule": schedule, "schedule_options": options, "schedule_every": "step"}
    recipe = dataclasses.replace(tiny.RECIPE, epochs=10, **given)
    assert recipe.lasting(20).schedule_options == stretched
    assert recipe.parts(["a"], 10)[0].schedule_options == steps
