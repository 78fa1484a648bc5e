"""Activations beside ReLU, GELU, the sigmoid and tanh."""

from __future__ import annotations

import math

from tests.parity.driver import Call, Drawer
from tests.parity.table import entry, layer
from tests.parity.table.elementwise import one

# What is a product or a sum of parts that cancel is as exact as the largest result.
for _name in ("relu6", "hardsigmoid"):
    entry(f"functional.{_name}")(one)
for _name in ("hardswish", "silu", "mish", "selu", "logsigmoid"):
    entry(f"functional.{_name}", bound="all")(one)
for _name in ("ReLU6", "Hardsigmoid"):
    entry(f"nn.{_name}", *layer(_name))(one)
for _name in ("Hardswish", "SiLU", "Mish", "SELU", "LogSigmoid"):
    entry(f"nn.{_name}", *layer(_name), "all")(one)


@entry("functional.elu", bound="all")
@entry("functional.celu", bound="all")
@entry("nn.ELU", *layer("ELU"), bound="all")
@entry("nn.CELU", *layer("CELU"), bound="all")
def elu(d: Drawer) -> Call:
    alpha = d([1.0, 0.5, 2, -1.5, 0.25])
    return Call([d.array(d.shape(), -4, 4)], options={"alpha": alpha})


@entry("nn.Hardtanh", *layer("Hardtanh"))
def hardtanh_layer(d: Drawer) -> Call:
    options = {"min_val": d([-1, 0, -0.5, -math.inf]), "max_val": d([1, 6.0, 0.5, math.inf])}
    return Call([d.array(d.shape(), -4, 4)], options=options)


@entry("functional.hardtanh")
def hardtanh(d: Drawer) -> Call:
    call = hardtanh_layer(d)
    if d.rarely():
        call.options["min_val"] = d([2, 1])
    return call


@entry("functional.softplus", bound="all")
@entry("nn.Softplus", *layer("Softplus"), bound="all")
def softplus(d: Drawer) -> Call:
    options = {"beta": d([1.0, 0.5, 3, -2.0]), "threshold": d([20.0, 1, 0.0, -3])}
    return Call([d.array(d.shape(), -4, 4)], options=d([options, options, {}]))


@entry("functional.prelu", bound="sum")
@entry("nn.PReLU", *layer("PReLU", "weight"), bound="sum")
def prelu(d: Drawer) -> Call:
    x = d.array(d.shape())
    channels = x.shape[1] if x.ndim > 1 else 1
    weight = d(
        [(1,), (channels,), (channels,), () if d.rarely() else (1,), (channels + d.rarely(),)]
    )
    return Call([x, d.array(weight, dtype=d.other_dtype())])


@entry("nn.LogSoftmax", *layer("LogSoftmax"), bound="all")
def log_softmax(d: Drawer) -> Call:
    x = d.array(d.shape(), -20, 20)
    return Call([x], options={"dim": d.dim(x.ndim)})
