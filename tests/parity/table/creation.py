"""New tensors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import minigrad as mg
from tests.parity.driver import ORDINARY, Call, Drawer
from tests.parity.table import FEW, entry


@entry("zeros", lambda *a: mg.zeros(*a), lambda *a: torch.zeros(*a))
@entry("ones", lambda *a: mg.ones(*a), lambda *a: torch.ones(*a))
def sized(d: Drawer) -> Call:
    sizes = d.integers(-1 if d.rarely() else 0, 4, 3)
    return Call([], d([tuple(sizes), (tuple(sizes),), (sizes,)]))


@entry("rand", lambda *a: mg.rand(*a) * 0, lambda *a: torch.rand(*a) * 0)
@entry("randn", lambda *a: mg.randn(*a) * 0, lambda *a: torch.randn(*a) * 0)
def random(d: Drawer) -> Call:
    return sized(d)


@entry(
    "tensor",
    lambda data, dtype: mg.tensor(data, dtype),
    lambda data, dtype: torch.tensor(data, dtype=dtype and getattr(torch, dtype)),
)
def made(d: Drawer) -> Call:
    numbers = [0, 1, -2, 2.5, True, False]
    numbers += [math.inf, 2**31, "1", None, 1j] if d.rarely(4) else []
    rows = d.several(lambda: [d(numbers), d(numbers)], 0, 3)
    data = d([d(numbers), d.several(lambda: d(numbers), 0, 3), rows])
    if isinstance(data, list) and data and d.rarely():
        data.append([1])
    return Call([], (data, d([None, None, "float64", "float32", "int64", "bool"])))


DTYPES = [None, None, "float32", "float64", "int64", "uint8", "bool"]


def in_dtype(library: Any, name: str | None) -> dict[str, Any]:
    """``dtype`` as a library takes it."""
    if name is None:
        return {}
    return {"dtype": name if library is mg else getattr(torch, name)}


def both(name: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The functions ``name`` of both libraries, with a dtype by its name."""
    return (
        lambda *a, dtype=None: getattr(mg, name)(*a, **in_dtype(mg, dtype)),
        lambda *a, dtype=None: getattr(torch, name)(*a, **in_dtype(torch, dtype)),
    )


@entry("full", *both("full"))
def full(d: Drawer) -> Call:
    sizes = tuple(d.integers(-1 if d.rarely() else 0, 3, 3))
    numbers = [0, 1, 2.5, True, -1, math.inf] if d.rarely(4) else [0, 1, 2.5, True]
    return Call([], (sizes, d(numbers)), {"dtype": d([None, None, "float64", "float32", "int64"])})


@entry("arange", *both("arange"))
def arange(d: Drawer) -> Call:
    one, other = (d([0, 1, 2, 5, -3, 0.5, 2.5, 10]) for _ in range(2))
    arguments = d([(one,), (one, other), (one, other, d([1, 2, 0.5, -1, 0.3, 0]))])
    return Call([], arguments, {"dtype": d([None, None, "float32", "float64", "int64"])})


@entry("linspace", *both("linspace"), "all")
def linspace(d: Drawer) -> Call:
    numbers = [0, 1, -2.5, 10.0, 3]
    arguments = (d(numbers), d(numbers), d([0, 1, 2, 5, 9, -1 if d.rarely() else 3]))
    return Call([], arguments, {"dtype": d([None, "float64"])})


@entry("eye", *both("eye"))
def eye(d: Drawer) -> Call:
    side, other = (d.integer(-1 if d.rarely() else 0, 4) for _ in range(2))
    return Call([], d([(side,), (side, other)]), {"dtype": d(DTYPES)})


@entry("randint", *[lambda *a, m=m: m.randint(*a) * 0 for m in (mg, torch)])
def randint(d: Drawer) -> Call:
    size = tuple(d.integers(0, 3, 2))
    return Call([], d([(5, size), (0, 5, size), (-3, 2, size), (3, 3, size), (0, size)]))


@entry("randperm", *[lambda n, m=m: m.randperm(n).sort().values for m in (mg, torch)])
def randperm(d: Drawer) -> Call:
    return Call([], (d.integer(-1 if d.rarely() else 0, 5),))


