"""The training loss of every kind is the definition's."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import minigrad as mg
from cifar.datasets.subsets import class_balanced_weights
from cifar.errors import UserError
from cifar.training.objective import make_objective
from tests.cifar import tiny
from tests.common import refuses

F = mg.functional
COUNTS = np.arange(1, 11)
CPU = mg.device("cpu")


@pytest.mark.parametrize("balance", [None, 0.9])
@pytest.mark.parametrize(("loss", "gamma"), [("cross_entropy", 0.0), ("focal_loss", 2.0)])
def test_the_loss_and_its_weights(loss, gamma, balance):
    recipe = dataclasses.replace(tiny.RECIPE, loss=loss, gamma=gamma, class_balance=balance)
    logits = mg.tensor(np.random.default_rng(0).standard_normal((6, 10)))
    labels = mg.tensor(np.arange(6))
    weight = None if balance is None else mg.tensor(class_balanced_weights(COUNTS, balance))
    options = {"weight": weight} | ({"gamma": gamma} if loss == "focal_loss" else {})
    expected = getattr(F, loss)(logits, labels, **options).item()
    model = tiny.create("tiny", 10, 0).to("float64")
    found = make_objective(recipe, model, COUNTS, CPU)(logits, labels).item()
    assert found == pytest.approx(expected, rel=1e-12)
    heavy = make_objective(dataclasses.replace(recipe, l2=0.5), model, COUNTS, CPU)
    squares = sum(float((p * p).sum().item()) for p in model.parameters() if p.shape[2:] == (3, 3))
    assert heavy(logits, labels).item() - found == pytest.approx(0.5 * squares, rel=1e-5)


def test_a_class_without_images_has_no_weight():
    recipe = dataclasses.replace(tiny.RECIPE, class_balance=0.9)
    model = tiny.create("tiny", 10, 0)
    text = "class_balance: counts: expected at least one image of each class"
    refuses(UserError, text, lambda: make_objective(recipe, model, COUNTS - 1, CPU))
