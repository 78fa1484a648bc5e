"""Matrix products and convolution."""

from __future__ import annotations

import operator
from typing import Any

import torch

from minigrad import nn
from tests.parity.driver import Call, Drawer
from tests.parity.table import entry


@entry("Tensor.matmul", bound="sum")
@entry("Tensor.__matmul__", *[operator.matmul] * 2, "sum")
def matmul(d: Drawer) -> Call:
    m, k, n = (d.integer(0 if d.rarely() else 1, 4) for _ in range(3))
    batch = d.shape(0, 2)
    a = (k,) if d.rarely(4) else (*d.broadcast(batch), m, k)
    b = (k,) if d.rarely(4) else (*batch, k + d.rarely(20), n)
    if d.rarely(20):
        b = ()
    return Call([d.array(a), d.array(b, dtype=d.other_dtype())])


def linear_call(d: Drawer) -> Call:
    f, o = (d.integer(0 if d.rarely() else 1, 4) for _ in range(2))
    weight = (f,) if d.rarely(20) else (o, f + d.rarely(20))
    bias = d.array((o + d.rarely(20),), dtype=d.other_dtype()) if d.integer(0, 1) else None
    return Call([d.array((*d.shape(0, 3), f)), d.array(weight), bias])


entry("functional.linear", bound="sum")(linear_call)


def strided(d: Drawer, ints: bool = False) -> dict[str, Any]:
    low = 0 if d.rarely(20) else 1
    return {"stride": d.pair(low, 3), "dilation": d.pair(low, 2)}


@entry("functional.conv2d", bound="sum")
def conv2d(d: Drawer) -> Call:
    groups = d.integer(1, 3)
    kernel = (d.integer(1, 3), d.integer(1, 3))
    options = strided(d) | {"groups": groups}
    options["padding"] = d(["same", "valid", "full"]) if d.rarely(6) else d.pair(-d.rarely(20), 3)
    c, o = groups * d.integer(1, 2), groups * d.integer(1, 3)
    size = [d.integer(1, 7), d.integer(1, 7)]
    shape = [0 if d.rarely() else d.integer(1, 3), c + d.rarely(20), *size]
    if d.rarely():
        shape = shape[1:]
    bias = d.array((o + d.rarely(20),)) if d.integer(0, 1) else None
    x, w = d.array(shape), d.array((o + d.rarely(20), c // groups, *kernel), dtype=d.other_dtype())
    return Call([x, w, bias], options=options)


def _with_parameters(layer: Any, parameters: list[Any]) -> Any:
    """A layer that computes with these tensors, in either library."""
    for name, value in zip(("weight", "bias"), parameters, strict=False):
        if isinstance(layer, torch.nn.Module):
            del layer._parameters[name]
        vars(layer)[name] = value
    return layer


@entry(
    "nn.Linear",
    lambda x, w, b, *a: _with_parameters(nn.Linear(*a, b is not None), [w, b])(x),
    lambda x, w, b, *a: _with_parameters(torch.nn.Linear(*a, b is not None), [w, b])(x),
    bound="sum",
)
def linear_layer(d: Drawer) -> Call:
    f, o = d.integer(1, 4), d.integer(1, 4)
    bias = d.array((o,)) if d.integer(0, 1) else None
    x = d.array((*d.shape(0, 3), f + d.rarely(20)))
    return Call([x, d.array((o, f)), bias], (f, o))


@entry(
    "nn.Conv2d",
    lambda x, w, b, *a, **o: _with_parameters(nn.Conv2d(*a, bias=b is not None, **o), [w, b])(x),
    lambda x, w, b, *a, **o: _with_parameters(torch.nn.Conv2d(*a, bias=b is not None, **o), [w, b])(
        x
    ),
    bound="sum",
)
def conv2d_layer(d: Drawer) -> Call:
    call = conv2d(d)
    _, w, _ = call.arrays
    modes = ["zeros", "reflect", "circular", "mirror"] if d.rarely() else ["zeros"]
    call.args = (w.shape[1] * call.options["groups"], w.shape[0], w.shape[2:])
    call.options["padding_mode"] = d(modes)
    return call
