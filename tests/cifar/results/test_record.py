"""The record of a run comes back from JSON as it was, or a value of it is named."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from pathlib import Path

import pytest
from hypothesis import given

from cifar import metadata, recipes
from cifar.results.metrics import ClassRecall, EpochMetrics
from cifar.results.record import (
    Opening,
    Record,
    SavedRecord,
    decode,
    encode_path,
    find_folder,
    rounding_differences,
)
from tests.cifar import tiny
from tests.cifar.datasets import tiny_cifar10
from tests.cifar.fuzz import mutated
from tests.common import refuses

SAVED = SavedRecord(
    tiny.RECIPE,
    "synthetic",
    ("cat", "owl"),
    seed=3,
    images_per_class=(4, 2),
    versions={"numpy": "2.0"},
    metrics=EpochMetrics(1, lr=0.1, test_accuracy=0.5),
    opening=Opening([1.0, "nan"], "0" * 64),
    per_class={"cat": ClassRecall(0.5, 2)},
)


def parsed(note):
    return json.loads(json.dumps(note))


@pytest.mark.parametrize("name", recipes.names())
def test_a_record_comes_back(name):
    saved = dataclasses.replace(SAVED, recipe=recipes.load(name))
    again = decode(parsed(saved.as_note()), SavedRecord)
    assert parsed(again.as_note()) == parsed(saved.as_note())
    assert again.recipe.augmentation == saved.recipe.augmentation
    assert recipes.changes(again.recipe) == {}
    assert decode(parsed(saved.as_note()), Record).classes == ("cat", "owl")


@given(mutated(parsed(SAVED.as_note())))
def test_whatever_is_damaged_is_taken_or_refused_by_name(note):
    with contextlib.suppress(ValueError):
        found = decode(note, SavedRecord)
        assert len(found.describe()) < 200
        json.dumps(found.metrics and found.metrics.as_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"opening": {"losses": ["x"]}}, "opening: losses x"),
        ({"images_per_class": [-1]}, "images_per_class (-1,)"),
        ({"threads": 0}, "threads 0"),
        ({"metrics": {"epoch": 0}}, "metrics: epoch 0"),
        ({"metrics": {"epoch": 1, "test_accuracy": 2}}, "metrics: test_accuracy 2.0"),
        ({"per_class": {"cat": {"recall": "x"}}}, "per_class[...].recall: Expected `float`"),
        ({"classes": 3}, "classes: Expected `array`, got `int`"),
    ],
)
def test_what_is_wrong_is_named(changes, text):
    refuses(ValueError, text, lambda: decode(parsed(SAVED.as_note() | changes), SavedRecord))


def test_differences_that_decide_how_sums_are_rounded():
    other = dataclasses.replace(SAVED, threads=3, versions={"numpy": "2.1"}, machine="another")
    assert rounding_differences(SAVED, other) == ["versions {'numpy': '2.0'}, not {'numpy': '2.1'}"]
    assert rounding_differences(other, dataclasses.replace(other, threads=4)) == [
        "threads 3, not 4"
    ]


@pytest.mark.parametrize("name", ["plain", "with space", "ü%41", "\udcff", "a\nb"])
def test_a_folder_comes_back_from_its_note(tmp_path, monkeypatch, capsys, name):
    tiny_cifar10.install(monkeypatch.setattr)
    folder = tiny_cifar10.write(tmp_path / name)
    monkeypatch.chdir(folder)
    noted = encode_path(Path("."))
    assert metadata._is_plain(noted)
    assert noted.isascii()
    assert find_folder(noted) == os.fspath(folder)
    assert capsys.readouterr().err == ""
    (folder / "test_batch").unlink()
    assert find_folder(noted) is None
    assert capsys.readouterr().err == (
        f"note: CIFAR-10 is no longer in {noted[:120]}, where the run found it\n"
    )


@pytest.mark.parametrize("noted", [None, "", "relative", "/%00", "/" + "x" * 5000, "~x", "/dev"])
def test_notes_that_name_no_folder(noted):
    assert find_folder(noted) is None
