"""Command lines of every kind, sensible or not: an exit code and at most one line on stderr."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import io
import itertools
import os
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cifar import cli, datasets, models, recipes
from cifar.results import plots
from cifar.search import search
from cifar.training import train
from cifar.twins import compare, timing
from tests.cifar import tiny

LOAD = datasets.load
WORDS = (
    "", " ", "-", "--", "-1", "0", "1", "2", "7", "1.5", "1e300", "-1e300", "nan", "inf", "9" * 30,
    "None", "true", "x", "ü€\u202e", "a\nb", "\x1b[2J", "\udcff", "x" * 5000, "~nobody-here",
    "/dev/null/x", "/proc/x", "tiny", "simple", "cpu", "gpu", "gpu:99", "gpu:x", "auto",
    "synthetic", "cifar10", "train", "test", "validation", "float32", "float64", "bf16",
    "run", "run/last.safetensors", "run/state.safetensors", "file", "folder", "x.npy", "x.png",
    "out.safetensors", "out.pt", "folder/out.onnx", "nowhere", "nowhere/out.pt",
)  # fmt: skip
VALUES = (
    "", "0", "1", "-1", "2", "31", "0.5", "1e300", "-1e-300", "NaN", "Infinity", "null", "true",
    "x", '"x"', "[]", "{}", "[[]]", "[1]", "1,1,1", "0,0,0", '{"a":1}', "[" * 3000, "9" * 30, "é\n",
)  # fmt: skip
LIKELY_VALUES = {
    "restarts": ("[[1,-5]]", "[[1,1e300]]", "[[0,0.1],[1,0.2]]", "[[-1,1]]", "[[1,0]]"),
    "optimizer": ("SGD", "RMSprop", "AdamW", "Optimizer", "lr_scheduler", "__name__"),
    "schedule": ("StepLR", "MultiStepLR", "CosineAnnealingLR", "ReduceLROnPlateau", "math"),
    "optimizer_options": (
        '{"betas":[0.9]}', '{"momentum":0.9,"nesterov":"x"}', '{"alpha":1e300}', '{"eps":1e300}',
        '{"weight_decay":1e300}', '{"momentum":1e300}', '{"maximize":"x"}', '{"centered":[1]}',
    ),
    "schedule_options": (
        '{"step_size":1,"gamma":1e300}', '{"step_size":1,"gamma":-1}', '{"threshold":"x"}',
        '{"milestones":[1],"gamma":"x"}', '{"T_max":1,"eta_min":"x"}',
        '{"T_max":1,"eta_min":1e300}', '{"patience":0,"cooldown":"x"}',
        '{"patience":0,"min_lr":"x"}',
        '{"patience":0,"eps":[]}',
    ),
    "augmentation": ('{"crop":99}', '{"rotation":1e9}', '{"shift":1,"fill":"edge"}'),
    "mean": ("1e300,0,0", "NaN,0,0"), "std": ("1e-300,1,1", "Infinity,1,1", "1e300,1,1"),
    "gamma": ("1e300", "0.5", "1"), "loss": ("focal_loss",), "l2": ("1e300", "1e-3"),
    "class_balance": ("0.999999999999999999", "1e-300", "0.9"), "validation": ("20", "79", "80"),
    "long_tail": ("1e-300", "0.1", "1"), "model": ("simple", "tiny"), "lr": ("1e300", "1e-300"),
    "epochs": ("3", "9999999999"), "batch_size": ("1", "79", "99999999999999"),
}  # fmt: skip
INNER = {
    "augmentation": ("crop", "flip", "rotation", "shift", "fill", "interpolation", "x", ""),
    "optimizer_options": ("momentum", "weight_decay", "betas", "eps", "nesterov", "x", ""),
    "schedule_options": ("step_size", "gamma", "patience", "factor", "min_lr", "x", ""),
}


FIELDS = [field.name for field in dataclasses.fields(recipes.Recipe)]


class Enough(Exception):
    """Training has gone on for long enough."""


# What a command line cannot hold, and what could lead out of the folder in which we write.
words = st.sampled_from(WORDS) | st.text(st.characters(exclude_characters="\0/."), max_size=8)


def seldom():
    """Whether something happens, one time in eight."""
    return st.integers(0, 7).map(lambda number: number == 7)


@st.composite
def assignments(draw):
    """FIELD=VALUE, mostly of a field there is and a value that might be its."""
    if draw(seldom()):
        return draw(words)
    field = draw(st.sampled_from(sorted(LIKELY_VALUES)) | st.sampled_from(FIELDS))
    values = VALUES if draw(seldom()) else LIKELY_VALUES.get(field, VALUES)
    if draw(seldom()):
        field, values = f"{field}.{draw(st.sampled_from(INNER.get(field, ('x',))))}", VALUES
    return f"{field}={draw(st.sampled_from(values))}"


@st.composite
def lines(draw):
    """A command and likely arguments for it, but for one or two."""
    if draw(seldom()):
        return draw(st.lists(words, max_size=4))
    name = draw(st.sampled_from([*sorted(cli.COMMANDS), "train", "train", "train"]))
    fields = [
        field
        for field in dataclasses.fields(cli.COMMANDS[name].settings)
        if field.name != "overrides"
    ]
    odd = draw(st.sets(st.sampled_from([field.name for field in fields]), max_size=2))
    odd = odd if draw(st.booleans()) else ()
    line = name.split()
    for field in fields:
        flag, likely = "--" + field.name.replace("_", "-"), LIKELY.get(field.name, ())
        values = words if field.name in odd else st.sampled_from(likely) if likely else None
        if field.name == "recipe" or field.default is field.default_factory is dataclasses.MISSING:
            line.append(draw(values))
        elif field.name == "set":
            for one in draw(st.lists(assignments(), max_size=3)):
                line += [flag, one]
        elif isinstance(field.default, bool):
            if draw(seldom()):
                line += [flag.replace("--", "--no-") if field.default else flag]
        elif field.name in odd or (values is not None and draw(seldom())):
            line += [flag, draw(values)]
    if draw(seldom()):
        line.insert(draw(st.integers(0, len(line))), draw(words))
    return line


LIKELY = {
    "recipe": ("tiny",),
    "space": ("resnet", "file"),
    "place": ("run", "file", "nowhere"),
    "epochs": ("1", "2", "3"),
    "batch_size": ("1", "16", "999999999999"),
    "lr": ("0.1", "1e-30", "1e30", "1e300"),
    "steps": ("1",),
    "dtype": ("float32",),
    "name": ("simple",),
    "device": ("cpu",),
    "seed": ("0", "9" * 30),
    "out": ("new", "run", "x.safetensors", "x.pt", "x.onnx"),
    "run": ("run", "run/best.safetensors"),
    "files": ("x.npy", "x.png"),
    "file": ("run/last.safetensors",),
    "folder": (".", "run"),
    "csv": ("x.csv",),
    "files_from": ("file", "x.npy"),
    "dataset": ("synthetic",),
    "split": ("test", "train"),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with a run and a few files."""
    place = tmp_path_factory.mktemp("lines") / "world"
    with pytest.MonkeyPatch.context() as patch:
        tiny.install(patch.setattr)
        train.run(tiny.settings(place / "run"))
    (place / "file").write_text("no run")
    (place / "folder").mkdir()
    data = tiny.load("", "test")
    np.save(place / "x.npy", data.images[:3])
    Image.fromarray(data.images[3].transpose(1, 2, 0)).save(place / "x.png")
    return place


