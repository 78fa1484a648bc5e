"""``cifar recipes``, ``models`` and ``augment`` show what the studies train."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from PIL import Image

from cifar import cli, models, recipes, summary
from cifar.results import plots
from tests.cifar import tiny
from tests.cifar.cli.calls import assert_one_error, said


def test_recipes(capsys):
    lines = said(capsys, "recipes").splitlines()
    assert [line.split()[0] for line in lines[2:]] == list(recipes.names())
    row = next(line for line in lines if line.startswith("simple "))
    for part in ("6,447,754", "Adam", "0.001", "train accuracy 77.14 %", "test accuracy 77.63 %"):
        assert part in row


@pytest.mark.parametrize("name", recipes.names())
def test_a_recipe(capsys, name):
    lines = said(capsys, f"recipes {name}").splitlines()
    fields = [field.name for field in dataclasses.fields(recipes.Recipe)]
    assert [line.split()[0] for line in lines[2:]] == fields


def test_models(capsys):
    lines = said(capsys, "models").splitlines()
    assert [line.split()[0] for line in lines[2:]] == list(models.names())
    row = next(line.split() for line in lines if line.startswith("resnet-32 "))
    assert row[1:] == ["464,154", "2,272", "69,165,696", "1.9"]


def test_a_model(capsys):
    lines = said(capsys, "models simple").splitlines()
    found = summary.summarize(models.create("simple"))
    assert len(lines) == 2 + len(found.layers) + 2
    assert lines[2].split() == [
        "0",
        "Conv2d",
        "3×3",
        *["32", "×", "30", "×", "30"],
        "896",
        "777,600",
    ]
    assert lines[-2].split() == ["total", "6,447,754", f"{found.multiply_adds:,}"]
    assert lines[-1].startswith("6,447,946 values with")


def test_a_contact_sheet(small, here, capsys):
    out = said(capsys, "augment tiny --set augmentation.rotation=15")
    assert out == "crop 1 px, flip, rotation ±15°, fill zero, nearest: augmentation-tiny.png\n"
    drawn = []
    small.setattr(plots, "augmentations", lambda *given, seed: drawn.append((*given, seed)))
    said(capsys, "augment tiny --seed 3 --out x.png")
    data, *rest = drawn[0]
    assert data.split == "train"
    title = "tiny on synthetic training images, seed 3"
    assert rest == [tiny.RECIPE.augmentation, title, Path("x.png"), 3]
    with Image.open("augmentation-tiny.png") as picture:
        picture.load()


def test_a_contact_sheet_that_cannot_be_written(small, here, capsys):
    code = cli.main(["augment", "tiny", "--out", "nowhere/x.png"])
    said = "out: cannot write nowhere/x.png: No such file or directory"
    assert_one_error(code, capsys.readouterr(), said)
