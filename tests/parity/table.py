"""The table: for every public operation, how to draw calls of it, and both libraries' function.

Arguments are drawn from a little beyond what is right, so that refusals are compared too.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from tests.common import grid
from tests.parity.driver import BROKEN, FAR, NEAR, ORDINARY, Call, Drawer, Entry

F, T = mg.functional, torch.nn.functional
ENTRIES: dict[str, Entry] = {}


def entry(
    name: str,
    ours: Callable[..., Any] | None = None,
    theirs: Callable[..., Any] | None = None,
    bound: str = "each",
) -> Callable[[Callable[[Drawer], Call]], Callable[[Drawer], Call]]:
    """Put the calls that the decorated function draws into the table; by default of the functions
    called ``name`` ("Tensor.sum", "functional.relu") in both libraries."""
    place, _, called = name.rpartition(".")
    homes = {
        "Tensor": (mg.Tensor, torch.Tensor),
        "functional": (F, T),
        "nn": (nn, torch.nn),
        "": (mg, torch),
    }
    first, second = homes[place]

    def add(draw: Callable[[Drawer], Call]) -> Callable[[Drawer], Call]:
        ENTRIES[name] = Entry(
            name, ours or getattr(first, called), theirs or getattr(second, called), draw, bound
        )
        return draw

    return add


# ---------------------------------------------------------------------------- element by element


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


def _turned(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, n: function(n, x)


for _name in ("add", "sub", "mul", "truediv"):
    entry(f"Tensor.__{_name}__", *[getattr(operator, _name)] * 2, "sum")(number_or_tensor)
    entry(f"Tensor.__r{_name}__", *[_turned(getattr(operator, _name))] * 2, "sum")(number_or_tensor)
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


@entry("functional.dropout", lambda *a: _seeded(F.dropout, *a), lambda *a: _dropout(*a))
@entry(
    "nn.Dropout",
    lambda *a: _seeded(lambda x, p, training: nn.Dropout(p).train(training)(x), *a),
    lambda *a: _dropout(*a),
)
def dropout(d: Drawer) -> Call:
    return Call([d.array(d.shape())], (d([0.5, 0.1, 0, 1, 1.0, -0.1, 1.5]), d([True, False])))


def _seeded(function: Callable[..., mg.Tensor], *args: Any) -> mg.Tensor:
    mg.manual_seed(0)
    return function(*args)


def _dropout(x: torch.Tensor, p: float, training: bool) -> torch.Tensor:
    """PyTorch's refusals, and its values for minigrad's mask."""
    y = T.dropout(x, p, training)
    if p in (0, 1) or not training:
        return y
    mask = np.asarray(_seeded(F.dropout, mg.ones(tuple(x.shape)), p, True).numpy() != 0)
    return x * torch.from_numpy(mask) * (1 / (1 - p))


# ---------------------------------------------------------------------------- softmax and losses


@entry("functional.softmax", bound="all")
@entry("functional.log_softmax", bound="all")
@entry("Tensor.softmax", bound="all")
@entry("Tensor.log_softmax", bound="all")
@entry(
    "nn.Softmax",
    lambda x, dim: nn.Softmax(dim)(x),
    lambda x, dim: torch.nn.Softmax(dim)(x),
    bound="all",
)
def softmax(d: Drawer) -> Call:
    x = d.array(d.shape(), -20, 20)
    return Call([x], options={"dim": d.dim(x.ndim)})


REDUCTIONS = ["mean", "sum", "none", "mean", "sum", "none", "avg"]


def classes(d: Drawer, ignore: int = -100) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Scores, class indices (mostly of the right shape and in range), perhaps class weights."""
    shape = d([(3,), (1,), (2, 3), (4, 1), (3, 5), (2, 3, 2), (2, 4, 3, 2), (0, 3), ()])
    c = shape[1] if len(shape) > 1 else shape[0] if shape else 1
    choices = [*range(c)] * 4 + [ignore] + ([c, -1] if d.rarely() else [])
    where = shape[:1] + shape[2:] if len(shape) > 1 else ()
    if d.rarely():
        where = (*where, 1)
    target = np.random.default_rng(d.seed).choice(choices, where)
    target = np.asarray(target).astype(d(["int32", "float32"]) if d.rarely(20) else "int64")
    weight = None
    if d.integer(0, 1):
        kind, d.kind = d.kind, d([ORDINARY, NEAR])
        weight = np.abs(d.array((c + d.rarely(20),), 0.2, 2, d.other_dtype()))
        d.kind = kind
    return d.array(shape, -5, 5), target, weight


