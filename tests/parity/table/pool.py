"""Pooling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

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
        options["stride"] = d(st.none() | st.just(d.pair(low, 4)))
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
    one = st.integers(-1 if d.rarely() else 1, 5)
    sizes = d(one | st.tuples(one) | st.tuples(st.none() | one, st.none() | one))
    return Call([image(d)], options={"output_size": sizes})
