"""One comparison with PyTorch for every operation: both agree, or both refuse, or it is written
down in docs/differences.md."""

from __future__ import annotations

import random
import warnings
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

import minigrad as mg
from tests.common import LAYOUTS, REFUSALS, grid, host, lay_out

ON_THE_CPU = ("zeros", "ones", "randn", "tensor", "Tensor.cpu")  # whatever they are given
OUR_REFUSALS = (TypeError, ValueError, NotImplementedError, IndexError)
RTOL = {np.dtype("f8"): 1e-11, np.dtype("f4"): 2e-5, np.dtype("f2"): 2e-3}

ORDINARY, NEAR, FAR, BROKEN = "ordinary", "ties", "mixed magnitudes", "not finite"
POOLS = {
    NEAR: [0.0, -0.0, 1.0, -1.0, 2.0],
    FAR: [1e30, -1e30, 1e-30, -1e-30, 1e-40, -1e-40, 5e-324, 0.0, 1.0, -3.0],
    BROKEN: [np.nan, np.inf, -np.inf, 0.0, 1.0, -2.0],
}


@dataclass
class Call:
    """The arrays (or None) that become tensors, and the other arguments, as they are."""

    arrays: Sequence[np.ndarray | None]
    args: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    fixed: tuple[int, ...] = ()  # arrays that are never differentiated


@dataclass(frozen=True)
class Entry:
    """An operation of both libraries and how to draw calls of it.

    ``bound`` says what rounding is measured by: "each" element of the result; "sum", the result
    for the inputs' absolute values, which bounds the terms of a sum that may cancel; or "all",
    the largest element of the result.
    """

    name: str
    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    draw: Callable[[Drawer], Call]
    bound: str
    examples: int  # as many calls are drawn; fewer of one of many that are alike


@dataclass(frozen=True)
class Difference:
    """An intended difference: a test that shows it, and how the driver meets it.

    ``says``: texts of minigrad's errors where PyTorch gives a result, at the entries whose name
    contains one of ``at``. ``differs(entry, call)``: which results are then minigrad's own:
    how their names start ("gradient", "output 1"), "all", or "" for none.
    """

    show: Callable[[], None]
    says: tuple[str, ...] = ()
    at: tuple[str, ...] = ("",)
    differs: Callable[[Entry, Call], str] = lambda entry, call: ""

    def refuses(self, entry: Entry, text: str) -> bool:
        return any(s in text for s in self.says) and any(a in entry.name for a in self.at)


class Drawer:
    """Draws shapes, arrays and arguments that are mostly right; one dtype and one kind of values
    per call, so that the kinds do not drown each other.

    Call ``number`` of an entry is the same everywhere. Hypothesis would draw it four times as
    slowly as both libraries compute it, and has nothing to shrink: calls are small.
    """

    def __init__(
        self, entry: Entry, number: int, kinds: Sequence[str] = (), ints: bool = True
    ) -> None:
        self.integer = random.Random(f"{entry.name} {number}").randint  # both ends included
        self.kind = self([ORDINARY, *(kinds or (ORDINARY, *POOLS))])
        dtypes = ["float32"] * 4 + ["float64"] * 3
        self.dtype = self(dtypes + ["int64", "int32", "uint8", "bool"] * ints)
        self.seed = self.integer(0, 2**32 - 1)

    def __call__(self, choices: Sequence[Any]) -> Any:
        return choices[self.integer(0, len(choices) - 1)]

    def rarely(self, one_in: int = 12) -> bool:
        return self.integer(1, one_in) == one_in

    def several(self, one: Callable[[], Any], low: int, high: int) -> list[Any]:
        """From ``low`` to ``high`` of what ``one`` draws."""
        return [one() for _ in range(self.integer(low, high))]

    def integers(self, low: int, high: int, most: int) -> list[int]:
        """At most ``most`` of them."""
        return self.several(lambda: self.integer(low, high), 0, most)

    def shuffled(self, items: Iterable[Any]) -> list[Any]:
        left = [*items]
        return [left.pop(self.integer(0, len(left) - 1)) for _ in range(len(left))]

    def pair(self, low: int, high: int) -> Any:
        """An int or a pair of ints, or a sequence of another length."""
        if self.rarely():
            return self.integers(low, high, 3)
        one, other = self.integer(low, high), self.integer(low, high)
        return self([one, (one, other), (one,)])

    def shape(self, low: int = 0, high: int = 4) -> tuple[int, ...]:
        """Sides 1 to 4, and now and then an empty one."""
        shape = self.several(lambda: self.integer(1, 4), low, high)
        if shape and self.rarely():
            shape[self.integer(0, len(shape) - 1)] = 0
        return tuple(shape)

    def dim(self, ndim: int) -> int:
        """Mostly one that exists, from either end."""
        span = max(ndim, 1) + self.rarely()
        return self.integer(-span, span - 1)

    def dims(self, ndim: int) -> Any:
        """None, a dimension or a tuple of them, perhaps with one twice."""
        one = self.dim(ndim)
        return self([tuple(self.integers(-ndim, ndim - 1, ndim + 1)) if ndim else None, one])

    def array(
        self, shape: Sequence[int], low: float = -2.0, high: float = 2.0, dtype: str = ""
    ) -> np.ndarray:
        """Values of this call's kind and dtype; ``low`` and ``high`` hold for ordinary ones."""
        self.seed += 1
        dtype = dtype or self.dtype
        if self.kind == ORDINARY or np.dtype(dtype).kind != "f":
            values = grid(shape, self.seed, low, high)
            if np.dtype(dtype).kind != "f":
                values = np.abs(values * 3) if dtype == "uint8" else np.round(values * 3)
        else:
            values = np.random.default_rng(self.seed).choice(POOLS[self.kind], shape)
        with np.errstate(all="ignore"):
            return np.asarray(values).astype(dtype)

    def other_dtype(self) -> str:
        """This call's dtype, or now and then another."""
        return self(["float32", "float64", "int64"]) if self.rarely(20) else self.dtype

    def broadcast(self, shape: Sequence[int]) -> tuple[int, ...]:
        """A shape that broadcasts with ``shape``, mostly."""
        other = [1 if self.integer(0, 3) == 0 else n for n in shape]
        other = other[self.integer(0, len(other)) :]
        if other and self.rarely(20):
            other[0] += 1
        return tuple(other)


