"""The best trial: the test set is looked at once, and its recipe is one that trains."""

from __future__ import annotations

import dataclasses

import pytest

from cifar import recipes
from cifar.errors import UserError
from cifar.results import evaluate
from cifar.search import winner
from cifar.search.live import ranked
from cifar.search.worker import work
from tests.cifar.search.conftest import opened, write_world
from tests.common import refuses


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    settings = dataclasses.replace(write_world(tmp_path_factory.mktemp("winner")), trials=2)
    work(settings)
    return settings


def test_the_test_set_is_looked_at_once(searched, monkeypatch):
    study, looked = opened(searched), []
    run = evaluate.run
    monkeypatch.setattr(evaluate, "run", lambda settings: looked.append(settings) or run(settings))
    winner.evaluate_once(study, searched)
    best = ranked(study.all())[0]
    found = winner.tested(study, best)
    winner.evaluate_once(opened(searched), searched)
    study.note(winner.TEST, None)  # killed before it was noted
    winner.evaluate_once(study, searched)
    assert winner.tested(study, best) == found
    assert (found["number"], found["images"]) == (best.number, 20)
    assert [one.run for one in looked] == [str(study.folder(best.number))]
    assert looked[0].last
    assert looked[0].split == "test"


def test_the_recipe_is_the_trials(searched, tmp_path):
    study = opened(searched)
    best = ranked(study.all())[0]
    winner.write_recipe(study, best, tmp_path / "best.py")
    found = recipes.load(str(tmp_path / "best.py"))
    trained = winner.recipe_of(study, best)
    assert (found.epochs, found.name, found.subset) == (200, "best.py", 0)
    assert found.schedule_options == {"T_max": 200}
    same = dataclasses.replace(found.lasting(2), name=trained.name, claim=trained.claim)
    assert same == trained
    assert found.lr == best.params["lr"]


def test_any_recipe_can_be_written(searched, tmp_path, monkeypatch):
    """With parameter groups and a lookahead; with a model of the user's own."""
    study = opened(searched)
    best = ranked(study.all())[0]
    for name in recipes.names():
        recipe = recipes.load(name)
        (tmp_path / "best.py").write_text(winner.source(recipe, study, best))
        found = recipes.load(str(tmp_path / "best.py"))
        assert dataclasses.replace(found, name=name) == recipe
    monkeypatch.chdir(tmp_path)
    own = dataclasses.replace(recipes.load("simple"), model="./mine.py:create")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "best.py").write_text(winner.source(own, study, best))
    assert recipes.load("out/best.py").model == f"{tmp_path}/mine.py:create"


def test_a_trial_of_another_space(searched):
    study = opened(searched)
    one = study.all()[0]
    one.params = {}
    refuses(UserError, "trial 0 is not of its space", lambda: winner.recipe_of(study, one))