def indexed(d: Drawer) -> Call:
    ignore = d([-100, -100, 0, 1])
    x, target, weight = classes(d, ignore)
    options = {"ignore_index": ignore, "reduction": d(REDUCTIONS)}
    return Call([x, target, weight], options=options, fixed=(2,))


def _wide(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """PyTorch's loss, which takes int64 and uint8 targets only, of any integers."""

    def apply(x: torch.Tensor, target: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
        target = target.long() if target.dtype == torch.int32 else target
        return function(x, target, *args, **options)

    return apply


entry("functional.nll_loss", theirs=_wide(T.nll_loss), bound="sum")(indexed)


@entry("functional.cross_entropy", theirs=_wide(T.cross_entropy), bound="all")
@entry(
    "nn.CrossEntropyLoss",
    lambda x, t, w, **o: nn.CrossEntropyLoss(w, **o)(x, t),
    _wide(lambda x, t, w, **o: torch.nn.CrossEntropyLoss(w, **o)(x, t)),
    bound="all",
)
def cross_entropy(d: Drawer) -> Call:
    call = indexed(d)
    call.options["label_smoothing"] = d([0.0, 0.0, 0.1, 1.0] + [1.5, -0.1] * d.rarely())
    if d.integer(0, 2) == 0:  # probabilities, which are never differentiated
        x, _, weight = call.arrays
        shape = x.shape if not d.rarely() else (*x.shape, 1)
        d.kind = ORDINARY if d.kind == FAR else d.kind  # products of 1e60 overflow in any order
        target = np.abs(d.array(shape, 0, 1, d.other_dtype()))
        call = Call([x, target, weight], options=call.options, fixed=(1, 2))
    return call


def _focal_loss(
    x: torch.Tensor,
    target: torch.Tensor,
    weight: torch.Tensor | None,
    gamma: float,
    reduction: str,
) -> torch.Tensor:
    """The definition, on PyTorch's cross-entropy: −w (1 − p)^γ ln p."""
    if gamma < 0 or x.ndim == 0 or (target == -100).any():
        raise ValueError("which the definition does not cover")
    plain = T.cross_entropy(x, target, weight, reduction="none")
    ce = T.cross_entropy(x, target, reduction="none")
    q = -torch.expm1(-ce)
    loss = plain * q**gamma
    if reduction == "mean":
        w = torch.ones_like(ce) if weight is None else weight[target]
        return loss.sum() / w.sum()
    return (
        loss.sum()
        if reduction == "sum"
        else loss
        if reduction == "none"
        else T.mse_loss(x, x, reduction=reduction)
    )


@entry(
    "functional.focal_loss",
    lambda x, t, w, gamma, reduction: F.focal_loss(x, t, gamma, w, reduction),
    _wide(_focal_loss),
    bound="all",
)
@entry(
    "nn.FocalLoss",
    lambda x, t, w, gamma, reduction: nn.FocalLoss(gamma, w, reduction)(x, t),
    _wide(_focal_loss),
    bound="all",
)
def focal_loss(d: Drawer) -> Call:
    d.kind = ORDINARY  # PyTorch's power has an infinite slope where p = 1
    x, target, weight = classes(d)
    gamma = d([0.0, 1.0, 2.0, 3.5, -1.0])
    options = {"gamma": gamma, "reduction": d(REDUCTIONS)}
    return Call([x, target, weight], options=options, fixed=(2,))


@entry("functional.mse_loss", bound="sum")
@entry(
    "nn.MSELoss",
    lambda a, b, **o: nn.MSELoss(**o)(a, b),
    lambda a, b, **o: torch.nn.MSELoss(**o)(a, b),
    bound="sum",
)
def mse_loss(d: Drawer) -> Call:
    a = d.array(d.shape(0, 3))
    shape = d.broadcast(a.shape) if d.rarely() else a.shape
    return Call([a, d.array(shape, dtype=d.other_dtype())], options={"reduction": d(REDUCTIONS)})


@entry("functional.one_hot", theirs=lambda x, *a, **o: T.one_hot(_long(x), *a, **o))
def one_hot(d: Drawer) -> Call:
    d.kind = ORDINARY
    d.dtype = d.dtype if d.rarely() else "int64"
    x = d.array(d.shape(0, 3))
    x = x if d.rarely() else np.abs(x)
    return Call([x], options=d([{}, {"num_classes": d([-1, 7, 9, 2, 0, -2])}]))


def _long(x: torch.Tensor) -> torch.Tensor:
    """One-hot takes int64 only in PyTorch."""
    return x.long() if x.dtype in (torch.int32, torch.uint8) else x


# ---------------------------------------------------------------------------- reductions


@entry("Tensor.sum", bound="sum")
@entry("Tensor.mean", bound="sum")
def total(d: Drawer) -> Call:
    x = d.array(d.shape())
    options = {"dim": d.dims(x.ndim), "keepdim": d([True, False])}
    return Call([x], options=d([options, options, {}]))


@entry("Tensor.var", bound="all")
@entry("Tensor.std", bound="all")
def variance(d: Drawer) -> Call:
    call = total(d)
    if call.options.get("dim") == ():  # where PyTorch's gradient is that of another variance
        del call.options["dim"]
    if call.options and d.rarely(3):
        dim = call.options.pop("dim", None)
        call.args = (dim, d([True, False]))  # unbiased
    elif d.rarely(3):
        return Call(call.arrays, (d([True, False]),))
    else:
        call.options |= d([{}, {"correction": d([0, 1, 2, 0.5, 100])}])
    return call


@entry("Tensor.max")
@entry("Tensor.min")
@entry("Tensor.argmax")
def extreme(d: Drawer) -> Call:
    x = d.array(d.shape())
    options = {"dim": d.dim(x.ndim), "keepdim": d([True, False])}
    return Call([x], options=d([options, options, {}]))


# ---------------------------------------------------------------------------- shape


@entry("Tensor.reshape")
@entry("Tensor.view", theirs=lambda x, *s: x.contiguous().view(*s))
def reshape(d: Drawer) -> Call:
    x = d.array(d.shape())
    sizes = [*d(st.permutations(x.shape))]
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
    return one(d)


@entry("Tensor.T", lambda x: x.T, lambda x: x.T)
def turned(d: Drawer) -> Call:
    return Call([d.array(d.shape(2, 2) if d.integer(0, 3) else d.shape())])


@entry("Tensor.permute")
def permute(d: Drawer) -> Call:
    x = d.array(d.shape())
    order = [n - x.ndim * d.integer(0, 1) for n in d(st.permutations(range(x.ndim)))]
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
    amounts = [d.integer(-1 if d.rarely() else 0, 2) for _ in range(count)]
    options = {"value": d([None, 0, 2.5, -1, True, math.inf])}
    if d.rarely():
        options["mode"] = d(["constant", "reflect", "replicate", "circular", "mirror"])
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


@entry("stack", lambda *xs, dim: mg.stack(xs, dim), lambda *xs, dim: torch.stack(xs, dim))
def stack(d: Drawer) -> Call:
    shape = d.shape(0, 3)
    parts = [
        d.array((*shape, 1) if d.rarely(20) else shape, dtype=d.other_dtype())
        for _ in range(d.integer(0 if d.rarely() else 1, 3))
    ]
    return Call(parts, options={"dim": d.dim(len(shape) + 1)})


@entry("Tensor.__getitem__", *[lambda x, *i: x[_index(i, x)]] * 2, "sum")
def getitem(d: Drawer) -> Call:
    """Integers, slices, None, ... and one list or array of indices or bools."""
    x = d.array(d.shape())
    sides = iter(x.shape)
    parts: list[Any] = []
    for _ in range(d.integer(1, x.ndim + 1 + d.rarely())):
        what = d(["int", "slice", "slice", "none", "list", "array", "mask", "tensor", "ellipsis"])
        n = next(sides, 2) if what not in ("none", "ellipsis") else 0
        span = n + d.rarely(20)
        some = st.integers(-n, span - 1) if span else st.just(0)
        if what == "int":
            parts.append(d(some))
        elif what == "slice":
            ends = st.none() | st.integers(-4, 4)
            steps = [0, -1] if d.rarely(8) else [None, 1, 2, 3]
            parts.append(slice(d(ends), d(ends), d(steps)))
        elif what in ("list", "array", "tensor"):
            found = d(st.lists(some, min_size=1, max_size=3))
            dtype = d(["int64"] * 9 + ["int32", "uint8", "float32"])
            parts.append(found if what == "list" else (what, np.array(found).astype(dtype)))
        elif what == "mask":
            parts.append(d(st.lists(st.booleans(), min_size=n, max_size=span)) if n else ...)
        else:
            parts.append({"none": None, "ellipsis": ...}[what])
    return Call([x], tuple(parts))


def _index(parts: tuple[Any, ...], x: Any) -> Any:
    """An index as a library takes it: a tuple's (kind, array) becomes an array or a tensor."""
    to = torch.tensor if isinstance(x, torch.Tensor) else mg.tensor
    found = tuple(
        (to(p[1]) if p[0] == "tensor" else p[1]) if isinstance(p, tuple) else p for p in parts
    )
    return found[0] if len(found) == 1 else found


@entry("Tensor.tolist", *[lambda x, *a: str(x.tolist(*a))] * 2)  # in which NaN is NaN
@entry("Tensor.__index__", operator.index, operator.index)
@entry("Tensor.__format__", "{:.3f}".format, "{:.3f}".format)
@entry("Tensor.__len__", len, len)
@entry("Tensor.__bool__", bool, bool)
@entry("Tensor.__float__", float, float)
@entry("Tensor.__int__", int, int)
@entry("Tensor.item")
@entry("Tensor.numel")
@entry("Tensor.ndim", lambda x: x.ndim, lambda x: x.ndim)
@entry("Tensor.shape", lambda x: x.shape, lambda x: tuple(x.shape))
def whole(d: Drawer) -> Call:
    """A tensor, mostly of one element."""
    return Call([d.array(d([(), (1,), (1, 1)]) if d.integer(0, 2) else d.shape())])


@entry("Tensor.__array__", *[lambda x, dtype: str(np.array(x.cpu(), dtype))] * 2)
def array(d: Drawer) -> Call:
    return Call([d.array(d.shape())], (d([None, "float64"]),), fixed=(0,))


@entry("Tensor.__iter__", tuple, tuple)
def iterated(d: Drawer) -> Call:
    """One part at least: there must be a result."""
    return Call([d.array(() if d.rarely() else (d.integer(1, 3), *d.shape(0, 2)))])


@entry("Tensor.size", theirs=lambda x, *a: x.size(*a) if a else tuple(x.size()))
def size(d: Drawer) -> Call:
    x = d.array(d.shape())
    return Call([x], d([(), (d.dim(x.ndim),)]))


# ---------------------------------------------------------------------------- products


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


# ---------------------------------------------------------------------------- windows


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


# ---------------------------------------------------------------------------- batch norm


def _normalised(
    function: Callable[..., Any], clone: Callable[[Any], Any]
) -> Callable[..., tuple[Any, ...]]:
    """The result and the running statistics after the call, which changes them in place."""

    def apply(
        x: Any, mean: Any, var: Any, w: Any, b: Any, residual: Any = None, **options: Any
    ) -> tuple[Any, ...]:
        mean, var = (None if t is None else clone(t) for t in (mean, var))
        if residual is not None:
            options |= {"residual": residual, "relu": True}
        return function(x, mean, var, w, b, **options), mean, var

    return apply


def _residual_norm(x: Any, *statistics: Any, residual: Any, relu: bool, **options: Any) -> Any:
    """What minigrad's one pass means, in PyTorch's words."""
    if residual.shape != x.shape:
        raise ValueError("PyTorch would broadcast")
    return T.relu(T.batch_norm(x, *statistics, **options) + residual)


def moments(d: Drawer, c: int) -> list[np.ndarray | None]:
    """Running mean and variance, weight and bias of (mostly) ``c`` channels, each perhaps None."""
    kind, d.kind = d.kind, ORDINARY
    found = [
        d.array((c + d.rarely(30),), *ends, dtype=d.other_dtype()) if d.integer(0, 4) else None
        for ends in ((-2, 2), (0.5, 2), (-2, 2), (-2, 2))
    ]
    d.kind = kind
    return found


@entry(
    "functional.batch_norm",
    _normalised(F.batch_norm, lambda t: mg.Tensor(t.data.copy())),
    _normalised(T.batch_norm, torch.clone),
    bound="all",
)
def batch_norm(d: Drawer) -> Call:
    d.kind = d([ORDINARY, ORDINARY, NEAR, BROKEN])
    shape = (d.integer(1, 4), d.integer(1, 3), *(max(1, n) for n in d.shape(0, 3)))
    shape = shape[: d.integer(1, 2)] if d.rarely(20) else shape
    options = {
        "training": d([True, False]),
        "momentum": d([0.1, 0.0, 1.0, 0.7]),
        "eps": d([1e-5, 1e-3, 0.0 if d.rarely() else 0.1]),
    }
    arrays = [d.array(shape), *moments(d, shape[1] if len(shape) > 1 else 1)]
    return Call(arrays, options=options, fixed=(1, 2))


@entry(
    "functional.batch_norm with residual and relu",
    _normalised(F.batch_norm, lambda t: mg.Tensor(t.data.copy())),
    _normalised(_residual_norm, torch.clone),
    bound="all",
)
def batch_norm_residual(d: Drawer) -> Call:
    call = batch_norm(d)
    shape = call.arrays[0].shape
    call.arrays.append(d.array((*shape[:-1], 1) if d.rarely() else shape))
    return call


def _norm_layer(library: Any, loads: Callable[[Any, dict[str, Any]], Any]) -> Callable[..., Any]:
    def apply(x: Any, training: bool, state: dict[str, np.ndarray], **options: Any) -> Any:
        name = "BatchNorm2d" if x.ndim == 4 else "BatchNorm1d"
        layer = getattr(library, name)(3, **options)
        loads(layer, state)
        layer.to(x.device)
        layer.train(training)
        # Twice: what the first batch leaves behind is seen by the second.
        return layer(layer(x)), *layer.buffers()

    return apply


def _load(layer: Any, state: dict[str, np.ndarray]) -> None:
    names = layer.state_dict()
    layer.load_state_dict(
        {k: torch.tensor(v) for k, v in state.items() if k in names}, strict=False
    )


@entry("nn.BatchNorm1d", _norm_layer(nn, _load), _norm_layer(torch.nn, _load), bound="all")
@entry("nn.BatchNorm2d", _norm_layer(nn, _load), _norm_layer(torch.nn, _load), bound="all")
def batch_norm_layer(d: Drawer) -> Call:
    d.kind, d.dtype = ORDINARY, "float32"
    shape = (d.integer(1, 4), 3 + d.rarely(30), *d([(), (2,), (2, 3), (2, 3), (1, 2, 2)]))
    names = ("running_mean", "running_var", "weight", "bias")
    ends = ((-2, 2), (0.5, 2), (-2, 2), (-2, 2))
    state = {
        name: grid((3,), i, *e).astype("float32")
        for i, (name, e) in enumerate(zip(names, ends, strict=True))
    }
    options = {
        "momentum": d([0.1, 0.0, 1.0, None if d.rarely() else 0.7]),
        "eps": d([1e-5, 0.1]),
        "affine": d([True, False]),
        "bias": d([True, False]),
        "track_running_stats": not d.rarely(),
    }
    return Call([d.array(shape)], options=options | {"training": d([True, False]), "state": state})


# ---------------------------------------------------------------------------- making tensors


@entry("zeros", lambda *a: mg.zeros(*a), lambda *a: torch.zeros(*a))
@entry("ones", lambda *a: mg.ones(*a), lambda *a: torch.ones(*a))
def sized(d: Drawer) -> Call:
    sizes = d(st.lists(st.integers(-1 if d.rarely() else 0, 4), max_size=3))
    return Call([], d([tuple(sizes), (tuple(sizes),), (sizes,)]))


@entry("randn", lambda *a: mg.randn(*a) * 0, lambda *a: torch.randn(*a) * 0)
def random(d: Drawer) -> Call:
    return sized(d)


@entry(
    "tensor",
    lambda data, dtype: mg.tensor(data, dtype),
    lambda data, dtype: torch.tensor(data, dtype=dtype and getattr(torch, dtype)),
)
def made(d: Drawer) -> Call:
    numbers = st.sampled_from([0, 1, -2, 2.5, True, False, math.inf, 2**31, "1", None, 1j])
    plain = st.sampled_from([0, 1, -2, 2.5, True, False])
    numbers = numbers if d.rarely(4) else plain
    rows = st.lists(st.lists(numbers, min_size=2, max_size=2), max_size=3)
    data = d(numbers | st.lists(numbers, max_size=3) | rows)
    if isinstance(data, list) and data and d.rarely():
        data.append([1])
    return Call([], (data, d([None, None, "float64", "float32", "int64", "bool"])))
