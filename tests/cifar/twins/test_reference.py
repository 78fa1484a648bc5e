"""The twins of the recipes: rates, losses and updates equal minigrad's, for every recipe."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest
import torch

import minigrad as mg
from cifar import recipes
from cifar.errors import UserError
from cifar.results.metrics import evaluate
from cifar.twins import reference
from cifar.twins.lockstep import difference
from cifar.twins.reference import training
from cifar.twins.sides import Ours
from minigrad import nn
from tests.common import host, refuses

COUNTS = [50, 30, 20, 12, 8, 5, 4, 3, 2, 1]


@pytest.fixture(params=recipes.names())
def sides(request, monkeypatch):
    """A recipe's training of one small network by minigrad and by PyTorch, in float64."""

    def create(lib):
        group = {"norm1": lib.BatchNorm2d(4), "conv": lib.Conv2d(4, 4, 1, bias=False)}
        group["norm1"].weight.requires_grad = not request.param.startswith("speed")
        pooled = lib.Sequential(lib.ReLU(), lib.AdaptiveAvgPool2d(1), lib.Flatten())
        return lib.Sequential(
            OrderedDict(
                whiten=lib.Conv2d(3, 4, 3),
                group=lib.Sequential(OrderedDict(group)),
                pooled=pooled,
                head=lib.Linear(4, 10, bias=False),
            )
        )

    monkeypatch.setattr(reference, "create", lambda *_: create(torch.nn))
    recipe = recipes.load(request.param)
    ours = Ours(recipe, create(nn).to("float64"), COUNTS)
    theirs = training.Training(recipe, COUNTS, "float64")
    theirs.load({name: host(value) for name, value in ours.model.state_dict().items()})
    return ours, theirs


def batch(seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(6, 3, 8, 8)), rng.integers(0, 10, 6)


def test_rates(sides):
    """Over all epochs, the validation loss falling, then stalling for most of them."""
    rates = []
    for side in sides:
        rates.append([])
        for epoch in range(side.recipe.epochs):
            side.start_epoch(epoch)
            rates[-1].append(side.lr)
            side.step(*batch(0))
            side.end_epoch(max(2 - 0.1 * epoch, 1))
    assert len(rates[0]) == sides[0].recipe.epochs
    assert rates[0] == pytest.approx(rates[1], rel=1e-9, abs=1e-15)
    constant = sides[0].recipe.schedule is None and not sides[0].recipe.restarts
    assert (len(set(rates[0])) == 1) == constant


def test_losses(sides):
    ours, theirs = sides
    logits, labels = np.random.default_rng(0).normal(0, 3, (6, 10)), np.arange(6) + 3
    x, tx = mg.tensor(logits, requires_grad=True), torch.tensor(logits, requires_grad=True)
    loss = ours.objective(x, mg.tensor(labels))
    expected = theirs.objective(tx, torch.tensor(labels))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    loss.backward()
    expected.backward()
    np.testing.assert_allclose(host(x.grad), tx.grad.numpy(), 1e-9, 1e-14)


@pytest.mark.parametrize("restart", [False, True])
def test_updates(sides, restart):
    """Three steps, the last one perhaps after a restart, with which moments are forgotten."""
    ours, theirs = sides
    epoch = ours.recipe.restarts[0][0] if ours.recipe.restarts else 1
    for number, at in enumerate((0, None, epoch if restart else None)):
        for side in sides:
            if at is not None:
                side.start_epoch(at)
        found, expected = (side.step(*batch(number)) for side in sides)
        assert found[0] == pytest.approx(expected[0], rel=1e-10)
        np.testing.assert_allclose(found[1], expected[1], 1e-9, 1e-12)
        gradients = difference(ours.gradients(), theirs.gradients())
        weights = difference(ours.weights(), theirs.weights())
        # Adam and RMSprop divide the gradients of a bias before batch norm, all rounding, by ε.
        assert gradients[1] < 1e-12
        assert weights[0] < 1e-10
    states = [s for optimizer in theirs.optimizers for s in optimizer.state.values()]
    steps = {int(s["step"]) for s in states if "step" in s}
    restarted = restart and bool(ours.recipe.restarts)
    assert steps <= {1 if restarted else 3}


def test_evaluation(sides):
    ours, theirs = sides
    images, labels = batch(0)
    loader = mg.data.DataLoader(mg.data.TensorDataset(mg.tensor(images), mg.tensor(labels)), 4)
    loss, confusion = evaluate(ours.model, loader, ours.recipe.l2)
    found = (loss, np.trace(confusion) / confusion.sum())
    batches = [(images[:4], labels[:4]), (images[4:], labels[4:])]
    assert theirs.evaluate(batches) == pytest.approx(found, rel=1e-12)
    assert not theirs.model.training


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_loss_and_weights_by_hand(gamma):
    logits = torch.tensor([[2.0, 0.0], [0.0, 0.5]], dtype=torch.float64)
    p = np.array([1 / (1 + np.exp(-2)), 1 / (1 + np.exp(0.5))])
    w = np.array([0.5, 1.5])
    expected = -(w[[0, 0]] * (1 - p) ** gamma * np.log(p)).sum() / w[[0, 0]].sum()
    found = training.focal_loss(logits, torch.tensor([0, 0]), gamma, torch.tensor(w))
    assert found.item() == pytest.approx(expected)
    weights = training.class_balanced_weights([1, 2], 0.5)
    assert weights.tolist() == pytest.approx([2 * 3 / 5, 2 * 2 / 5])  # 1 to 2/3


def test_threads_are_put_back():
    before = torch.get_num_threads()
    with training.num_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    with pytest.raises(KeyError), training.num_threads(before + 2):
        raise KeyError
    assert torch.get_num_threads() == before


def test_devices(monkeypatch):
    assert training.find_device("cpu") == "cpu"
    assert training.gpu_name("cpu") is None
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert training.find_device("gpu", 1) == "cuda:1"
    text = "device: PyTorch 2.13.0"
    refuses(UserError, text, lambda: training.find_device("gpu", 2))
