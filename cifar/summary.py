"""A model layer by layer: output shapes, parameters and multiply-adds, from one forward pass."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import Any

import minigrad as mg
from minigrad import nn


@dataclass(frozen=True)
class Layer:
    """One call of one layer.

    Attributes:
        name: dotted path in the model.
        kind: class and window, such as "Conv2d 3×3, stride 2".
        shape: of the output, without the batch.
        parameters: learnt values of the layer itself; 0 if an earlier row counted them.
        multiply_adds: for one image.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class Summary:
    """The layers of a model in the order they ran, and its totals.

    Attributes:
        layers: the modules without submodules of their own.
        parameters: learnt values of the whole model.
        statistics: number of running means and variances of batch norm, which are not learnt.
        multiply_adds: of all layers for one image.
    """

    layers: tuple[Layer, ...]
    parameters: int
    statistics: int

    @property
    def multiply_adds(self) -> int:
        return sum(layer.multiply_adds for layer in self.layers)


def summarize(model: nn.Module, image: tuple[int, ...] = (3, 32, 32)) -> Summary:
    """Run ``model`` once, in evaluation mode, on a black image of that shape; records each layer.

    Multiply-adds are those of convolutions and linear layers (without biases) and one per element
    of a batch norm (its scale and shift). Functions that a model calls, such as ``F.relu``, sums
    and products, are not layers: they have no row and are not counted.

    The model is not changed.
    """
    layers: list[Layer] = []
    counted: set[int] = set()
    leaves = {m: name for name, m in model.named_modules() if not list(m.children())}

    def note(module: nn.Module, args: tuple[Any, ...], out: mg.Tensor) -> None:
        own = [p for p in module.parameters(recurse=False) if id(p) not in counted]
        counted.update(map(id, own))
        layers.append(
            Layer(
                leaves[module] or type(module).__name__,
                _kind(module),
                tuple(out.shape[1:]),
                sum(p.numel() for p in own),
                _multiply_adds(module, out.shape[1:]),
            )
        )

    modes = [(module, module.training) for module in model.modules()]
    device = next((p.device for p in model.parameters()), "cpu")
    with contextlib.ExitStack() as hooks, mg.no_grad():
        for module in leaves:
            hooks.enter_context(module.register_forward_hook(note))
        try:
            model.eval()(mg.zeros(1, *image, device=device))
        finally:
            for module, mode in modes:
                module.training = mode
    return Summary(
        tuple(layers),
        sum(p.numel() for p in model.parameters()),
        sum(b.numel() for b in model.buffers() if b.dtype.kind == "f"),
    )


def _kind(module: nn.Module) -> str:
    name = type(module).__name__
    if (window := getattr(module, "kernel_size", None)) is not None:
        height, width = _pair(window)
        name += f" {height}×{width}"
        stride = _pair(getattr(module, "stride", 1))
        usual = (1, 1) if isinstance(module, nn.Conv2d) else (height, width)
        if stride != usual:
            name += f", stride {stride[0]}" if stride[0] == stride[1] else f", stride {stride}"
    return name


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


def _multiply_adds(module: nn.Module, shape: tuple[int, ...]) -> int:
    size = math.prod(shape)
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        return size * math.prod(module.weight.shape[1:])  # a dot product per output element
    return size if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)) else 0
