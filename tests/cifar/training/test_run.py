"""A run made from settings: its batches, its record, its loss."""

from __future__ import annotations

import dataclasses
import os

import pytest

import minigrad as mg
from cifar import models
from cifar.datasets import augment
from cifar.errors import UserError
from cifar.training import train
from minigrad import nn
from tests.cifar import tiny
from tests.common import refuses


def test_evaluation_takes_no_more_images_than_fit(small, tmp_path):
    for batch, expected in ((2, 32), (100, 100), (1000, 250)):
        settings = tiny.settings(tmp_path, batch_size=batch)
        recipe = train.checked_recipe(settings)
        run, _ = train.prepare(settings, recipe, mg.device("cpu"), tmp_path)
        assert run.train.batch_size == batch
        assert run.val.batch_size == run.test.batch_size == expected


@pytest.mark.parametrize(
    ("changes", "batch"), [({"batch_size": 79}, 79), ({"batch_size": 1}, 1), (
        {"batch_size": 16, "validation": 15}, 16)]
)  # fmt: skip
def test_a_batch_of_one_is_refused_before_training_where_it_cannot_be(
    small, tmp_path, changes, batch
):
    """Batch norm of vectors, or of one pixel, has no variance over a single image."""
    settings = tiny.settings(tmp_path / "run", epochs=1, **changes)
    train.run(settings)  # batch norm of planes has
    norm, create = nn.BatchNorm1d(10), tiny.create
    small().setattr(models, "create", lambda *given: nn.Sequential(*create(*given), norm))
    images = 80 - changes.get("validation", 0)
    text = f"batch_size: {batch} of {images} training images leaves a batch of one, on which tiny"
    settings = dataclasses.replace(settings, out=str(tmp_path / "refused"))
    refuses(UserError, text, lambda: train.run(settings))
    assert os.listdir(tmp_path) == ["run"]


def test_overrides_replace_the_recipes_values(small, tmp_path):
    history = train.run(tiny.settings(tmp_path / "run", epochs=1, lr=0.5, batch_size=40))
    assert [line.lr for line in history] == [0.5]
    _, note = mg.checkpoint.read(tmp_path / "run" / "last.safetensors")
    assert note["overrides"] == {"epochs": 1, "lr": 0.5, "batch_size": 40}
    assert note["recipe"]["batch_size"] == 40


def test_the_penalty_is_in_every_loss(small, tmp_path):
    plain = train.run(tiny.settings(tmp_path / "plain", epochs=1, lr=1e-9))
    heavy = train.run(tiny.settings(tmp_path / "heavy", epochs=1, lr=1e-9, l2=10.0))
    weights = mg.load(tmp_path / "heavy" / "last.safetensors")
    term = 10 * sum(float((w * w).sum()) for w in weights.values() if w.shape[2:] == (3, 3))
    assert term > 1
    for part in ("train_loss", "test_loss"):
        assert getattr(heavy[0], part) - getattr(plain[0], part) == pytest.approx(term, rel=1e-3)


def test_a_tail_that_leaves_a_class_without_images(small, tmp_path):
    settings = tiny.settings(tmp_path / "run", long_tail=1e-4, class_balance=0.99)
    refuses(UserError, "class_balance: counts: expected at least", lambda: train.run(settings))
    assert os.listdir(tmp_path) == []


def test_an_override_is_recorded_in_plain_values(small, tmp_path):
    changes = {"augmentation": augment.Augmentation(crop=2), "epochs": 1}
    train.run(tiny.settings(tmp_path, **changes))
    record = mg.checkpoint.read(tmp_path / "last.safetensors")[1]
    assert record["overrides"]["augmentation"]["crop"] == 2
