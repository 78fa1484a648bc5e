"""Normalisation of each example by itself, and of vectors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tests.parity.driver import BROKEN, NEAR, ORDINARY, Call, Drawer
from tests.parity.table import F, T, entry, layer

EPS = [1e-3, 0.1, 1e-2]  # a smaller one makes rounding of a single value large


def affine(d: Drawer, shape: tuple[int, ...]) -> list[np.ndarray | None]:
    """A scale and a shift of (mostly) ``shape``, each perhaps None."""
    kind, d.kind = d.kind, ORDINARY
    found: list[np.ndarray | None] = []
    for _ in range(2):
        wrong = (*shape[:-1], shape[-1] + d.rarely(30))
        found.append(d.array(wrong, dtype=d.other_dtype()) if d.integer(0, 2) else None)
    d.kind = kind
    return found


def _moved(library: Any, name: str) -> Any:
    """The function with its sizes behind its tensors."""
    return lambda x, w, b, n, **o: getattr(library, name)(x, n, w, b, **o)


@entry("functional.layer_norm", *[_moved(m, "layer_norm") for m in (F, T)], bound="all")
@entry("nn.LayerNorm", *layer("LayerNorm", "weight", "bias"), bound="all")
def layer_norm(d: Drawer) -> Call:
    d.kind = d([ORDINARY, ORDINARY, NEAR, BROKEN])
    shape = d.shape(1)
    sizes = shape[d.integer(0, len(shape) - 1) :]
    sizes = (*sizes[:-1], sizes[-1] + d.rarely(20))
    arrays = [d.array(shape), *affine(d, sizes)]
    return Call(arrays, (d([sizes, list(sizes)]),), {"eps": d(EPS)})


@entry("functional.group_norm", *[_moved(m, "group_norm") for m in (F, T)], bound="all")
def group_norm(d: Drawer) -> Call:
    d.kind = d([ORDINARY, ORDINARY, NEAR, BROKEN])
    groups, each = d.integer(1, 3), d.integer(1, 3)
    sides = [d.integer(1, 3) for _ in range(d.integer(0, 2))]
    channels = groups * each + d.rarely(20)
    shape = (d.integer(1, 3), channels, *sides)  # PyTorch's backward fails for no example
    weight, bias = affine(d, (channels,))
    bias = bias if weight is not None else None  # where PyTorch's backward fails
    return Call([d.array(shape), weight, bias], (groups,), {"eps": d(EPS)})


@entry("nn.GroupNorm", *layer("GroupNorm", "weight", "bias"), bound="all")
def group_norm_layer(d: Drawer) -> Call:
    call = group_norm(d)
    x = call.arrays[0]
    call.args = (*call.args, x.shape[1])
    return call


def _instance_norm(library: Any) -> Any:
    return lambda x, w, b, **o: library.instance_norm(x, weight=w, bias=b, **o)


@entry("functional.instance_norm", *[_instance_norm(m) for m in (F, T)], bound="all")
def instance_norm(d: Drawer) -> Call:
    d.kind = d([ORDINARY, ORDINARY, NEAR, BROKEN])
    shape = (d.integer(1, 3), d.integer(1, 3), *(d.integer(1, 3) for _ in range(d.integer(1, 3))))
    return Call([d.array(shape), *affine(d, shape[1:2])], options={"eps": d(EPS)})


@entry("nn.InstanceNorm2d", *layer("InstanceNorm2d", "weight", "bias"), bound="all")
def instance_norm2d(d: Drawer) -> Call:
    return _instance_norm_layer(d, 2)


@entry("nn.InstanceNorm1d", *layer("InstanceNorm1d", "weight", "bias"), bound="all")
def instance_norm1d(d: Drawer) -> Call:
    return _instance_norm_layer(d, 1)


def _instance_norm_layer(d: Drawer, dims: int) -> Call:
    call = instance_norm(d)
    sides = [d.integer(1, 3) for _ in range(dims + d.rarely())]
    shape = [d.integer(1, 3), call.arrays[0].shape[1], *sides]
    call.arrays[0] = d.array(shape[d.rarely(4) :])
    channels = shape[1]
    return Call(call.arrays, (channels,), call.options | {"momentum": 0.2, "affine": True})


@entry("functional.normalize", bound="all")
def normalize(d: Drawer) -> Call:
    d.kind = d([ORDINARY, ORDINARY, NEAR, BROKEN])
    x = d.array(d.shape())
    options = {"p": d([2.0, 2, 1, 3.5, math.inf]), "eps": d([1e-12, 0.5])}
    options["dim"] = d.dim(x.ndim) if d.integer(0, 2) else d([1, (0, 1), -1])
    return Call([x], options=options)
