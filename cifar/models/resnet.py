"""Residual networks of any shape, for ``cifar search``: the *resnet* study's space of networks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from cifar.models.resnet_82 import BasicBlock, stages
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
        blocks, channels, kernel_sizes: for each stage; kernel sizes are odd.
        shortcut_kernel: kernel size of the shortcuts that change the shape; odd.
        pooling: "avg" or "max", at the end.
        pooled: rows and columns of the pooling's result, all of which the linear layer uses.

    Raises:
        ValueError: a value is out of range, or the image size is not divisible by the stages and
            the pooling.
    """
    counts = _whole_numbers("blocks", blocks)
    widths = _whole_numbers("channels", channels)
    kernels = _whole_numbers("kernel_sizes", kernel_sizes, odd=True)
    _whole_numbers("shortcut_kernel", [shortcut_kernel], odd=True)
    _whole_numbers("pooled", [pooled])
    if not len(counts) == len(widths) == len(kernels):
        raise ValueError(
            "blocks, channels, kernel_sizes: expected an entry for each stage, got "
            f"{len(counts)}, {len(widths)} and {len(kernels)}"
        )
    if pooling not in ("avg", "max"):
        raise ValueError(f"pooling: expected avg or max, got {pooling!r}")
    makers = [
        [partial(BasicBlock, kernel_size=kernel, shortcut_kernel=shortcut_kernel)] * count
        for kernel, count in zip(kernels, counts, strict=True)
    ]
    return stages(
        makers,
        widths,
        num_classes,
        image_size,
        stem=widths[0],
        pool=nn.AvgPool2d if pooling == "avg" else nn.MaxPool2d,
        pooled=pooled,
    )


def _whole_numbers(name: str, values: Sequence[int], odd: bool = False) -> Sequence[int]:
    """``values``, if they are what they are to be: from 1, and perhaps odd."""
    listed = isinstance(values, (list, tuple)) and len(values) > 0
    if not listed or not all(type(v) is int and v >= 1 and (v % 2 or not odd) for v in values):
        kind = "odd whole numbers" if odd else "whole numbers from 1"
        raise ValueError(f"{name}: expected {kind}, got {values!r:.80}")
    return values