for _name, _ends in {"zeros": (), "ones": (), "full": (2,)}.items():

    @entry(
        f"{_name}_like",
        lambda x, dtype, n=_name, a=_ends: getattr(mg, f"{n}_like")(x, *a, **in_dtype(mg, dtype)),
        lambda x, dtype, n=_name, a=_ends: getattr(torch, f"{n}_like")(
            x, *a, **in_dtype(torch, dtype)
        ),
        examples=FEW,
    )
    @entry(
        f"Tensor.new_{_name}",
        lambda x, dtype, n=_name, a=_ends: getattr(x, f"new_{n}")(
            (2, 3), *a, **in_dtype(mg, dtype)
        ),
        lambda x, dtype, n=_name, a=_ends: getattr(x, f"new_{n}")(
            (2, 3), *a, **in_dtype(torch, dtype)
        ),
        examples=FEW,
    )
    def like(d: Drawer) -> Call:
        return Call([d.array(d.shape())], (d(DTYPES),))


@entry("empty", *[lambda *a, m=m: m.zeros_like(m.empty(*a)) for m in (mg, torch)], examples=FEW)
def empty(d: Drawer) -> Call:
    return sized(d)


for _name in ("rand_like", "randn_like", "empty_like"):

    @entry(
        _name,
        *[lambda x, m=m, n=_name: m.zeros_like(getattr(m, n)(x)) for m in (mg, torch)],
        examples=FEW,
    )
    @entry("Tensor.new_empty", *[lambda x: tuple(x.new_empty(2, 3).shape)] * 2, examples=FEW)
    def like_random(d: Drawer) -> Call:
        return Call([d.array(d.shape())])


@entry("Tensor.new_tensor", *[lambda x, values: x.new_tensor(values)] * 2, examples=FEW)
def new_tensor(d: Drawer) -> Call:
    d.dtype = d(["float32", "float64", "int64", "bool"])
    return Call([d.array(d.shape())], (d([1, [1, 2], [[0, 1]], 2.5, []]),))


@entry("as_tensor", *both("as_tensor"), examples=FEW)
def as_tensor(d: Drawer) -> Call:
    if d.integer(0, 1):
        return Call([d.array(d.shape())], options={"dtype": d(DTYPES[:4])})
    return Call([], (d([1, 2.5, [1, 2], [[True]]]),), {"dtype": d(DTYPES)})


@entry("from_numpy", *[lambda values, m=m: m.from_numpy(values) for m in (mg, torch)], examples=FEW)
def from_numpy(d: Drawer) -> Call:
    return Call([], (d.array(d.shape()) if not d.rarely() else [1],))


@entry("is_tensor", *[lambda *a, m=m: m.is_tensor(a[0]) for m in (mg, torch)], examples=20)
def is_tensor(d: Drawer) -> Call:
    return d([Call([d.array(())]), Call([], (1,)), Call([], (None,))])


@entry("bernoulli", *[lambda x, m=m: m.bernoulli(x) for m in (mg, torch)], examples=FEW)
def bernoulli(d: Drawer) -> Call:
    """Of certainties, and of what is no probability."""
    x = (d.array(d.shape()) > 0).astype(d.dtype)
    return Call([x * x.dtype.type(2) if d.rarely() and x.dtype.kind == "f" else x], fixed=(0,))


@entry(
    "bernoulli of p",
    *[lambda x, *, m=m: m.zeros_like(m.bernoulli(x, 0.5)) for m in (mg, torch)],
    examples=FEW,
)
@entry(
    "Tensor.normal_",
    lambda x: mg.zeros_like(x.clone().normal_()),
    lambda x: torch.zeros_like(x.clone().normal_()),
    examples=FEW,
)
def of_any_dtype(d: Drawer) -> Call:
    return Call([d.array(d.shape())], fixed=(0,))


@entry("multinomial", *[lambda x, n, m=m: m.multinomial(x, n).sort().values for m in (mg, torch)],
       examples=FEW)  # fmt: skip
def multinomial(d: Drawer) -> Call:
    """All of the classes, or too many."""
    shape = d([(3,), (1,), (2, 3)])
    d.kind = ORDINARY
    x = np.abs(d.array(shape, 0.5, 2, d(["float32", "float64"])))
    return Call([x], (shape[-1] + d.rarely(),), fixed=(0,))
