"""Time and memory of a training step by either library."""

from __future__ import annotations

import dataclasses

import pytest

from cifar import recipes
from cifar.twins import timing
from cifar.twins.sides import OURS, THEIRS


@pytest.mark.parametrize("name", [OURS, THEIRS])
def test_time_and_memory_in_another_process(name, monkeypatch):
    recipe = dataclasses.replace(recipes.load("simple"), batch_size=2)
    found = timing.measure_alone(name, recipe, [1] * 10, "float32", "cpu", "cpu", 1)
    assert found["images_per_second"] == pytest.approx(2 / found["seconds_per_step"])
    assert 60 < found["peak_memory_mb"] < 1000  # weights, gradients and two moments are 103
