"""What a search is asked to be: defaults, and what is out of range."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

from cifar.errors import UserError
from cifar.search import request
from cifar.search.request import Plan, Settings
from tests.common import refuses


def test_where_things_are():
    settings = Settings("spaces/mine.toml")
    assert str(settings.folder) == "runs/search-mine"
    assert settings.place_of_storage == "runs/search-mine/study.journal"
    settings = dataclasses.replace(settings, out="x", storage="postgresql+psycopg://h/n")
    assert (str(settings.folder), settings.place_of_storage) == ("x", settings.storage)


def test_a_plan_goes_through_json():
    """As a study holds it."""
    plan = request.plan(Settings("resnet", seed=3, set=("subset=500",)))
    assert plan.name == "resnet"
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan


@pytest.mark.parametrize(("name", "value"), [("trials", 0), ("max_retry", -1), ("seed", -1)])
def test_out_of_range(name, value):
    settings = dataclasses.replace(Settings("resnet"), **{name: value})
    refuses(UserError, f"{name}: expected a whole number", lambda: request.plan(settings))
