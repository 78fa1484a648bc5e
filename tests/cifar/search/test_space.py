"""Spaces: what a trial draws, and what is said of a file that is none."""

from __future__ import annotations

import optuna
import pytest

from cifar import models, recipes
from cifar.errors import UserError
from cifar.search import space
from tests.cifar.search.conftest import SPACE
from tests.common import refuses


def drawn(found, seed):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    return found.draw(study.ask())


@pytest.mark.parametrize("name", space.names())
def test_what_ships_makes_networks(name):
    found = space.load(name)
    for seed in range(4):
        recipe = found.recipe_of(drawn(found, seed))
        stages = {len(recipe.model_options[k]) for k in ("blocks", "channels", "kernel_sizes")}
        assert len(stages) == 1
        assert recipe.validation > 0
        assert recipe.epochs == recipe.schedule_options["T_max"] == found.epochs
        if max(recipe.model_options["channels"]) <= 64:
            model = models.create(recipe.model, 10, **recipe.model_options)
            assert sum(p.numel() for p in model.parameters()) > 1000


def test_the_shipped_space_is_the_studys():
    found = space.load("resnet")
    assert (found.recipe, found.max_parameters) == ("resnet-82", 5_000_000)
    assert set(found.dimensions) == {
        "stages", "blocks", "channels", "kernel_sizes", "shortcut_kernel", "pooling", "pooled",
        "lr", "weight_decay", "batch_size", "crop", "rotation",
    }  # fmt: skip


def test_a_list_has_a_value_for_each(tmp_path):
    (tmp_path / "x.toml").write_text(SPACE)
    found = space.load(str(tmp_path / "x.toml"), 7, ("subset=50", "augmentation.rotation=0"))
    params = {"stages": 2, "blocks.1": 1, "blocks.2": 1, "channels.1": 4, "channels.2": 12}
    trial = optuna.trial.FixedTrial(params | {"kernel_sizes.1": 3, "kernel_sizes.2": 3, "lr": 1e-2})
    values = found.draw(trial)
    options = {"blocks": [1, 1], "channels": [4, 12], "kernel_sizes": [3, 3]}
    assert values == {f"model_options.{k}": v for k, v in options.items()} | {"lr": 1e-2}
    recipe = found.recipe_of(values)
    assert (recipe.model_options, recipe.lr, recipe.epochs) == (options, 1e-2, 7)
    assert recipe.subset == 50
    own = recipes.load("resnet-82").augmentation
    assert (recipe.augmentation.crop, recipe.augmentation.rotation) == (1, 0)
    assert recipe.augmentation.flip == own.flip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("low = 1e-3", "low = 'x'"), "space.lr.low: expected `float`, got `str`"),
        (("low = 1e-3", "low = 1"), "space.lr: low: expected at most high, 0.1, got 1"),
        (("low = 1e-3", "low = 0"), "lr: low: expected a number above 0 for log = true, got 0"),
        (("log = true", "log = true\nstep = 0.1"), "step: expected none beside log = true"),
        (("log = true", "lag = true"), "space.lr: object contains unknown field `lag`"),
        (('"float"', '"real"'), "lr.type: expected one of int, float, categorical, got 'real'"),
        (("[2, 4, 12]", "[]"), "space.channels.choices: expected `array` of length >= 1"),
        (("[2, 4, 12]", "[[2]]"), "space.channels.choices[0]: expected `bool | int | float | str`"),
        (('each = "stages"', 'each = "x"'), "space.blocks.each: expected the name of a whole"),
        (("[space.lr]", "[space.learning]"), "expected one of model, epochs, batch_size"),
        (("[space.lr]", '[space.lr]\nfield = "epochs"'), "epochs: is the same in all trials"),
        (("max_parameters = 2_500", "max_parameters = 0"), "max_parameters: expected `int` >= 1"),
        (("epochs = 2", "epocs = 2"), "object contains unknown field `epocs`"),
        (('"resnet-82"', '"x"'), "recipe: expected one of"),
        (("validation = 40", "validation = 0"), "validation: expected training images to hold"),
        (("crop = 1", "crop = -1"), "crop: expected a whole number of pixels"),
        (("[space.stages]", "[space.stages"), "x.toml: "),
    ],
)
def test_a_bad_entry_is_named(tmp_path, change, message):
    file = tmp_path / "x.toml"
    assert change[0] in SPACE
    file.write_text(SPACE.replace(*change, 1))
    refuses(UserError, message, lambda: space.load(str(file)))


def test_no_such_space():
    refuses(UserError, "space: expected FILE.toml or one of resnet", lambda: space.load("x"))
    refuses(UserError, "space: x.toml", lambda: space.load("x.toml"))
    refuses(UserError, "epochs: expected at least 1, got 0", lambda: space.load("resnet", 0))
    for given, message in (
        ("lr=1", "set: lr is drawn by the space"),
        ("x=1", "expected one of"),
        ("epochs=7", "epochs: is the same in all trials of the space"),
    ):
        refuses(UserError, message, lambda given=given: space.load("resnet", None, (given,)))
