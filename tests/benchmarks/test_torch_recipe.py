"""A recipe trained by PyTorch on our batches: its steps are timed, and it learns what ours does."""

from __future__ import annotations

import dataclasses

import pytest

import minigrad as mg
from benchmarks import torch_recipe
from cifar import recipes
from cifar.results import tta
from cifar.results.metrics import evaluate
from cifar.training import train
from cifar.twins import reference
from tests.cifar import tiny


@pytest.fixture
def small(monkeypatch):
    recipe = dataclasses.replace(tiny.RECIPE, reduction="sum", lr=1e-3, tta=True)
    mg.set_num_threads(1)  # put back by the suite
    tiny.install(monkeypatch.setattr)
    monkeypatch.setattr(recipes, "load", lambda name: recipe)
    monkeypatch.setattr(reference, "create", tiny.create_twin)


@pytest.mark.parametrize("layout", torch_recipe.LAYOUTS)
def test_some_steps(small, tmp_path, layout, capsys):
    found = torch_recipe.measure(tiny.settings(tmp_path), 7, layout)
    assert (found["steps_timed"], found["steps_of_recipe"]) == (7, 10)
    assert [line["epoch"] for line in found["steps"]] == [1] * 5 + [2] * 2
    assert all(line["step_seconds"] > 0 for line in found["steps"])
    assert found["seconds_of_recipe"] == pytest.approx(found["seconds_timed"] / 7 * 10)
    assert "test_accuracy" not in found
    assert "(estimated from 7)" in torch_recipe.show(found)
    assert "step 7 of 7: loss " in capsys.readouterr().out
    first = found["steps"][0]["loss"]
    assert 1.5 < first < 4  # of an image


def test_a_whole_recipe(small, tmp_path):
    found = torch_recipe.measure(tiny.settings(tmp_path), None, "channels_last")
    assert found["steps_timed"] == found["steps_of_recipe"] == 10
    shown = torch_recipe.show(found)
    assert "estimated" not in shown
    assert f"test tta accuracy: {found['test_tta_accuracy']:.2%}" in shown


def test_accuracy_is_minigrads_with_the_same_weights(small, tmp_path):
    settings = tiny.settings(tmp_path)
    run, _ = train.prepare(settings, recipes.load("tiny"), mg.device("cpu"), tmp_path)
    twin = torch_recipe.twin_of(run, "channels_last")
    for augmented, ways in ((False, {}), (True, {"logits_of": tta.logits})):
        _, confusion = evaluate(run.model, run.test, **ways)
        expected = confusion.trace() / confusion.sum()
        assert torch_recipe.accuracy(run, twin, augmented) == pytest.approx(expected)
