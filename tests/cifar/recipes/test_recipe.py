"""A recipe checks itself, and goes on for more epochs."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cifar import recipes
from cifar.errors import UserError
from cifar.recipes.groups import ParameterGroup
from cifar.recipes.recipe import Lookahead
from cifar.training import train
from cifar.training.run import Settings
from tests.cifar import tiny
from tests.common import refuses


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"epochs": 0}, "epochs: expected at least 1, got 0"),
        ({"batch_size": 0}, "batch_size: expected at least 1, got 0"),
        ({"lr": 0.0}, "lr: "),
        ({"lr": -1.0}, "lr: expected a finite number above 0, got -1.0"),
        ({"lr": float("nan")}, "lr: "),
        ({"lr": float("inf")}, "lr: "),
        ({"restarts": ((-1, 0.1),)}, "restarts: expected epochs from 0, each with a finite rate"),
        ({"restarts": ((1, 0.0),)}, "restarts: expected epochs from 0, each with a finite rate"),
        ({"loss": "hinge"}, "loss: expected one of cross_entropy, focal_loss, got hinge"),
        ({"gamma": -1.0}, "gamma: expected a finite number from 0, got -1.0"),
        ({"class_balance": 2.0}, "class_balance: expected a number from 0, less than 1, got 2.0"),
        ({"l2": -1.0}, "l2: expected a finite number from 0"),
        ({"long_tail": 0.0}, "long_tail: expected a number above 0 and at most 1, got 0.0"),
        ({"validation": -1}, "validation: expected a whole number from 0, got -1"),
        ({"std": (1, 0, 1)}, "std: expected numbers above 0 and at most 1, since pixels are from"),
        ({"std": (0.2, 63, 1)}, "got (0.2, 63, 1)"),
        ({"mean": (125, 0, 0)}, "mean: expected numbers from 0 to 1, since pixels are, got (125,"),
        ({"mean": (float("nan"), 0, 0)}, "mean: expected numbers from 0 to 1"),
        ({"optimizer": "Foo"}, "optimizer and schedule of tiny: "),
        ({"optimizer_options": {"foo": 1}}, "optimizer and schedule of tiny: "),
        ({"schedule": "Foo"}, "optimizer and schedule of tiny: "),
        ({"schedule": "StepLR"}, "optimizer and schedule of tiny: "),
        ({"schedule_every": "day"}, "schedule_every: expected one of epoch, step, got day"),
        (
            {"schedule": "ReduceLROnPlateau", "schedule_every": "step"},
            "schedule_every: expected epoch, after which the loss",
        ),
        ({"reduction": "none"}, "reduction: expected one of mean, sum, got none"),
        ({"reduction": "sum", "l2": 1.0}, "reduction: expected mean with focal_loss or l2"),
        ({"label_smoothing": 1.5}, "label_smoothing: expected a number from 0 to 1, got 1.5"),
        ({"label_smoothing": 0.1, "loss": "focal_loss"}, "label_smoothing: expected 0 with focal_"),
        ({"whiten": -1}, "whiten: expected a whole number from 0, got -1"),
        ({"groups": {"a": ParameterGroup("*", lr=-1.0)}}, "groups: expected finite rates above 0"),
        ({"groups": {"a": ParameterGroup("*", epochs=0)}}, "groups: expected epochs from 1"),
        (
            {"groups": {"a": ParameterGroup("*", "Foo")}},
            "optimizer and schedule of group a of tiny: ",
        ),
        (
            {"groups": {"a": ParameterGroup("*")}, "restarts": ((1, 0.1),)},
            "restarts: expected none beside groups",
        ),
        (
            {"schedule": "PiecewiseLinear", "schedule_options": {"points": ((1, 1), (1, 0))}},
            "optimizer and schedule of tiny: points: expected rising epochs and factors",
        ),
        (
            {"schedule": "PiecewiseLinear", "schedule_options": {"points": 3}},
            "optimizer and schedule of tiny: points: expected pairs (epoch, factor), got 3",
        ),
        (
            {"schedule": "PiecewiseLinear"},
            "optimizer and schedule of tiny: PiecewiseLinear takes points, got nothing",
        ),
    ],
)
def test_recipes_that_cannot_be(changes, text):
    refuses(UserError, text, lambda: dataclasses.replace(tiny.RECIPE, **changes))


ONE_CYCLE = {"schedule": "OneCycleLR", "schedule_options": {"max_lr": 0.1, "total_steps": 4}}


@pytest.mark.parametrize("every", ["epoch", "step"])
def test_a_schedule_must_last_as_long_as_the_run(every):
    recipe = dataclasses.replace(tiny.RECIPE, epochs=4, **ONE_CYCLE, schedule_every=every)
    recipe.check_rates(5)
    dataclasses.replace(recipe, epochs=8, restarts=((4, 0.1), (9, 0.1))).check_rates(5)
    text = "schedule_options: expected rates for 5 epochs of 5 steps, got a OneCycleLR that ends"
    refuses(UserError, text, lambda: dataclasses.replace(recipe, epochs=5).check_rates(5))
    groups = {"a": ParameterGroup("*", schedule_options={"max_lr": 0.1, "total_steps": 3})}
    grouped = dataclasses.replace(recipe, groups=groups)
    refuses(
        UserError,
        "groups.a.schedule_options: expected rates for 4 epochs",
        lambda: grouped.check_rates(5),
    )
    small = {"max_lr": 0.1, "epochs": 4, "steps_per_epoch": 2}
    short = dataclasses.replace(recipe, schedule_options=small, schedule_every="step")
    refuses(UserError, "8 steps are done", lambda: short.check_rates(5))


def test_a_run_whose_schedule_is_too_short_is_not_begun(tmp_path, monkeypatch):
    tiny.install(monkeypatch.setattr)
    text = "schedule_options: expected rates for 5 epochs of 5 steps, got a OneCycleLR that ends"
    refuses(
        UserError, text, lambda: train.run(tiny.settings(tmp_path / "run", epochs=5, **ONE_CYCLE))
    )
    assert not (tmp_path / "run").exists()


@given(st.sampled_from(recipes.names()), st.integers(1, 300), st.integers(1, 300))
def test_going_on_is_as_if_so_many_epochs_had_been_asked_for(name, first, then):
    own = recipes.load(name)
    found = recipes.continued(own.lasting(first), then)
    assert recipes.plain(found) == recipes.plain(own.lasting(then))


def test_a_schedule_of_its_own_goes_on_in_proportion():
    own = recipes.load("four-block")
    then = dataclasses.replace(own, schedule_options={"T_max": 5})
    assert recipes.continued(then, 20).schedule_options == {"T_max": 10}


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"epochs": 12},
        {"lr": 0.5, "epochs": 10},
        {"epochs": 12, "schedule_options": {"T_max": 10}},
        {"schedule": None},
    ],
)
def test_changes_make_the_recipe_again(given):
    settings = Settings("four-block", overrides=given)
    recipe = train.checked_recipe(settings)
    again = dataclasses.replace(settings, overrides=recipes.changes(recipe))
    assert train.checked_recipe(again) == recipe


@pytest.mark.parametrize("option", ["every", "decay", "power"])
def test_lookaheads_that_cannot_be(option):
    refuses(UserError, f"lookahead.{option}: expected ", lambda: Lookahead(**{option: -1}))
