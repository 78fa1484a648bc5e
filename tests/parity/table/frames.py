"""Layers that frame images, and the inverse of Flatten."""

from __future__ import annotations

import math

from tests.parity.driver import Call, Drawer
from tests.parity.table import MANY, entry, layer


def framed(d: Drawer, low: int, dims: int) -> Call:
    """An image and the amounts of its frame."""
    x = d.array((d.integer(1, 2), 2, *(d.integer(2, 4) for _ in range(dims)))[d.rarely(4) :])
    amounts = tuple(d.integer(low, 2) for _ in range(2 * dims))
    return Call([x], (d([amounts, amounts, d.integer(0, 2)]),))


@entry("nn.ZeroPad2d", *layer("ZeroPad2d"), examples=MANY)
def zero_pad2d(d: Drawer) -> Call:
    return framed(d, -2, 2)


@entry("nn.ZeroPad1d", *layer("ZeroPad1d"), examples=MANY)
def zero_pad1d(d: Drawer) -> Call:
    return framed(d, -2, 1)


@entry("nn.ConstantPad2d", *layer("ConstantPad2d"), examples=MANY)
def constant_pad2d(d: Drawer) -> Call:
    call = framed(d, -2, 2)
    call.args = (*call.args, d([0, 2, 3.5]))
    return call


@entry("nn.ReflectionPad2d", *layer("ReflectionPad2d"), "sum", MANY)
@entry("nn.ReplicationPad2d", *layer("ReplicationPad2d"), "sum", MANY)
def copies(d: Drawer) -> Call:
    return framed(d, 0, 2)


@entry("nn.Unflatten", *layer("Unflatten"))
def unflatten(d: Drawer) -> Call:
    before, after = d.shape(0, 2), d.shape(0, 1)
    sizes = [d.integer(1, 3) for _ in range(d.integer(1, 3))]
    x = d.array((*before, math.prod(sizes), *after))
    if d.integer(0, 1):
        sizes[d.integer(0, len(sizes) - 1)] = 2 if d.rarely() else -1
    return Call([x], (len(before) - x.ndim * d.integer(0, 1), d([tuple(sizes), sizes])))
