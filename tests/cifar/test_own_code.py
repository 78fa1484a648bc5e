"""Recipes and models in a person's own files; a run that was downloaded executes nothing."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import pytest

import minigrad as mg
from cifar import cli, models, own_code, recipes
from cifar.errors import UserError
from cifar.own_code import Source
from cifar.results import evaluate
from tests.cifar import tiny
from tests.common import refuses

MODEL = """
from minigrad import nn
from pathlib import Path

Path("ran").touch()


def create(num_classes):
    return nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(192, num_classes))


def wide(num_classes, image_size):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * image_size**2, num_classes))
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("cifar.datasets.load", tiny.load)
    Path("net.py").write_text(MODEL)
    return tmp_path


def call(words, code=0):
    assert cli.main(words.split()) == code


def source(text, function="create"):
    return Source("x.py", function, text, hashlib.sha256(text.encode()).hexdigest())


TRAIN = "train simple --set model=./net.py:wide --epochs 1 --out run --device cpu"


def test_a_model_by_path_is_trained_and_used_without_its_file(here, capsys):
    call(TRAIN)
    record = evaluate.load("run").record
    assert record.recipe.model == "./net.py:wide"
    assert (record.source.function, record.source.text) == ("wide", MODEL)
    assert record.source.sha256 == hashlib.sha256(MODEL.encode()).hexdigest()
    assert Path("run/model.py").read_text() == MODEL
    Path("net.py").unlink()
    call("verify run")
    call("evaluate run")
    call("export run x.safetensors")
    call("train --resume --out run --epochs 2")
    assert "on 30 images" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command",
    ["evaluate run", "predict run x.png", "verify run", "export run x.pt", "train --resume"],
)
def test_a_downloaded_run_executes_nothing_unasked(here, capsys, command, monkeypatch):
    call(TRAIN)
    Path("ran").unlink()
    monkeypatch.setenv("HOME", str(here / "elsewhere"))  # another person's
    capsys.readouterr()
    command += " --out run" * ("train" in command)
    call(command, 2)
    assert "which has not been used on this machine" in capsys.readouterr().err
    assert not Path("ran").exists()


def test_a_person_may_name_the_code_but_no_other(here, capsys, monkeypatch):
    call(TRAIN)
    monkeypatch.setenv("HOME", str(here / "elsewhere"))
    Path("run/model.py").write_text(MODEL + "#")
    call("evaluate run --model run/model.py:wide", 2)
    assert "is not what the run was trained with" in capsys.readouterr().err
    call("evaluate run --model net.py:create", 2)  # another function
    call("evaluate run --model net.py:wide")
    call("evaluate run")  # it was named before


def test_a_recipe_by_path(here, capsys):
    call("new-recipe my_recipe.py")
    call("new-recipe my_recipe.py", 2)
    assert "my_recipe.py exists" in capsys.readouterr().err
    recipe = recipes.load("my_recipe.py")
    assert (recipe.name, recipe.model) == ("my_recipe.py", str(Path("my_recipe.py:create")))
    call("train ./my_recipe.py --epochs 1 --lr 0.01")
    (here / "my_recipe.py").unlink()
    call("verify runs/my_recipe-seed0")
    call("train --resume --out runs/my_recipe-seed0 --epochs 2")
    record = evaluate.load("runs/my_recipe-seed0", last=True).record
    assert (record.recipe.epochs, record.recipe.lr) == (2, 0.01)
    assert record.recipe.schedule_options == {"T_max": 2}
    call("report runs")
    assert "my_recipe.py (epochs=2, lr=0.01" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "there is no function create in x.py"),
        ("1 / 0", "x.py: ZeroDivisionError: division by zero"),
        ("def create(num_classes): return 3", "expected a minigrad.nn.Module, got int"),
        (MODEL.replace("192", "191"), "does not make 10 logits of images of 32 x 32: ValueError"),
        (
            MODEL.replace("192, num_classes", "192, 7"),
            "expected logits of shape (1, 10), got (1, 7)",
        ),
    ],
)
def test_code_that_makes_no_model(here, text, message):
    refuses(UserError, message, lambda: own_code.make_model(source(text), 10, 0, 32))


def test_the_same_seed_gives_the_same_weights(here):
    one, two, other = (own_code.make_model(source(MODEL), 3, seed, 32) for seed in (1, 1, 2))
    weights = [mg.checkpoint.digest(model.state_dict()) for model in (one, two, other)]
    assert weights[0] == weights[1] != weights[2]
    assert one.training


def test_files_that_are_no_recipe_or_source(here):
    refuses(UserError, "net.py does not define RECIPE", lambda: recipes.load("./net.py"))
    refuses(UserError, "nothing.py", lambda: recipes.load("nothing.py"))
    refuses(UserError, "the name of a function", lambda: own_code.read("net.py:a b"))
    Path("latin.py").write_bytes(b"\xff")
    refuses(UserError, "not a Python file in UTF-8", lambda: own_code.read("latin.py"))
    refuses(UserError, "model: expected one of", lambda: models.create("net.py:create"))
    good = source(MODEL)
    for change, what in (("text", "sha256"), ("sha256", "sha256"), ("function", "function")):
        with pytest.raises(ValueError, match=what):
            dataclasses.replace(good, **{change: "a/b"})
