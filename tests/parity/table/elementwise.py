"""Operations on each element, and activations."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import minigrad as mg
from minigrad import nn
from tests.parity.driver import NEAR, ORDINARY, Call, Drawer
from tests.parity.table import F, T, entry


def one(d: Drawer) -> Call:
    """One tensor of any shape."""
    return Call([d.array(d.shape(), -4, 4)])


for _name in ("__neg__", "abs", "exp", "log", "sqrt", "relu", "sigmoid", "detach", "cpu"):
    entry(f"Tensor.{_name}")(one)
for _name in ("relu", "sigmoid"):
    entry(f"functional.{_name}")(one)
for _name in ("Sigmoid", "ReLU"):
    entry(f"nn.{_name}", getattr(nn, _name)(), getattr(torch.nn, _name)())(one)
entry("Tensor.tanh", bound="all")(one)  # 1 − y² cancels
entry("functional.tanh", bound="all")(one)
entry("nn.Tanh", nn.Tanh(), torch.nn.Tanh(), "all")(one)

NUMBERS = [0, 1, 2, -3, 0.5, -1.25, True, 300, 2**40, 1e30, 1e300, math.inf, math.nan]


def number_or_tensor(d: Drawer) -> Call:
    """Two operands: tensors that broadcast, perhaps of two dtypes, or a number second."""
    a = d.array(d.shape(0, 3))
    if d.integer(0, 2):
        return Call([a, d.array(d.broadcast(a.shape), 0.5, 2, d.other_dtype())])
    return Call([a], (d(NUMBERS),))


def _reflected(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, n: function(n, x)


for _name in ("add", "sub", "mul", "truediv"):
    entry(f"Tensor.__{_name}__", *[getattr(operator, _name)] * 2, "sum")(number_or_tensor)
    entry(f"Tensor.__r{_name}__", *[_reflected(getattr(operator, _name))] * 2, "sum")(
        number_or_tensor
    )
for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    entry(f"Tensor.__{_name}__", *[getattr(operator, _name)] * 2)(number_or_tensor)


EXPONENTS = [0, 1, 2, 3, -1, -2, 0.5, -0.5, 1.5, 2.0, 0.0, 60, 300, math.inf, math.nan, "2"]


@entry("Tensor.pow")
@entry("Tensor.__pow__", operator.pow, operator.pow)
def power(d: Drawer) -> Call:
    if d.rarely():
        x = d.array(d.shape())
        return Call([x, d.array(x.shape)])
    return Call([d.array(d.shape())], (d(EXPONENTS),))


@entry("Tensor.clamp")
def clamp(d: Drawer) -> Call:
    bounds = [None, -1, 0, 1.5, -0.50317, True, math.inf, math.nan, 300, 1e300]
    names = d([("min",), ("max",), ("min", "max"), ("min", "max"), ()])
    return Call([d.array(d.shape())], options={name: d(bounds) for name in names})


@entry("Tensor.clamp between tensors", mg.Tensor.clamp, torch.Tensor.clamp)
def clamp_between(d: Drawer) -> Call:
    x = d.array(d.shape(0, 3))
    # PyTorch's backward fails where two bounds are larger than x.
    shapes = ([n if d.integer(0, 3) else 1 for n in x.shape][d.integer(0, 1) :] for _ in range(2))
    low, high = (d.array(shape, dtype=d.other_dtype()) for shape in shapes)
    return Call([x, *d([(low, high), (low, high), (low, None), (None, high)])])


@entry("functional.leaky_relu")
def leaky_relu(d: Drawer) -> Call:
    slope = d([0.01, 0.3, -0.5, 0.0, 1, 2.0, math.inf, math.nan if d.rarely() else 0.1])
    return Call([d.array(d.shape())], options={"negative_slope": slope})


@entry("nn.LeakyReLU", lambda x, *a: nn.LeakyReLU(*a)(x), lambda x, *a: torch.nn.LeakyReLU(*a)(x))
def leaky_relu_layer(d: Drawer) -> Call:
    return Call([d.array(d.shape())], d([(), (0.3,), (-1,)]))


APPROXIMATIONS = ["none", "tanh", "erf"]


@entry("functional.gelu", bound="all")
def gelu(d: Drawer) -> Call:
    return Call([d.array(d.shape(), -6, 6)], options={"approximate": d(APPROXIMATIONS)})


@entry(
    "nn.GELU",
    lambda x, approximate: nn.GELU(approximate)(x),
    lambda x, approximate: torch.nn.GELU(approximate)(x),
    "all",
)
def gelu_layer(d: Drawer) -> Call:
    return gelu(d)


@entry("where")
def where(d: Drawer) -> Call:
    shape = d.shape(0, 3)
    condition = d.array(d.broadcast(shape), dtype="int64") > 0
    if d.rarely():
        condition = condition.astype(d(["int64", "float32", "uint8"]))
    if d.integer(0, 1):
        return Call([condition, d.array(shape), d.array(d.broadcast(shape), dtype=d.other_dtype())])
    return Call([condition, d.array(shape)], (d(NUMBERS),))


@entry("Tensor.to", lambda x, name: x.to(name), lambda x, name: x.to(getattr(torch, name)))
def to(d: Drawer) -> Call:
    # Out of an integer's range the result is the compiler's choice in both libraries.
    d.kind = d([ORDINARY, NEAR])
    return Call([d.array(d.shape())], (d(["float32", "float64", "int64", "uint8", "bool"]),))


@entry("functional.dropout", lambda *a: _seeded(F.dropout, *a), lambda *a: _dropout("", *a))
@entry("nn.Dropout", lambda *a: _layer("Dropout", *a), lambda *a: _dropout("", *a))
def dropout(d: Drawer) -> Call:
    return Call([d.array(d.shape())], (d([0.5, 0.1, 0, 1, 1.0, -0.1, 1.5]), d([True, False])))


@entry("functional.dropout1d", lambda *a: _seeded(F.dropout1d, *a), lambda *a: _dropout("1d", *a))
@entry("nn.Dropout1d", lambda *a: _layer("Dropout1d", *a), lambda *a: _dropout("1d", *a))
def dropout1d(d: Drawer) -> Call:
    return Call([d.array(d.shape(1 if d.rarely() else 2, 3))], dropout(d).args)


@entry("functional.dropout2d", lambda *a: _seeded(F.dropout2d, *a), lambda *a: _dropout("2d", *a))
@entry("nn.Dropout2d", lambda *a: _layer("Dropout2d", *a), lambda *a: _dropout("2d", *a))
def dropout2d(d: Drawer) -> Call:
    return Call([d.array(d.shape(1 if d.rarely() else 4, 4))], dropout(d).args)


def _layer(name: str, x: mg.Tensor, p: float, training: bool) -> mg.Tensor:
    return _seeded(lambda x: getattr(nn, name)(p).train(training)(x), x)


def _seeded(function: Callable[..., mg.Tensor], *args: Any) -> mg.Tensor:
    mg.manual_seed(0)
    return function(*args)


def _dropout(dims: str, x: torch.Tensor, p: float, training: bool) -> torch.Tensor:
    """PyTorch's refusals, and its values for minigrad's mask."""
    y = getattr(T, f"dropout{dims}")(x, p, training)
    if p in (0, 1) or not training:
        return y
    ours = getattr(F, f"dropout{dims}")
    mask = np.asarray(_seeded(ours, mg.ones(tuple(x.shape)), p, True).numpy() != 0)
    return x * torch.from_numpy(mask) * (1 / (1 - p))
