"""Averages of weights are PyTorch's, and so are batch norm's statistics under them."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import optim
from minigrad.optim import swa_utils
from tests.common import host, refuses, seeds, signature
from tests.optim.schedules import lrs, optimizers

reference = torch.optim.swa_utils


def models(seed=0):
    """A small model with batch norm and its PyTorch twin, in float64 but for the counts."""
    ours = mg.nn.Sequential(mg.nn.Linear(3, 4), mg.nn.BatchNorm1d(4), mg.nn.Linear(4, 2))
    theirs = torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2)
    ).double()
    draw(ours.to("float64"), theirs, seed)
    return ours, theirs


def draw(ours, theirs, seed):
    """Let both have the same drawn weights and statistics."""
    rng = np.random.default_rng(seed)
    own = ours.state_dict()
    for name, value in theirs.state_dict().items():
        shape = tuple(value.shape)
        integer = value.dtype == torch.int64
        drawn = rng.integers(0, 50, shape) if integer else rng.uniform(0.5, 2, shape)
        value.copy_(torch.as_tensor(drawn))
        own[name].data[...] = drawn


def same(ours, theirs, rtol=1e-10):
    mine, other = ours.state_dict(), theirs.state_dict()
    assert mine.keys() == other.keys()
    for name, value in other.items():
        np.testing.assert_allclose(host(mine[name]), value.numpy(), rtol, err_msg=name)


OPTIONS = (
    {},
    {"use_buffers": True},
    {"multi_avg_fn": ("get_ema_multi_avg_fn", 0.9)},
    {"multi_avg_fn": ("get_ema_multi_avg_fn", 0.2), "use_buffers": True},
    {"multi_avg_fn": ("get_swa_multi_avg_fn",)},
    {"avg_fn": ("get_ema_avg_fn", 0.9), "use_buffers": True},
    {"avg_fn": ("get_swa_avg_fn",)},
)


@given(st.sampled_from(OPTIONS), st.integers(0, 5), seeds)
@settings(max_examples=40)
def test_averages_are_pytorchs(options, updates, seed):
    pair = models(seed)
    averaged = []
    for library, model in zip((swa_utils, reference), pair, strict=True):
        made = {
            name: getattr(library, value[0])(*value[1:]) if isinstance(value, tuple) else value
            for name, value in options.items()
        }
        averaged.append(library.AveragedModel(model, **made))
    for i in range(updates):
        draw(*pair, seed + i)
        for model, average in zip(pair, averaged, strict=True):
            average.update_parameters(model)
    same(*averaged, rtol=1e-6)  # PyTorch's 1 / (n + 1) is a float32
    same(*pair)  # which are not changed
    x = np.random.default_rng(seed).normal(size=(5, 3))
    for model in averaged:
        model.eval()
    found, expected = averaged[0](mg.tensor(x)), averaged[1](torch.tensor(x))
    np.testing.assert_allclose(host(found), expected.detach().numpy(), 1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_statistics_are_pytorchs(training):
    ours, theirs = models()
    rng = np.random.default_rng(0)
    batches = [rng.normal(size=(n, 3)) for n in (4, 2, 7)]
    ours.train(training)
    theirs.train(training)
    swa_utils.update_bn([[mg.tensor(x), mg.tensor(0)] for x in batches], ours, "cpu")
    reference.update_bn([[torch.tensor(x), torch.tensor(0)] for x in batches], theirs)
    same(ours, theirs)
    assert ours.training is ours[1].training is training
    assert ours[1].momentum == 0.1
    first = copy.deepcopy(ours.state_dict())
    swa_utils.update_bn([mg.tensor(x) for x in batches], ours)
    for name, value in ours.state_dict().items():
        np.testing.assert_array_equal(host(value), host(first[name]))
    swa_utils.update_bn(iter(()), mg.nn.Linear(2, 2))


def test_a_pass_that_fails_leaves_the_model_as_it_was_set():
    model, _ = models()
    model.eval()
    with pytest.raises(ValueError, match="input"):
        swa_utils.update_bn([mg.zeros(2, 7, dtype="float64")], model)
    assert (model[1].momentum, model[1].training) == (0.1, False)
    model.train()(mg.zeros(2, 3, dtype="float64"))
    assert model[1].momentum == 0.1  # no hook is left


@pytest.mark.parametrize("strategy", ["cos", "linear"])
@pytest.mark.parametrize("epochs", [0, 1, 4])
def test_rates_are_pytorchs(strategy, epochs):
    assert signature(swa_utils.SWALR) == signature(reference.SWALR)
    pair = optimizers((0.1, 0.5))
    ours, theirs = (
        library.SWALR(optimizer, [0.05, 0.7], epochs, strategy)
        for library, optimizer in zip((swa_utils, reference), pair, strict=True)
    )
    pair[1].step()  # PyTorch warns of a schedule that goes before it
    for _ in range(6):
        np.testing.assert_allclose(lrs(pair[0]), lrs(pair[1]), 1e-12)
        assert ours.last_epoch == theirs.last_epoch
        ours.step()
        theirs.step()
    other = swa_utils.SWALR(optimizers()[0], 0.1, 2, "cos")
    other.load_state_dict(ours.state_dict())
    assert other.state_dict() == ours.state_dict()


def test_rates_in_a_sequence():
    pair = optimizers((0.4,))
    both = []
    for library, swa, optimizer in zip(
        (optim, torch.optim.lr_scheduler), (swa_utils, reference), pair, strict=True
    ):
        parts = [library.ExponentialLR(optimizer, 0.5), swa.SWALR(optimizer, 0.01, 2)]
        both.append(library.SequentialLR(optimizer, parts, [3]))
    pair[1].step()
    for _ in range(7):
        for schedule in both:
            schedule.step()
        np.testing.assert_allclose(lrs(pair[0]), lrs(pair[1]), 1e-12)


def test_what_is_refused():
    model, _ = models()
    average = swa_utils.AveragedModel(model, avg_fn=lambda a, b, n: a.sum())
    average.update_parameters(model)
    before = {name: host(t).copy() for name, t in average.state_dict().items()}
    for error, text, call in (
        (TypeError, "model: ", lambda: swa_utils.AveragedModel(3)),
        (ValueError, "avg_fn: ", lambda: swa_utils.AveragedModel(model, None, max, max)),
        (TypeError, "avg_fn: ", lambda: swa_utils.AveragedModel(model, avg_fn=3)),
        (TypeError, "multi_avg_fn: ", lambda: swa_utils.AveragedModel(model, multi_avg_fn=3)),
        (TypeError, "use_buffers: ", lambda: swa_utils.AveragedModel(model, use_buffers=1)),
        (ValueError, "model: expected the par", lambda: average.update_parameters(model[0])),
        (ValueError, "avg_fn: expected shape", lambda: average.update_parameters(model)),
        (ValueError, "decay: ", lambda: swa_utils.get_ema_multi_avg_fn(1.1)),
        (ValueError, "decay: ", lambda: swa_utils.get_ema_avg_fn(-0.1)),
        (ValueError, "swa_lr: ", lambda: swa_utils.SWALR(optimizers()[0], -1)),
        (ValueError, "anneal_strategy: ", lambda: swa_utils.SWALR(optimizers()[0], 1, 1, "x")),
        (ValueError, "anneal_epochs: ", lambda: swa_utils.SWALR(optimizers()[0], 1, -1)),
    ):
        refuses(error, text, call)
    for name, value in average.state_dict().items():
        np.testing.assert_array_equal(host(value), before[name])
