"""Each recipe names a model and an optimiser that exist, and holds the study's numbers."""

from __future__ import annotations

import dataclasses

import pytest

import minigrad as mg
from cifar import models, recipes
from cifar.errors import UserError
from tests.common import refuses

# What design §3 fixes of each study.
STUDIES = {
    "simple": {
        "model": "simple",
        "epochs": 10,
        "batch_size": 64,
        "optimizer": "Adam",
        "lr": 1e-3,
        "optimizer_options": {"weight_decay": 1e-4},
        "flip": True,
        "claim": {"train_accuracy": 0.7714, "test_accuracy": 0.7763},
    }
}


def test_every_recipe_is_tested():
    assert set(recipes.names()) == set(STUDIES)


@pytest.mark.parametrize("name", STUDIES)
def test_numbers_of_the_study(name):
    recipe = recipes.load(name)
    assert recipe.name == name
    found = dataclasses.asdict(recipe)
    assert {k: found[k] for k in STUDIES[name]} == STUDIES[name]


@pytest.mark.parametrize("name", recipes.names())
def test_it_can_be_run(name):
    recipe = recipes.load(name)
    assert recipe.model in models.names()
    p = mg.zeros(1, requires_grad=True)
    getattr(mg.optim, recipe.optimizer)([p], lr=recipe.lr, **recipe.optimizer_options)
    assert recipe.crop >= 0
    assert all(0 <= m <= 1 for m in recipe.mean)
    assert all(0 < s <= 1 for s in recipe.std)


def test_recipes_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipes.load("simple").lr = 1.0


def test_unknown_recipe():
    refuses(UserError, "recipe: expected one of ", lambda: recipes.load("nonesuch"))
