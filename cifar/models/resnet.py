"""Residual networks of any shape, for ``cifar search``: the *resnet* study's space of networks."""

from __future__ import annotations

from collections.abc import Sequence

from cifar.models.resnet_82 import BasicBlock
from minigrad import nn


def create(
    num_classes: int = 10,
    image_size: int = 32,
    *,
    blocks: Sequence[int] = (2, 2, 2),
    channels: Sequence[int] = (16, 32, 64),
    kernel_sizes: Sequence[int] = (3, 3, 3),
    shortcut_kernel: int = 1,
    pooling: str = "avg",
    pooled: int = 1,
) -> nn.Module:
    """Images (N, 3, image_size, image_size) to logits (N, num_classes): a 3 x 3 convolution, a
    stage of :class:`~cifar.models.resnet_82.BasicBlock` for each entry of ``blocks`` (the later
    ones halve the size), pooling, and a linear layer.

    Args:
        blocks, channels, kernel_sizes: of each stage; kernels are odd.
        shortcut_kernel: of the shortcuts' convolutions, where the shape changes; odd.
        pooling: "avg" or "max", at the end.
        pooled: rows and columns that the pooling leaves; the linear layer takes all of them.

    Raises:
        ValueError: a value is out of range, or the images' size is no multiple of what they are
            divided by.
    """
    stages = _whole_numbers("blocks", blocks)
    widths = _whole_numbers("channels", channels)
    kernels = _whole_numbers("kernel_sizes", kernel_sizes, odd=True)
    _whole_numbers("shortcut_kernel", [shortcut_kernel], odd=True)
    _whole_numbers("pooled", [pooled])
    if not len(stages) == len(widths) == len(kernels):
        raise ValueError(
            "blocks, channels, kernel_sizes: expected an entry for each stage, got "
            f"{len(stages)}, {len(widths)} and {len(kernels)}"
        )
    if pooling not in ("avg", "max"):
        raise ValueError(f"pooling: expected avg or max, got {pooling!r}")
    divisor = pooled * 2 ** (len(stages) - 1)
    window, rest = divmod(image_size, divisor)
    if rest or not window:
        raise ValueError(f"expected images of a multiple of {divisor} pixels, got {image_size}")
    layers: list[nn.Module] = []
    width = widths[0]
    for stage, count in enumerate(stages):
        for i in range(count):
            stride = 2 if stage and i == 0 else 1
            layers.append(BasicBlock(width, widths[stage], stride, kernels[stage], shortcut_kernel))
            width = widths[stage]
    return nn.Sequential(
        nn.Conv2d(3, widths[0], 3, padding=1, bias=False),
        nn.BatchNorm2d(widths[0]),
        nn.ReLU(),
        *layers,
        nn.AvgPool2d(window) if pooling == "avg" else nn.MaxPool2d(window),
        nn.Flatten(),
        nn.Linear(width * pooled * pooled, num_classes),
    )


def _whole_numbers(name: str, values: Sequence[int], odd: bool = False) -> Sequence[int]:
    """``values``, if they are what they are to be: from 1, and perhaps odd."""
    listed = isinstance(values, (list, tuple)) and len(values) > 0
    if not listed or not all(type(v) is int and v >= 1 and (v % 2 or not odd) for v in values):
        kind = "odd whole numbers" if odd else "whole numbers from 1"
        raise ValueError(f"{name}: expected {kind}, got {values!r:.80}")
    return values
