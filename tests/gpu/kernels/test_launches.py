"""How many of our kernels a training step launches: small networks wait for launches.

Launches are counted at the door and nothing is run, so this sees no kernel of CuPy's own; those
:mod:`tests.emulated.launches` counts.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

import minigrad as mg
from benchmarks import contest, study
from cifar import models
from cifar.models.gated import GatedBlock
from minigrad import dispatch, nn
from minigrad.gpu import launch as cuda
from tests.emulated.kernels import usable

# Kernels of a step, without those that add up split sums, which depend on the batch.
TOTAL = {
    "dense-residual": 128,
    "four-block": 47,
    "gated": 90,
    "gated-basic": 36,
    "resnet-32": 195,
    "resnet-82": 501,
    "simple": 29,
    "speed-94": 67,
    "speed-95": 67,
}
BATCH_NORM = ("normalize", "track", "gradient")  # of few images
CROSS_ENTROPY = ("class_indices", "distribution", "cross_entropy", "cross_entropy_gradient")


@pytest.fixture
def launched(monkeypatch):
    """Names of the kernels, which leave their results as the memory was."""
    names: Counter[str] = Counter()
    monkeypatch.setattr("minigrad.cpu.elementwise.BLOCK", 1 << 62)  # a GPU's arrays are not cut
    monkeypatch.setattr(cuda, "usable", usable)
    monkeypatch.setattr(dispatch, "device_type", lambda *arrays: "gpu")
    monkeypatch.setattr(cuda, "_launch", lambda family, name, *rest: names.update([name]))
    return names


def expected(model):
    """One kernel each way, or the fewest that a sum over blocks needs, per operation."""
    found: Counter[str] = Counter()
    for call, count in study.calls(model, 2).items():
        options = dict(call.options)
        if call.op in study.PRODUCTS:
            kernels = ["correlate"] * (1 + call.input_gradient)
            whitens = dict(call.tensors)["weight"] == (24, 3, 2, 2)  # which is not trained
            kernels += [] if whitens else ["weight_gradient"]
        elif call.op == "batch_norm":
            kernels = BATCH_NORM
        elif call.op == "cross_entropy":
            kernels = CROSS_ENTROPY
        elif call.op == "dropout":
            kernels = ["dropout"] * 2 * (options["p"] > 0)
        elif call.op == "relu":
            kernels = ["relu_gradient"]  # forward is CuPy's
        else:
            name = call.op.removesuffix("2d")
            kernels = [name] + [f"{name}_gradient"] * call.input_gradient
        for name in kernels:
            found[name] += count
    found["relu_gradient"] -= fused(model)
    gates = sum(isinstance(module, GatedBlock) for module in models.create(model).modules())
    found += Counter({"sigmoid": gates, "sigmoid_gradient": gates})
    kind = "SGD" if model.startswith("speed") else study.recipe(model).optimizer
    found[{"SGD": "sgd", "RMSprop": "rmsprop"}.get(kind, "adam")] += 1
    return +found


def fused(model):
    """How many ReLUs of a model batch norm computes: those behind it in a Sequential."""
    return sum(
        isinstance(first, (nn.BatchNorm1d, nn.BatchNorm2d)) and isinstance(second, nn.ReLU)
        for module in models.create(model).modules()
        if isinstance(module, nn.Sequential)
        for first, second in pairwise(module)
    )


def test_every_model_is_counted():
    assert set(TOTAL) == set(study.MODELS)


@pytest.mark.parametrize("model", TOTAL)
def test_launches(model, launched):
    wanted = expected(model)
    step = study.training_step(contest.engine("minigrad", mg.get_num_threads()), model, 2)
    launched.clear()
    with np.errstate(all="ignore"):  # of numbers that nobody computed
        step()
    added = launched.pop("add_splits", 0)
    assert launched == wanted
    assert sum(launched.values()) == TOTAL[model]
    assert added <= launched["correlate"] + launched["weight_gradient"]
