"""Operations on shapes, joining and padding."""

from __future__ import annotations

import math

import torch

import minigrad as mg
from minigrad import nn
from tests.parity.driver import Call, Drawer
from tests.parity.table import T, entry


@entry("Tensor.reshape")
@entry("Tensor.view", theirs=lambda x, *s: x.contiguous().view(*s))
def reshape(d: Drawer) -> Call:
    x = d.array(d.shape())
    sizes = d.shuffled(x.shape)
    if len(sizes) > 1 and d.integer(0, 1):
        sizes[:2] = [sizes[0] * sizes[1]]
    if d.integer(0, 1):
        sizes.insert(0, 1)
    if sizes and d.integer(0, 2) == 0:
        sizes[d.integer(0, len(sizes) - 1)] = d([-1, -1, -2, 0, 3])
    return Call([x], tuple(sizes) if sizes and d.integer(0, 1) else (tuple(sizes),))


@entry("Tensor.flatten")
def flatten(d: Drawer) -> Call:
    x = d.array(d.shape())
    first, last = d.dim(x.ndim), d.dim(x.ndim)
    return Call([x], d([(), (first,), (first, last)]))


@entry("nn.Flatten", lambda x, *a: nn.Flatten(*a)(x), lambda x, *a: torch.nn.Flatten(*a)(x))
def flatten_layer(d: Drawer) -> Call:
    return flatten(d)


@entry("nn.Identity", lambda x: nn.Identity(1)(x), lambda x: torch.nn.Identity(1)(x))
def identity(d: Drawer) -> Call:
    return Call([d.array(d.shape(), -4, 4)])


@entry("Tensor.T", lambda x: x.T, lambda x: x.T)
def transposed(d: Drawer) -> Call:
    return Call([d.array(d.shape(2, 2) if d.integer(0, 3) else d.shape())])


@entry("Tensor.permute")
def permute(d: Drawer) -> Call:
    x = d.array(d.shape())
    order = [n - x.ndim * d.integer(0, 1) for n in d.shuffled(range(x.ndim))]
    if d.rarely():
        order = [d.dim(x.ndim) for _ in order]
    return Call([x], d([tuple(order), (tuple(order),)]) if order else ((),))


@entry("Tensor.transpose")
def transpose(d: Drawer) -> Call:
    x = d.array(d.shape())
    return Call([x], (d.dim(x.ndim), d.dim(x.ndim)))


@entry("Tensor.squeeze")
def squeeze(d: Drawer) -> Call:
    x = d.array(d.shape()[:3] + d([(), (1,), (1, 1)]))
    dims = d.dims(x.ndim)
    return Call([x], () if dims is None else (dims,))


@entry("Tensor.unsqueeze")
def unsqueeze(d: Drawer) -> Call:
    x = d.array(d.shape())
    return Call([x], (d.dim(x.ndim + 1),))


@entry("Tensor.expand", bound="sum")
def expand(d: Drawer) -> Call:
    whole = d.shape()
    x = d.array(d.broadcast(whole))
    sizes = [-1 if d.rarely(4) else n for n in whole]
    return Call([x], d([tuple(sizes), (tuple(sizes),)]) if sizes else ((),))


@entry("functional.pad")
@entry("Tensor.pad", mg.Tensor.pad, T.pad)
def pad(d: Drawer) -> Call:
    x = d.array(d.shape())
    count = 2 * d.integer(0, x.ndim + d.rarely()) + d.rarely(20)
    amounts = [d.integer(-2 if d.rarely() else 0, 2) for _ in range(count)]
    options = {"value": d([None, 0, 2.5, -1, True, math.inf])}
    if d.integer(0, 2) and x.size:  # PyTorch refuses some that are empty
        options["mode"] = d(["constant", "reflect", "replicate", "circular"])
        if options["mode"] != "constant" and not d.rarely():
            options["value"] = None
    return Call([x], (d([tuple(amounts), amounts]),), options)


@entry("cat", lambda *xs, dim: mg.cat(xs, dim), lambda *xs, dim: torch.cat(xs, dim))
def cat(d: Drawer) -> Call:
    shape = d.shape()
    at = d.dim(len(shape))
    parts = []
    for _ in range(d.integer(0 if d.rarely() else 1, 3)):
        part = [*shape]
        if shape and -len(shape) <= at < len(shape):
            part[at] = d.integer(0, 3)
        if part and d.rarely(20):
            part[0] += 1
        parts.append(d.array(part, dtype=d.other_dtype()))
    return Call(parts, options={"dim": at})


@entry("hstack", lambda *xs: mg.hstack(xs), lambda *xs: torch.hstack(xs), examples=60)
@entry("vstack", lambda *xs: mg.vstack(xs), lambda *xs: torch.vstack(xs), examples=60)
def side_by_side(d: Drawer) -> Call:
    shape = d.shape(0, 3)
    return Call([d.array(shape) for _ in range(d.integer(1, 3))])


@entry("stack", lambda *xs, dim: mg.stack(xs, dim), lambda *xs, dim: torch.stack(xs, dim))
def stack(d: Drawer) -> Call:
    shape = d.shape(0, 3)
    parts = [
        d.array((*shape, 1) if d.rarely(20) else shape, dtype=d.other_dtype())
        for _ in range(d.integer(0 if d.rarely() else 1, 3))
    ]
    return Call(parts, options={"dim": d.dim(len(shape) + 1)})
