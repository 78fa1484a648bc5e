"""A run's record as recipe and folder again, and a recipe that goes on for more epochs."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cifar import metadata, recipes
from cifar.errors import UserError
from cifar.results import records
from cifar.training import train
from tests.cifar.datasets import tiny_cifar10
from tests.common import refuses


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_comes_back_from_json(name):
    recipe = recipes.load(name)
    again = records.recipe(json.loads(json.dumps(dataclasses.asdict(recipe))))
    assert records.plain(again) == records.plain(recipe)
    assert again.augmentation == recipe.augmentation
    assert records.changes(again) == {}


def test_a_recipe_that_cannot_be():
    stored = records.plain(recipes.load("simple"))
    refuses(UserError, "recipe: expected one of ", lambda: records.recipe(stored | {"name": "x"}))
    refuses(UserError, "set: lr: expected a number", lambda: records.recipe(stored | {"lr": "x"}))
    refuses(UserError, "set: expected one of ", lambda: records.recipe(stored | {"novel": 1}))


@given(st.sampled_from(recipes.names()), st.integers(1, 300), st.integers(1, 300))
def test_going_on_is_as_if_so_many_epochs_had_been_asked_for(name, first, then):
    own = recipes.load(name)
    found = records.continued(records.recipe(records.plain(own.lasting(first))), then)
    assert records.plain(found) == records.plain(own.lasting(then))


def test_a_schedule_of_its_own_goes_on_in_proportion():
    own = recipes.load("four-block")
    then = dataclasses.replace(own, schedule_options={"T_max": 5})
    assert records.continued(then, 20).schedule_options == {"T_max": 10}


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
    settings = train.Settings("four-block", overrides=given)
    recipe = train.checked_recipe(settings)
    again = dataclasses.replace(settings, overrides=records.changes(recipe))
    assert train.checked_recipe(again) == recipe


@pytest.mark.parametrize("name", ["plain", "with space", "ü%41", "\udcff", "a\nb"])
def test_a_folder_comes_back_from_its_note(tmp_path, monkeypatch, capsys, name):
    tiny_cifar10.install(monkeypatch.setattr)
    folder = tiny_cifar10.write(tmp_path / name)
    monkeypatch.chdir(folder)
    noted = records.folder_to_note(Path("."))
    assert metadata._is_plain(noted)
    assert noted.isascii()
    assert records.data_dir({"data_dir": noted}) == os.fspath(folder)
    assert capsys.readouterr().err == ""
    (folder / "test_batch").unlink()
    assert records.data_dir({"data_dir": noted}) is None
    assert capsys.readouterr().err == (
        f"note: CIFAR-10 is no longer in {noted[:120]}, where the run found it\n"
    )


@pytest.mark.parametrize("noted", [None, 3, "", "relative", "/%00", "/" + "x" * 5000, "~x", "/dev"])
def test_notes_that_name_no_folder(noted):
    assert records.data_dir({"data_dir": noted}) is None
