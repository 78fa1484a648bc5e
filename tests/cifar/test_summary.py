"""Layer by layer: against counts by hand, and against PyTorch's own counter of operations."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import minigrad as mg
from cifar import models, summary
from cifar.twins import reference
from minigrad import nn


def test_by_hand():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 5, stride=2, padding=1, groups=1),
        nn.BatchNorm2d(8),
        nn.MaxPool2d(2, stride=1),
        nn.ReLU(),
        nn.Conv2d(8, 4, (1, 3), groups=4, bias=False),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * 7 * 6, 10),
    )
    found = summary.summarize(model)
    assert [tuple(vars(layer).values()) for layer in found.layers] == [
        ("0", "Conv2d 5×5, stride 2", (8, 15, 15), 608, 8 * 15 * 15 * 75),
        ("1", "BatchNorm2d", (8, 15, 15), 16, 8 * 15 * 15),
        ("2", "MaxPool2d 2×2, stride 1", (8, 14, 14), 0, 0),
        ("3", "ReLU", (8, 14, 14), 0, 0),
        ("4", "Conv2d 1×3", (4, 14, 12), 24, 4 * 14 * 12 * 6),
        ("5", "AvgPool2d 2×2", (4, 7, 6), 0, 0),
        ("6", "Flatten", (168,), 0, 0),
        ("7", "Linear", (10,), 1690, 1680),
    ]
    assert (found.parameters, found.statistics) == (608 + 16 + 24 + 1690, 16)
    assert found.multiply_adds == sum(layer.multiply_adds for layer in found.layers)


@pytest.mark.parametrize("name", models.names())
def test_every_model_against_pytorch(name):
    found = summary.summarize(models.create(name))
    assert sum(layer.parameters for layer in found.layers) == found.parameters
    twin = reference.create(name)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        twin.eval()(torch.zeros(1, 3, 32, 32))
    products = [layer for layer in found.layers if layer.kind.startswith(("Conv", "Linear"))]
    assert 2 * sum(layer.multiply_adds for layer in products) == counter.get_total_flops()
    norms = [m for m in twin.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    assert found.statistics == sum(2 * m.num_features for m in norms)


def test_the_model_is_left_as_it_was():
    model = models.create("four-block").train()
    model[1].eval()
    seen = []
    model[0].register_forward_hook(lambda module, args, y: seen.append(y.shape))
    before = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    first, second = summary.summarize(model), summary.summarize(model)
    assert first == second
    assert [m.training for m in model] == [i != 1 for i in range(len(model))]
    assert len(seen) == 2  # hooks of its own go on
    model.eval()(mg.zeros(1, 3, 32, 32))
    assert (len(seen), len(first.layers)) == (3, len(second.layers))
    assert all((value.numpy() == before[name]).all() for name, value in model.state_dict().items())


def test_the_model_is_left_as_it_was_after_an_error():
    model = nn.Sequential(nn.Conv2d(4, 8, 3))  # wants four channels
    with pytest.raises(ValueError, match="weight: expected"):
        summary.summarize(model)
    assert not model[0]._forward_hooks.after
    assert model.training


def test_a_shared_layer_runs_twice_and_counts_once():
    class Twice(nn.Module):
        def __init__(self):
            self.one = nn.Linear(32, 32)

        def forward(self, x):
            return self.one(self.one(x))

    found = summary.summarize(Twice())
    assert [layer.parameters for layer in found.layers] == [32 * 33, 0]
    assert found.parameters == 32 * 33
    assert found.multiply_adds == 2 * 3 * 32 * 32 * 32


def test_a_single_layer_and_another_image():
    (layer,) = summary.summarize(nn.Linear(4, 2), (4,)).layers
    assert (layer.name, layer.shape, layer.multiply_adds) == ("Linear", (2,), 8)


def test_on_a_device(device):
    assert summary.summarize(nn.Linear(4, 2).to(mg.device(device)), (4,)).parameters == 10
