"""Each recipe names a model and an optimiser that exist, and holds the study's numbers."""

from __future__ import annotations

import dataclasses
import importlib
import json
import re
from pathlib import Path

import pytest

import minigrad as mg
from cifar import models, recipes
from cifar.errors import UserError
from tests.common import refuses

MOMENTUM = {"momentum": 0.9, "weight_decay": 5e-4}
LONG_TAIL = {"model": "resnet-32", "epochs": 10, "long_tail": 0.01}
SPEED = {
    "whiten": 5000,
    "drop_last": True,
    "reduction": "sum",
    "label_smoothing": 0.2,
    "tta": True,
    "schedule_every": "step",
    "mean": (0.4914, 0.4822, 0.4465),
    "std": (0.2470, 0.2435, 0.2616),
}
# What each study fixes.
STUDIES = {
    "simple": {
        "model": "simple",
        "epochs": 10,
        "batch_size": 64,
        "optimizer": "Adam",
        "lr": 1e-3,
        "optimizer_options": {"weight_decay": 1e-4},
        "schedule": None,
        "claim": {"train_accuracy": 0.7714, "test_accuracy": 0.7763},
    },
    "four-block": {
        "model": "four-block",
        "epochs": 10,
        "batch_size": 32,
        "optimizer": "SGD",
        "lr": 0.01,
        "optimizer_options": MOMENTUM,
        "claim": {"test_accuracy": 0.8201},
    },
    "long-tail-ce": {**LONG_TAIL, "loss": "cross_entropy", "claim": {"test_accuracy": 0.3480}},
    "long-tail-cb-focal": {
        **LONG_TAIL,
        "loss": "focal_loss",
        "class_balance": 0.9999,
        "claim": {"test_accuracy": 0.3648},
    },
    "dense-residual": {
        "model": "dense-residual",
        "epochs": 35,
        "batch_size": 64,
        "optimizer": "Adam",
        "lr": 3e-4,
        "optimizer_options": {"eps": 1e-7},
        "restarts": ((20, 1e-4), (30, 5e-5)),
        "l2": 1e-4,
        "validation": 10_000,
        "augmentation": {
            "crop": 0,
            "flip": True,
            "alternating": False,
            "rotation": 15,
            "shift": 0.1,
            "fill": "edge",
            "interpolation": "bilinear",
        },
        "mean": (0, 0, 0),
        "std": (1, 1, 1),
        "claim": {"validation_accuracy": 0.8915, "test_accuracy": 0.8874, "test_loss": 0.5771},
    },
    "gated": {
        "model": "gated",
        "epochs": 50,
        "batch_size": 128,
        "optimizer": "RMSprop",
        "lr": 1e-3,
        "optimizer_options": {"alpha": 0.99, "eps": 1e-8},
        "schedule": "ReduceLROnPlateau",
        "schedule_options": {"factor": 0.1, "patience": 5},
        "mean": (0.5, 0.5, 0.5),
        "std": (0.5, 0.5, 0.5),
        "claim": {"train_accuracy": 0.9036, "test_accuracy": 0.8733},
    },
    "resnet-82": {
        "model": "resnet-82",
        "epochs": 200,
        "batch_size": 128,
        "optimizer": "SGD",
        "lr": 0.01,
        "optimizer_options": MOMENTUM,
        "schedule": "CosineAnnealingLR",
        "schedule_options": {"T_max": 200},
        "mean": (0.4914, 0.4822, 0.4465),
        "std": (0.2023, 0.1994, 0.2010),
        "claim": {"train_accuracy": 0.9992, "test_accuracy": 0.9460},
    },
    "speed-94": {
        **SPEED,
        "model": "speed-94",
        "epochs": 8,
        "batch_size": 2000,
        "lookahead": None,
        "claim": {"test_tta_accuracy": 0.9401},
    },
    "speed-95": {
        **SPEED,
        "model": "speed-95",
        "epochs": 15,
        "batch_size": 1024,
        "lookahead": {"every": 5, "decay": pytest.approx(0.7737809375), "power": 3},
        "claim": {"test_tta_accuracy": 0.9501},
    },
}


def test_every_recipe_is_tested():
    assert set(recipes.names()) == set(STUDIES)


@pytest.mark.parametrize("name", STUDIES)
def test_numbers_of_the_study(name):
    recipe = recipes.load(name)
    assert recipe.name == name
    found = dataclasses.asdict(recipe)
    assert {k: found[k] for k in STUDIES[name]} == STUDIES[name]


def model_name(pattern):
    """A name that matches it."""
    return pattern.replace("*", "layers").replace("?", "1")


@pytest.mark.parametrize("name", recipes.names())
def test_it_can_be_run(name):
    recipe = recipes.load(name)
    assert recipe.model in models.names()
    names = [model_name(g.parameters) for g in recipe.groups.values()]
    parameters = {name: mg.nn.Parameter(mg.zeros(1, 1)) for name in ("x.weight", *names)}
    optimizer = recipe.make_optimizer(parameters, 5)
    assert len(optimizer.members) == 1 + len(names)
    assert optimizer.param_groups[0]["lr"] <= recipe.lr
    assert recipe.loss in ("cross_entropy", "focal_loss")
    assert all(0 <= m <= 1 for m in recipe.mean)
    assert all(0 < s <= 1 for s in recipe.std)