def drawn(entry: Entry, number: int) -> tuple[Call, str, frozenset[int]]:
    """A call, a memory layout, and which of its arrays require gradients."""
    d = Drawer(entry, number)
    call = entry.draw(d)
    floating = [
        i
        for i, a in enumerate(call.arrays)
        if a is not None and a.dtype.kind == "f" and i not in call.fixed
    ]
    wanted = {i for i in floating if d.integer(0, 1)}
    return call, d(LAYOUTS), frozenset(wanted or floating)


def check(
    entry: Entry,
    call: Call,
    layout: str,
    wanted: frozenset[int],
    device: str = "cpu",
    differences: dict[str, Difference] | None = None,
) -> None:
    """Fail unless both libraries refuse the call, or agree on values, dtypes, shapes, devices and
    the gradients of ``wanted``, or an intended difference says why not."""
    differences = differences or {}
    if device != "cpu":
        call = _for_gpus(entry, call)
    try:
        expected = _theirs(entry, call, wanted)
    except (*REFUSALS, OverflowError, AssertionError) as error:  # int(infinity); padding_idx
        expected = error
    try:
        found = _ours(entry, call, layout, wanted, device)
    except (*OUR_REFUSALS, OverflowError) as error:
        if isinstance(expected, Exception) and not (
            isinstance(error, OverflowError) and not isinstance(expected, OverflowError)
        ):
            return
        text = str(error)
        if any(d.refuses(entry, text) for d in differences.values()):
            return
        raise AssertionError(f"{entry.name} refuses what PyTorch accepts: {text}") from error
    own = [d.differs(entry, call) for d in differences.values()]
    if "all" in own:
        return
    assert not isinstance(expected, Exception), (
        f"{entry.name} accepts what PyTorch refuses: {expected}"
    )
    bounds = [None] * len(expected)
    if entry.bound == "sum":
        positive = [
            a
            if a is None or a.dtype.kind != "f"
            else np.asarray(np.nan_to_num(np.abs(a), nan=0, posinf=0))
            for a in call.arrays
        ]
        same = Call(positive, call.args, call.options, call.fixed)
        bounds = _theirs(entry, same, wanted, positive=True)
    assert found.keys() == expected.keys(), f"{entry.name}: {[*found]} instead of {[*expected]}"
    for what, theirs in expected.items():
        if any(o and what.startswith(o) for o in own):
            continue
        bound = bounds[what] if entry.bound == "sum" else None
        first = np.asarray(expected["output 0"]).dtype  # a gradient is no more exact
        _assert_close(f"{entry.name}: {what}", found[what], theirs, bound, entry.bound, first)


def _for_gpus(entry: Entry, call: Call) -> Call:
    """``call`` without what has another meaning on a GPU: subnormal float32 numbers, which are 0
    there (see docs/differences.md), and negative floats as uint8, which C leaves open."""
    unsigned = entry.name == "Tensor.to" and "uint8" in map(
        str, (*call.args, *call.options.values())
    )

    def array(a: np.ndarray | None) -> np.ndarray | None:
        if a is None or a.dtype.kind != "f":
            return a
        a = np.abs(a) if unsigned else a
        return np.where(np.abs(a) < np.finfo(np.float32).tiny, 0, a) if a.dtype == "f4" else a

    return replace(call, arrays=[array(a) for a in call.arrays])


def _outputs(y: Any) -> tuple[Any, ...]:
    return tuple(y) if isinstance(y, tuple) else (y,)


