"""Pooling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from minigrad import nn
from tests.parity.driver import Call, Drawer
from tests.parity.table import entry


def image(d: Drawer, low: int = 1) -> np.ndarray:
    shape = [d.integer(1, 3), d.integer(1, 2), d.integer(low, 8), d.integer(low, 8)]
    if d.rarely():
        shape[d.integer(0, 3)] = 0
    return d.array(shape[1:] if d.rarely(4) else shape)


def window(d: Drawer) -> dict[str, Any]:
    low = 0 if d.rarely() else 1
    options: dict[str, Any] = {"kernel_size": d.pair(low, 4), "ceil_mode": d([True, False])}
    if d.integer(0, 1):
        options["stride"] = d([None, d.pair(low, 4)])
    if d.integer(0, 1):
        options["padding"] = d.pair(-d.rarely(), 2)
    return options


def _layer(name: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    return (
        lambda x, **o: getattr(nn, name)(**o)(x),
        lambda x, **o: getattr(torch.nn, name)(**o)(x),
    )


@entry("functional.max_pool2d")
@entry("nn.MaxPool2d", *_layer("MaxPool2d"))
def max_pool2d(d: Drawer) -> Call:
    options = window(d)
    if d.integer(0, 1):
        options["dilation"] = d.pair(1 - d.rarely(), 3)
    # Below the dilation a window may see no pixel at all, where PyTorch's backward crashes.
    return Call([image(d, 3 if "dilation" in options else 1)], options=options)


@entry("functional.avg_pool2d", bound="sum")
@entry("nn.AvgPool2d", *_layer("AvgPool2d"), bound="sum")
def avg_pool2d(d: Drawer) -> Call:
    more = {"count_include_pad": d([True, False]), "divisor_override": d([None, None, 1, 5, -2, 0])}
    return Call([image(d)], options=window(d) | d([{}, more]))


@entry("functional.adaptive_avg_pool2d", bound="sum")
@entry("nn.AdaptiveAvgPool2d", *_layer("AdaptiveAvgPool2d"), bound="sum")
def adaptive_avg_pool2d(d: Drawer) -> Call:
    one, *two = (d.integer(-1 if d.rarely() else 1, 5) for _ in range(3))
    sizes = d([one, (one,), tuple(d([None, size]) for size in two)])
    return Call([image(d)], options={"output_size": sizes})


@entry("functional.adaptive_max_pool2d")
@entry("nn.AdaptiveMaxPool2d", *_layer("AdaptiveMaxPool2d"))
def adaptive_max_pool2d(d: Drawer) -> Call:
    return adaptive_avg_pool2d(d)


def row(d: Drawer, low: int = 1) -> np.ndarray:
    return d.array((d.integer(1, 3), d.integer(1, 2), d.integer(low, 8))[d.rarely(4) :])


@entry("functional.adaptive_avg_pool1d", bound="sum")
@entry("nn.AdaptiveAvgPool1d", *_layer("AdaptiveAvgPool1d"), bound="sum")
@entry("functional.adaptive_max_pool1d")
def adaptive_pool1d(d: Drawer) -> Call:
    size = d.integer(1, 5)
    return Call([row(d)], options={"output_size": d([size, (size,)])})


def row_window(d: Drawer) -> dict[str, Any]:
    kernel, stride = d.integer(0 if d.rarely() else 1, 4), d.integer(1, 4)
    options: dict[str, Any] = {"kernel_size": d([kernel, (kernel,)]), "ceil_mode": d([True, False])}
    options["stride"] = d([None, stride, (stride,)])
    return options | {"padding": d([0, 1, 2])}


@entry("functional.max_pool1d")
@entry("nn.MaxPool1d", *_layer("MaxPool1d"))
def max_pool1d(d: Drawer) -> Call:
    dilation = d([1, 1, 2])
    return Call([row(d, 3)], options=row_window(d) | {"dilation": dilation})


@entry("functional.avg_pool1d", bound="sum")
@entry("nn.AvgPool1d", *_layer("AvgPool1d"), bound="sum")
def avg_pool1d(d: Drawer) -> Call:
    return Call([row(d)], options=row_window(d) | {"count_include_pad": d([True, False])})
