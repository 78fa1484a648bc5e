"""NaN and infinity are found where they first appear: which operation, which module, which way."""

from __future__ import annotations

import re

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.tape import op
from tests.common import refuses

F = mg.functional


class Net(nn.Module):
    """A convolution, its batch norm, and a function of no module of its own between layers."""

    def __init__(self, between=lambda x: x):
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Linear(4, 2)
        self.between = between

    def forward(self, x):
        return self.head(self.between(self.body(x)).mean((2, 3)))


@pytest.fixture
def images(device):
    return mg.randn(2, 3, 5, 5, device=device)


def train_once(model, images):
    model.to(images.device)
    with mg.detect_anomaly(model):
        F.cross_entropy(model(images), mg.tensor([0, 1], device=images.device)).backward()


def test_finite_numbers_pass_and_the_model_is_left_as_it_was(images):
    model = Net()
    before = [dict(vars(m)) for m in model.modules()]
    train_once(model, images)
    assert model.head.weight.grad is not None
    assert [set(vars(m)) for m in model.modules()] == [set(b) for b in before]
    assert mg.tensor([1.0]) / 0 == float("inf")  # outside nothing is watched


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_parameter_is_named(images, value):
    model = Net()
    model.body[0].weight.data[0, 0, 0, 0] = float(value)
    what = {"nan": "NaN", "inf": "infinite"}[value]
    text = f"conv2d in body.0 was given body.0.weight with 1 {what} of 108 values"
    refuses(FloatingPointError, text, lambda: train_once(model, images))


def test_a_buffer_is_named(images):
    model = Net().eval()
    model.body[1].running_mean.data[:2] = float("inf")
    text = "batch_norm in body.1 was given body.1.running_mean with 2 infinite of 4 values"
    refuses(FloatingPointError, text, lambda: train_once(model, images))


def test_the_batch_is_an_input(images):
    images.data[0, 0, 0, 0] = float("nan")
    text = "conv2d in body.0 was given input 0 with 1 NaN of 150 values"
    refuses(FloatingPointError, text, lambda: train_once(Net(), images))


@pytest.mark.parametrize(
    ("between", "text"),
    [
        (lambda x: (x * 1e20).exp(), r"exp in Net made \d+ infinite of 72 values of finite inputs"),
        (lambda x: (x - 1e9).sqrt(), r"sqrt in Net made 72 NaN of 72 values of finite inputs"),
        (lambda x: x / 0, r"\w+ in Net made (\d+ NaN and )?\d+ infinite of 72 values of finite"),
    ],
)
def test_the_first_operation_is_named(images, between, text):
    with pytest.raises(FloatingPointError, match=text):
        train_once(Net(between), images)


def test_a_derivative_is_named(images):
    """sqrt is finite at 0, its slope is not."""
    text = r"the derivative of \w+ in Net made \d+ (NaN|infinite) .* of a finite gradient"
    with pytest.raises(FloatingPointError, match=text):
        train_once(Net(lambda x: (x * 0).sqrt() + x), images)


def test_a_sum_of_gradients_is_told_from_a_derivative():
    x = mg.tensor([1e-30], requires_grad=True)
    with mg.detect_anomaly():
        y = x * 1
        loss = (y * 3e38 + y * 3e38).sum()
        with pytest.raises(
            FloatingPointError, match="gradient of mul's result has 1 infinite of 1"
        ):
            loss.backward()


def test_inputs_are_counted_in_the_derivative():
    @op
    def broken(a, b):
        return a + b, lambda g, needs: (g, g * np.float32("nan"))

    a, b = (mg.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    text = re.escape(
        "the derivative of broken made 2 NaN of 2 values of a finite gradient, in the gradient of "
        "its input 1"
    )
    with mg.detect_anomaly(), pytest.raises(FloatingPointError, match=text):
        broken(a, b).sum().backward()


def test_integers_are_not_looked_at():
    with mg.detect_anomaly():
        assert (mg.tensor([1, 2]) + 1).numpy().tolist() == [2, 3]


def test_a_model_is_a_module():
    def watch():
        with mg.detect_anomaly(model=3):
            pass

    refuses(TypeError, "model: expected a Module or None, got int", watch)