def enough(*given, **options):
    raise Enough


def refuse(*given, **options):
    raise OSError(101, "Network is unreachable")


def draw_nothing(*given, **options):
    """In place of every picture, which takes most of a second each."""
    next(one for one in given if isinstance(one, Path)).touch()


def install(patch, here):
    """The tiny world, no CIFAR-10, no network, and no training of more than three epochs."""
    steps = itertools.count()

    def each_batch(number, images):
        return enough() if next(steps) == 3 * tiny.STEPS else images

    recipe, model, known = recipes.load, models.create, ("tiny", *models.names())

    def create(name, num_classes=10, seed=0, image_size=32):
        return (tiny.create if name in known else model)(name, num_classes, seed, image_size)

    def load(name, *more):
        return (tiny.load if name == "synthetic" else LOAD)(name, *more)

    tiny.install(patch.setattr, each_batch)
    patch.setattr(recipes, "load", lambda name: tiny.RECIPE if name == "tiny" else recipe(name))
    patch.setattr(models, "create", create)
    patch.setattr(datasets, "load", load)
    patch.setattr(datasets, "_announce_synthetic", lambda places: None)
    patch.setattr(socket, "socket", refuse)
    patch.setattr(timing, "measure_alone", enough)
    patch.setattr(compare, "make_sides", enough)
    patch.setattr(search, "search", enough)
    for name, value in vars(plots).items():
        if inspect.isfunction(value) and value.__module__.startswith(plots.__name__):
            draws = "path" in inspect.signature(value).parameters and inspect.unwrap(value) is value
            patch.setattr(plots, name, draw_nothing if draws else value)
    patch.setenv("HOME", str(here))
    patch.delenv("MINIGRAD_DATA", raising=False)
    patch.chdir(here)


def call(line, world):
    """The exit code of ``cifar LINE`` in a copy of the world, and what it wrote on stderr."""
    here = world.with_name("here")
    shutil.rmtree(here, ignore_errors=True)
    shutil.copytree(world, here)
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        install(patch, here)
        try:
            code = cli.main(line)
        except SystemExit as stop:
            code = stop.code
        except Enough:
            code = 0
    assert sorted(os.listdir(world.parent)) == ["here", "world"]
    return code, err.getvalue()


@settings(max_examples=int(os.environ.get("MINIGRAD_EXAMPLES", 30)))
@given(lines())
def test_whatever_the_command_line_is(world, line):
    code, err = call(line, world)
    told = [text for text in err.splitlines() if not text.startswith("note: ")]
    assert code in (0, 1, 2)
    assert len(told) == (code == 2)
    assert all(text.startswith("error: ") and len(text) > 15 for text in told)