def by_definition(name):
    """Rate and weight decay of each kind of parameter by step, as the paper's code has them."""
    if name == "speed-94":
        steps, warm = 8 * 25, 3 * 25
        for t in range(steps):
            fall = 1 - t / steps
            bias, head = 0.053 * fall, 0.67 * fall
            yield {
                "layers.1.conv1.weight": (0.24 * fall, 0),
                "whiten.bias": (0.053 * max(0, 1 - t / warm), 0.004 / 0.053),
                "layers.1.norm2.bias": (bias, 0.004 / 0.053),
                "head.weight": (head, 0.004 / 0.67),
            }
        return
    steps = 15 * 48
    peak = int(0.23 * steps)
    rate, decay = 10 / (1024 * (1 + 1 / 0.15)), 0.0153 * 1024 / (1024 * (1 + 1 / 0.15))
    for t in range(steps):
        share = t / peak if t < peak else (t - peak) / (steps - peak)
        f = 0.2 * (1 - share) + share if t < peak else 1 - share + 0.07 * share
        own = (rate * f, decay / rate)
        yield dict.fromkeys(("layers.1.conv1.weight", "whiten.bias", "head.weight"), own) | {
            "layers.1.norm2.bias": (64 * rate * f, decay / (64 * rate))
        }


@pytest.mark.parametrize(("name", "images"), [("speed-94", 50_000), ("speed-95", 50_000)])
def test_rates_of_every_step(name, images):
    recipe = recipes.load(name)
    expected = list(by_definition(name))
    parameters = {k: mg.nn.Parameter(mg.zeros(1, 1)) for k in expected[0]}
    optimizer = recipe.make_optimizer(parameters, images // recipe.batch_size)
    of = {id(p): k for k, p in parameters.items()}
    for wanted in expected:
        found = {
            of[id(p)]: (group["lr"], group["weight_decay"])
            for group in optimizer.param_groups
            for p in group["params"]
        }
        assert found.keys() == wanted.keys()
        for key, pair in wanted.items():
            assert found[key] == pytest.approx(pair, rel=1e-9, abs=1e-15), key
        optimizer.step_schedules()


def changed(recipe, **changes):
    return dataclasses.replace(recipes.load(recipe), **changes)


def test_the_studys_way():
    found = {name: recipes.course(changed(name)) for name in recipes.names()}
    assert {name: set(course) for name, course in found.items() if course} == {
        "resnet-82": {1, 50, 100},
        "dense-residual": {20, 30},
    }
    assert found["resnet-82"][1] == {"train_accuracy": 0.2791, "test_accuracy": 0.5060}
    for name in ("resnet-82", "dense-residual"):
        for line in found[name].values():
            assert line.keys() <= recipes.load(name).claim.keys()
    assert recipes.course(changed("resnet-82", name="another")) == {}


def test_another_schedule_goes_another_way():
    assert recipes.course(changed("resnet-82", epochs=50))  # the first of two hundred
    assert recipes.course(changed("resnet-82", epochs=50, schedule_options={"T_max": 50})) == {}
    assert recipes.course(changed("dense-residual", restarts=())) == {}


@pytest.mark.parametrize(
    ("name", "epochs", "options", "restarts"),
    [
        ("four-block", 12, {"T_max": 12}, ()),
        ("resnet-82", 1, {"T_max": 1}, ()),
        ("long-tail-ce", 5, {"milestones": (3, 4), "gamma": 0.1}, ()),
        ("long-tail-ce", 100, {"milestones": (60, 80), "gamma": 0.1}, ()),
        ("long-tail-ce", 1, {"milestones": (1, 1), "gamma": 0.1}, ()),
        ("gated", 5, {"factor": 0.1, "patience": 5}, ()),
        ("dense-residual", 70, {}, ((40, 1e-4), (60, 5e-5))),
        ("dense-residual", 2, {}, ((1, 1e-4), (2, 5e-5))),
    ],
)
def test_a_schedule_follows_the_epochs(name, epochs, options, restarts):
    recipe = recipes.load(name)
    found = recipe.lasting(epochs)
    expected = dataclasses.replace(
        recipe, epochs=epochs, schedule_options=options, restarts=restarts
    )
    assert found == expected
    assert recipe.lasting(recipe.epochs) is recipe


def test_no_schedule_acts_before_the_first_epoch():
    early = {"milestones": (0, 1, 8)}
    recipe = dataclasses.replace(recipes.load("long-tail-ce"), schedule_options=early)
    assert recipe.lasting(1).schedule_options == {"milestones": (0, 1, 1)}


def test_recipes_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipes.load("simple").lr = 1.0


@pytest.mark.parametrize("restarts", [((-1, 0.1),), ((0, 0.1), (1, -5.0)), ((1, float("inf")),)])
def test_restarts_that_cannot_be(restarts):
    text = "restarts: expected epochs from 0, each with a finite rate above 0, got ("
    recipe = recipes.load("simple")
    refuses(UserError, text, lambda: dataclasses.replace(recipe, restarts=restarts))


def test_unknown_recipe():
    refuses(UserError, "recipe: expected one of ", lambda: recipes.load("nonesuch"))


RESULTS = Path(__file__).parents[3] / "benchmarks/results"


@pytest.mark.parametrize("name", recipes.names())
def test_a_recipe_opens_with_the_claim_and_what_was_measured(name):
    opening = importlib.import_module(f"cifar.recipes.studies.{name.replace('-', '_')}").__doc__
    line, _, rest = opening.partition("\n")
    claim = recipes.load(name).claim
    metric = "test_accuracy" if "test_accuracy" in claim else "test_tta_accuracy"
    assert f"{100 * claim[metric]:.2f} %" in line
    (file,) = re.findall(r"benchmarks/results/(\S+\.json)", rest)
    measured = json.loads((RESULTS / file).read_text("utf-8"))
    assert measured["recipe"] == name
    accuracy, runs = measured["final"][metric], len(measured["runs"])
    shown = f"{100 * accuracy['mean']:.2f}"
    shown += f" ± {100 * accuracy['std']:.2f} % measured over {runs} seeds" if runs > 1 else " %"
    assert shown in line