def _theirs(
    entry: Entry, call: Call, wanted: frozenset[int], positive: bool = False
) -> dict[str, Any]:
    """What PyTorch gives: results and gradients by name, as arrays or plain Python values."""
    xs = [None if a is None else torch.tensor(np.array(a, order="C")) for a in call.arrays]
    for i in wanted:
        xs[i].requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outputs = _outputs(entry.theirs(*xs, *call.args, **call.options))
        found: dict[str, Any] = {
            f"output {k}": y.detach().numpy() if isinstance(y, torch.Tensor) else y
            for k, y in enumerate(outputs)
        }
        first = outputs[0]
        if isinstance(first, torch.Tensor) and first.requires_grad:
            seed = _seed(first.shape, found["output 0"].dtype)
            first.backward(torch.tensor(np.abs(seed) if positive else seed))
    for i in sorted(wanted):
        found[f"gradient {i}"] = None if xs[i].grad is None else xs[i].grad.numpy()
    return found


def _seed(shape: Sequence[int], dtype: np.dtype[Any]) -> np.ndarray:
    """The gradient that arrives at the result."""
    return np.asarray(grid(shape, seed=1).astype(dtype))


def _ours(
    entry: Entry, call: Call, layout: str, wanted: frozenset[int], device: str
) -> dict[str, Any]:
    """The same of minigrad, which must leave its inputs as they were."""
    to = mg.device(device)
    given = [None if a is None else np.asarray(lay_out(a, layout)) for a in call.arrays]
    xs = [
        None if a is None else mg.tensor(a, device=device, requires_grad=i in wanted)
        for i, a in enumerate(given)
    ]
    if device == "cpu":  # mg.tensor copies, perhaps into another layout
        for x, a in zip(xs, given, strict=True):
            if x is not None:
                x.data = a
    outputs = _outputs(entry.ours(*xs, *call.args, **call.options))
    home = mg.device("cpu") if entry.name in ON_THE_CPU else to
    for y in outputs:
        assert not isinstance(y, mg.Tensor) or y.device == home, f"{entry.name}: left the device"
    found: dict[str, Any] = {
        f"output {k}": host(y) if isinstance(y, mg.Tensor) else y for k, y in enumerate(outputs)
    }
    first = outputs[0]
    if isinstance(first, mg.Tensor) and first.requires_grad:
        seed = _seed(first.shape, first.dtype)
        g = mg.tensor(seed, device=home)
        first.backward(g)
        np.testing.assert_array_equal(host(g), seed, f"{entry.name} wrote into its gradient")
    for i in sorted(wanted):
        found[f"gradient {i}"] = None if xs[i].grad is None else host(xs[i].grad)
    for i, (x, before) in enumerate(zip(xs, call.arrays, strict=True)):
        if before is not None and i not in call.fixed:
            np.testing.assert_array_equal(host(x), before, f"{entry.name} changed input {i}")
    again = _outputs(entry.ours(*xs, *call.args, **call.options))
    nodes = [weakref.ref(y.node) for y in again if isinstance(y, mg.Tensor) and y.node is not None]
    del again
    assert not any(node() for node in nodes), f"{entry.name}: a cycle keeps the graph alive"
    return found


def _assert_close(
    what: str, found: Any, expected: Any, bound: Any, mode: str, first: np.dtype[Any]
) -> None:
    if not isinstance(expected, np.ndarray):
        assert type(found) is type(expected), f"{what}: {found!r} instead of {expected!r}"
        assert found == expected or found != found, f"{what}: {found!r} instead of {expected!r}"
        return
    assert isinstance(found, np.ndarray), f"{what}: {found!r} instead of an array"
    assert found.shape == expected.shape, f"{what}: {found.shape} instead of {expected.shape}"
    assert found.dtype == expected.dtype, f"{what}: {found.dtype} instead of {expected.dtype}"
    if expected.dtype.kind != "f":
        np.testing.assert_array_equal(found, expected, what)
        return
    rtol = max(RTOL[expected.dtype], RTOL.get(first, 0))
    finite = np.isfinite(expected)
    with np.errstate(all="ignore"):
        allowed = np.abs(np.where(finite, expected, 0)).astype(np.float64)
        if mode == "sum":
            allowed = np.maximum(allowed, np.nan_to_num(np.abs(bound), nan=0, posinf=np.inf))
        if mode == "all":
            allowed = np.full_like(allowed, max(allowed.max(initial=0), 2))  # terms are so large
        allowed = rtol * allowed + 8 * float(np.finfo(expected.dtype).tiny)
        off = np.abs(found.astype(np.float64) - expected)
    both = (found == expected) | (np.isnan(found) & np.isnan(expected))
    # Where the terms themselves overflow, the result depends on their order.
    same = np.where(finite, off <= allowed, both) | np.isinf(allowed)
    assert same.all(), (
        f"{what}: {found[~same].reshape(-1)[:4]} instead of {expected[~same].reshape(-1)[:4]} "
        f"at {[tuple(int(n) for n in i) for i in np.argwhere(~same)[:4]]}, allowed "
        f"{allowed[~same].reshape(-1)[:4]}"
    )
