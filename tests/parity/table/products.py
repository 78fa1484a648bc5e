"""Matrix products and convolution."""

from __future__ import annotations

import operator
from typing import Any

from tests.parity.driver import Call, Drawer
from tests.parity.table import entry, layer


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


@entry("nn.Linear", *layer("Linear", "weight", "bias"), bound="sum")
def linear_layer(d: Drawer) -> Call:
    f, o = d.integer(1, 4), d.integer(1, 4)
    bias = d.array((o,)) if d.integer(0, 1) else None
    x = d.array((*d.shape(0, 3), f + d.rarely(20)))
    return Call([x, d.array((o, f)), bias], (f, o))


@entry("nn.Conv2d", *layer("Conv2d", "weight", "bias"), bound="sum")
def conv2d_layer(d: Drawer) -> Call:
    return _framed(d, conv2d(d))


def _framed(d: Drawer, call: Call) -> Call:
    """The call of the function as one of a layer, the frame perhaps not of zeros."""
    _, w, _ = call.arrays
    call.args = (w.shape[1] * call.options["groups"], w.shape[0], w.shape[2:])
    if not isinstance(call.options["padding"], list | tuple) or len(call.options["padding"]) > 1:
        # PyTorch takes a tuple of one with zeros only.
        call.options["padding_mode"] = d(["zeros", "zeros", "reflect", "replicate", "circular"])
    return call


@entry("functional.conv1d", bound="sum")
def conv1d(d: Drawer) -> Call:
    groups, kernel = d.integer(1, 3), d.integer(1, 3)

    def size(low: int, high: int) -> Any:
        n = d.integer(low, high)
        return d([n, (n,), (n, n) if d.rarely() else n])

    options = {"stride": size(1, 3), "dilation": size(1, 2), "groups": groups}
    options["padding"] = d(["same", "valid"]) if d.rarely(6) else size(0, 3)
    c, o = groups * d.integer(1, 2), groups * d.integer(1, 3)
    shape = [d.integer(1, 3), c + d.rarely(20), d.integer(1, 7)]
    bias = d.array((o + d.rarely(20),)) if d.integer(0, 1) else None
    w = d.array((o, c // groups, kernel), dtype=d.other_dtype())
    return Call([d.array(shape[d.rarely() :]), w, bias], options=options)


@entry("nn.Conv1d", *layer("Conv1d", "weight", "bias"), bound="sum")
def conv1d_layer(d: Drawer) -> Call:
    return _framed(d, conv1d(d))


@entry("functional.conv_transpose2d", bound="sum")
def conv_transpose2d(d: Drawer) -> Call:
    groups = d.integer(1, 3)
    c, each = groups * d.integer(1, 2), d.integer(1, 2)
    options = strided(d) | {"groups": groups, "padding": d.pair(0, 2)}
    options["output_padding"] = d.pair(0, 1)
    shape = [d.integer(1, 3), c + d.rarely(20), d.integer(1, 4), d.integer(1, 4)]
    bias = d.array((groups * each + d.rarely(20),)) if d.integer(0, 1) else None
    w = d.array((c, each, d.integer(1, 3), d.integer(1, 3)), dtype=d.other_dtype())
    return Call([d.array(shape[d.rarely() :]), w, bias], options=options)


@entry("nn.ConvTranspose2d", *layer("ConvTranspose2d", "weight", "bias"), bound="sum")
def conv_transpose2d_layer(d: Drawer) -> Call:
    call = conv_transpose2d(d)
    _, w, _ = call.arrays
    call.args = (w.shape[0], w.shape[1] * call.options["groups"], w.shape[2:])
    return call
