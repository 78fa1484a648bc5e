"""What a training step consists of: against the model's summary and against figures by hand."""

from __future__ import annotations

import math

import pytest

import minigrad as mg
from benchmarks import contest, study
from cifar import models, summary

# GFLOP per image by an independent count, see the table of known speeds in the project's design.
KNOWN = {
    "dense-residual": 1.932,
    "four-block": 0.114,
    "gated": 0.701,
    "gated-basic": 1.380,
    "resnet-32": 0.412,
    "resnet-82": 4.343,
    "simple": 0.128,
    "speed-94": 0.708,  # 0.28 and 1.36 PFLOP in all, as the paper has it
    "speed-95": 1.809,
}


@pytest.mark.parametrize("model", study.MODELS)
def test_gflop(model):
    assert study.gflop_per_image(model) == pytest.approx(KNOWN[model], abs=5e-4)


@pytest.mark.parametrize("model", study.MODELS)
def test_every_model_has_a_recipe(model):
    found = study.recipe(model)
    assert found.model == model or model == "gated-basic"
    assert found.loss == "cross_entropy"


def test_calls():
    originals = {name: getattr(mg.functional, name) for name in study.OPERATIONS}
    found = study.calls("simple", 64)
    assert {name: getattr(mg.functional, name) for name in study.OPERATIONS} == originals
    first, second = (call for call in found if call.op == "conv2d")
    assert dict(first.tensors) == {
        "input": (64, 3, 32, 32),
        "weight": (32, 3, 3, 3),
        "bias": (32,),
    }
    assert first.gradients == ("parameters",)  # the images need none
    assert second.gradients == ("input", "parameters")
    layers = {x.name: x.multiply_adds for x in summary.summarize(models.create("simple")).layers}
    assert (first.multiply_adds, second.multiply_adds) == (64 * layers["0"], 64 * layers["3"])
    assert {call.op: n for call, n in found.items() if call.op == "dropout"} == {"dropout": 1}
    assert sum(n for call, n in found.items() if call.op == "relu") == 3


def test_repeated_calls_are_counted():
    found = study.calls("resnet-32", 4)
    # Three stages of five blocks of two; the first convolution is another shape.
    assert sum(n for call, n in found.items() if call.op == "conv2d") == 31
    inner = [n for call, n in found.items() if dict(call.tensors).get("weight") == (16, 16, 3, 3)]
    assert inner == [10]


@pytest.mark.parametrize("contestant", ["minigrad", "torch channels_last"])
def test_a_training_step_learns(contestant):
    step = study.training_step(contest.engine(contestant, 1), "four-block", batch=4)
    losses = [step().item() for _ in range(4)]
    assert losses[0] == pytest.approx(math.log(10), abs=1)
    assert losses[-1] < losses[0]
