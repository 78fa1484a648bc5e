"""Functions of each element that are methods too: smooth ones, rounding, comparison, logic."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch

import minigrad as mg
from tests.parity.driver import FAR, NEAR, ORDINARY, Call, Drawer
from tests.parity.table import FEW, entry
from tests.parity.table.elementwise import number_or_tensor, one

SMOOTH = "sin cos tan asin acos atan sinh cosh asinh acosh atanh exp2 expm1 log2 log10 log1p"
ROUND = "floor ceil trunc sign frac isnan isinf isfinite logical_not bitwise_not"
OTHERS = "neg reciprocal rsqrt square erf clone contiguous is_floating_point"
for _name in f"{SMOOTH} {ROUND} {OTHERS}".split():
    entry(f"Tensor.{_name}", bound="all" if _name in ("tan", "erf") else "each", examples=FEW)(one)
entry("Tensor.__abs__", abs, abs, examples=FEW)(one)
entry("Tensor.__invert__", operator.invert, operator.invert, examples=FEW)(one)


@entry("Tensor.round")
def rounded(d: Drawer) -> Call:
    d.kind = d([d.kind, ORDINARY, NEAR])
    x = d.array(d.shape(), -40, 40)
    if x.dtype.kind != "f" or d.kind == FAR:
        return Call([x])
    return Call([x], options={"decimals": d([0, 1, -1, 2])})


def _turned(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, n: function(n, x)


def two(d: Drawer) -> Call:
    """Two tensors that broadcast."""
    a = d.array(d.shape(0, 3))
    return Call([a, d.array(d.broadcast(a.shape), dtype=d.other_dtype())])


def whole(d: Drawer) -> Call:
    """Operands of an operator that wants bools or integers, mostly."""
    if d.integer(0, 5):
        d.dtype = d(["bool", "int64", "int32", "uint8"])
    call = number_or_tensor(d)
    return call if len(call.arrays) == 2 else Call(call.arrays, (d([0, 1, 5, True, False, 1.5]),))


for _name in ("and", "or", "xor"):
    _function = getattr(operator, f"{_name}_" if _name != "xor" else "xor")
    entry(f"Tensor.__{_name}__", *[_function] * 2, examples=FEW)(whole)
    entry(f"Tensor.__r{_name}__", *[_turned(_function)] * 2, examples=FEW)(whole)
    entry(f"Tensor.bitwise_{_name}", examples=FEW)(whole)
    entry(f"Tensor.logical_{_name}", examples=FEW)(two)
for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    entry(f"Tensor.{_name}", examples=FEW)(number_or_tensor)


@entry("Tensor.maximum")
@entry("Tensor.minimum")
@entry("Tensor.max of two", mg.Tensor.max, lambda a, b: a.max(b))
def tensors(d: Drawer) -> Call:
    return two(d)


@entry("Tensor.atan2", bound="all")
def angle(d: Drawer) -> Call:
    a = d.array(d.shape(0, 3))  # of two dtypes PyTorch negates an unsigned integer
    return Call([a, d.array(d.broadcast(a.shape))])


@entry("Tensor.mul", bound="sum", examples=FEW)
@entry("Tensor.add", bound="sum")
@entry("Tensor.sub", bound="sum")
def added(d: Drawer) -> Call:
    return number_or_tensor(d)


@entry("Tensor.add with alpha", mg.Tensor.add, lambda *a, **o: a[0].add(*a[1:], **o), "sum")
@entry("Tensor.sub with alpha", mg.Tensor.sub, lambda *a, **o: a[0].sub(*a[1:], **o), "sum")
def scaled(d: Drawer) -> Call:
    d.kind = d([ORDINARY, NEAR])
    d.dtype = d(["float32", "float64", "int64"])
    call = number_or_tensor(d)
    if len(call.arrays) == 1:
        call.args = (d([1, 0.5, -2]),)
    call.options = {"alpha": d([1, 2, -3, 0.5])}
    return call


DIVISORS = [1, 2, -3, 0.5, -1.25, 300, True]


def divided(d: Drawer) -> Call:
    """A dividend, and a divisor that is a number or a tensor; rarely 0 if they are integers."""
    d.kind = d([ORDINARY, NEAR, d.kind])
    d.kind = ORDINARY if d.kind == FAR else d.kind  # a quotient of 1e60 has no fractional part
    a = d.array(d.shape(0, 3), -9, 9)
    if not d.integer(0, 2):
        return Call([a], (d(DIVISORS if a.dtype.kind == "f" else [*DIVISORS, 0]),))
    b = d.array(d.broadcast(a.shape), 0.7, 3, d.other_dtype())
    return Call([a, b])


def _fixed(draw: Callable[[Drawer], Call]) -> Callable[[Drawer], Call]:
    """Without gradients, which the operation has not; now and then with, and both refuse."""

    def drawn(d: Drawer) -> Call:
        call = draw(d)
        call.fixed = () if d.rarely(20) else (0, 1)
        return call

    return drawn


entry("Tensor.__floordiv__", *[operator.floordiv] * 2)(_fixed(divided))
entry("Tensor.__rfloordiv__", *[_turned(operator.floordiv)] * 2)(_fixed(divided))
entry("Tensor.floor_divide", examples=FEW)(_fixed(divided))
entry("Tensor.__mod__", *[operator.mod] * 2, "all")(divided)
entry("Tensor.__rmod__", *[_turned(operator.mod)] * 2, "all")(divided)
entry("Tensor.remainder", bound="all", examples=FEW)(divided)
entry("Tensor.fmod", bound="all")(divided)


@entry("Tensor.div")
def div(d: Drawer) -> Call:
    call = divided(d)
    call.options = {"rounding_mode": d([None, "floor", "trunc", "round" if d.rarely() else None])}
    return call


@entry("Tensor.pow of tensors", mg.Tensor.pow, lambda a, b: a.pow(b), "all")
def powers(d: Drawer) -> Call:
    d.kind = d([ORDINARY, NEAR])
    a = d.array(d.shape(0, 3), 0.1, 2)
    return Call([a, d.array(d.broadcast(a.shape), -2, 2, d.other_dtype())])


@entry("Tensor.__rpow__", *[_turned(operator.pow)] * 2, "all")
def exponential(d: Drawer) -> Call:
    d.kind = d([ORDINARY, NEAR])
    return Call([d.array(d.shape(0, 3))], (d([2, 0.5, 1, 0, 3.0, 1.5]),))


@entry("Tensor.lerp", bound="sum")
@entry("Tensor.addcmul", bound="sum")
@entry("Tensor.addcdiv", bound="sum")
def three(d: Drawer) -> Call:
    d.kind = d([ORDINARY, NEAR])
    a = d.array(d.shape(0, 3))
    others = [d.array(d.broadcast(a.shape), 0.5, 2) for _ in range(2)]
    return Call([a, *others])


@entry("Tensor.where", examples=FEW)
def where(d: Drawer) -> Call:
    a = d.array(d.shape(0, 3))
    condition = d.array(d.broadcast(a.shape), dtype="int64") > 0
    return Call([a, condition, d.array(d.broadcast(a.shape))])


@entry("Tensor.clip", examples=FEW)
def clip(d: Drawer) -> Call:
    bounds = d([{"min": -0.5}, {"max": 1}, {"min": -1, "max": 0.3}])
    return Call([d.array(d.shape())], options=bounds)


@entry("Tensor.isclose")
@entry("Tensor.allclose", examples=FEW)
@entry("Tensor.equal", examples=FEW)
def near(d: Drawer) -> Call:
    a = d.array(d.shape(0, 3))
    b = a.copy() if d.integer(0, 2) else d.array(d.broadcast(a.shape), dtype=d.other_dtype())
    if b.dtype.kind == "f":
        b = b * b.dtype.type(d([1, 1, 1 + 1e-5, 1 + 1e-3]))
    return Call([a, b], fixed=(0, 1))


for _name in ["byte", "bool", "int", "long", "short", "float", "double", "half"]:

    @entry(f"Tensor.{_name}", examples=FEW)
    def converted(d: Drawer) -> Call:
        # Out of an integer's range the result is the compiler's choice in both libraries.
        d.kind = d([ORDINARY, NEAR])
        return Call([d.array(d.shape(), 0, 4)], fixed=(0,))


@entry("Tensor.type", theirs=lambda x, name: x.type(getattr(torch, name)), examples=FEW)
def typed(d: Drawer) -> Call:
    d.kind = ORDINARY
    return Call([d.array(d.shape())], (d(["float32", "float64", "int64", "bool"]),))


for _name in ("type_as", "view_as", "reshape_as", "expand_as"):

    @entry(f"Tensor.{_name}", examples=FEW)
    def alike(d: Drawer, name: str = _name) -> Call:
        d.kind = ORDINARY
        shape = d.shape(0, 3)
        a = d.array(d.broadcast(shape) if name == "expand_as" else shape)
        other = shape if name != "view_as" else shape[::-1]
        if d.rarely():
            other = (*other, 2)
        return Call([a, d.array(other, dtype=d.other_dtype())], fixed=(1,))


@entry("Tensor.logaddexp", bound="all")
def logaddexp(d: Drawer) -> Call:
    d.dtype = d(["float32", "float64"])
    a = d.array(d.shape(0, 3))
    return Call([a, d.array(d.broadcast(a.shape))])


@entry("Tensor.nan_to_num")
def nan_to_num(d: Drawer) -> Call:
    options = d([{}, {}, {"nan": 2.0}, {"posinf": 1.0, "neginf": -3}])
    return Call([d.array(d.shape())], options=options)
