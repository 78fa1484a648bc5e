"""The training steps of the studies' models, and the operations in them."""

from __future__ import annotations

import functools
import inspect
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import minigrad as mg
from benchmarks.contest import Engine
from cifar import models, recipes, summary

# Models without a recipe of the same name, with the recipe that trains them or a similar model.
RECIPES = MappingProxyType({"gated-basic": "gated", "resnet-32": "long-tail-ce"})

# The models of the studies, without "resnet", a family of networks that no recipe trains.
MODELS = tuple(name for name in models.names() if name != "resnet")

PRODUCTS = ("conv2d", "linear")
OPERATIONS = (
    *PRODUCTS,
    "batch_norm",
    "relu",
    "max_pool2d",
    "avg_pool2d",
    "adaptive_avg_pool2d",
    "dropout",
    "gelu",
    "cross_entropy",
)


def recipe(model: str) -> recipes.Recipe:
    """The recipe whose batch size and optimiser are used to measure ``model``."""
    return recipes.load(RECIPES.get(model, model))


def optimizer(engine: Engine, model: str, parameters: Any) -> Any:
    """The :func:`update` of ``model`` in the engine's library."""
    name, rate, options = update(model)
    return getattr(engine.optim, name)(parameters, lr=rate, **options)


def update(model: str) -> tuple[str, float, Mapping[str, Any]]:
    """Class, rate and options of the optimiser of ``model``'s recipe. If the recipe has parameter
    groups, all parameters use that of the biases, since PyTorch's Muon takes matrices only."""
    own = recipe(model)
    name, rate, options = own.optimizer, own.lr, own.optimizer_options
    if "biases" in own.groups:
        group = own.groups["biases"]
        name, rate = group.optimizer or name, group.lr or rate
        options = group.optimizer_options or options
    return name, rate, options


def training_step(engine: Engine, model: str, batch: int, size: int = 32) -> Callable[[], Any]:
    """A function that runs one step on random images (forward, cross-entropy, backward, optimiser)
    and returns the loss, a scalar tensor of the engine's library.

    Args:
        size: height and width of the images.
    """
    network = engine.create(model)
    descent = optimizer(engine, model, network.parameters())
    images, labels = engine.activation(batch, 3, size, size), engine.labels(batch)

    def step(images: Any, labels: Any) -> Any:
        loss = engine.functional.cross_entropy(network(images), labels)
        descent.zero_grad()
        loss.backward()
        descent.step()
        return loss

    run = engine.recorded(step)
    return lambda: run(images, labels)


@dataclass(frozen=True)
class Call:
    """An operation as a model calls it in a training step.

    Attributes:
        op: name in ``functional``, the same in both libraries.
        tensors: name and shape of each argument that is a tensor.
        options: name and value of each other argument.
        input_gradient: whether the step needs the gradient of the input (not for the images).
        multiply_adds: of the forward pass over the batch, for convolutions and linear layers;
            otherwise 0.
    """

    op: str
    tensors: tuple[tuple[str, tuple[int, ...]], ...]
    options: tuple[tuple[str, Any], ...]
    input_gradient: bool
    multiply_adds: int

    @property
    def gradients(self) -> tuple[str, ...]:
        """The gradients that the step computes: of "input", of "parameters"."""
        has = "weight" in dict(self.tensors)
        return ("input",) * self.input_gradient + ("parameters",) * has


@functools.cache
def calls(model: str, batch: int) -> Counter[Call]:
    """The operations of a training step of ``model``, and how often each runs.

    They are recorded in a step of two images; the batch axis is then replaced by ``batch``.
    """
    seen: list[tuple[str, inspect.BoundArguments]] = []

    def watched(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            seen.append((name, inspect.signature(function).bind(*args, **kwargs)))
            return function(*args, **kwargs)

        return call

    network = models.create(model)
    products = [
        layer.multiply_adds * batch
        for layer in summary.summarize(network).layers
        if layer.kind.startswith(("Conv2d", "Linear"))
    ]
    originals = {name: getattr(mg.functional, name) for name in OPERATIONS}
    try:
        for name, function in originals.items():
            setattr(mg.functional, name, watched(name, function))
        mg.functional.cross_entropy(network(mg.randn(2, 3, 32, 32)), mg.tensor([0, 1]))
    finally:
        for name, function in originals.items():
            setattr(mg.functional, name, function)

    # The layers of the summary and the recorded calls are both in the order of execution.
    assert len(products) == sum(name in PRODUCTS for name, _ in seen)
    remaining = iter(products)
    counts: Counter[Call] = Counter()
    for name, bound in seen:
        tensors, options = [], []
        for argument, value in bound.arguments.items():
            if isinstance(value, mg.Tensor):
                batched = argument in ("input", "residual", "target")
                shape = (batch, *value.shape[1:]) if batched else value.shape
                tensors.append((argument, shape))
            elif value is not None:
                options.append((argument, value))
        needed = bound.arguments["input"].requires_grad
        work = next(remaining) if name in PRODUCTS else 0
        counts[Call(name, tuple(tensors), tuple(options), needed, work)] += 1
    return counts


def gflop_per_image(model: str) -> float:
    """GFLOP of a training step per image: convolutions and linear layers, forward and gradients,
    two operations for each multiply-add of the definition (Winograd's algorithm needs fewer)."""
    return (
        sum(
            2 * call.multiply_adds * (1 + len(call.gradients)) * count
            for call, count in calls(model, 1).items()
        )
        / 1e9
    )
