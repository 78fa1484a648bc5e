"""What :mod:`tests.ops.test_implementations` does with an implementation of an operation."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

import minigrad as mg
from minigrad.dispatch import Dispatched, Implementation
from minigrad.tape import Operation, unbroadcast
from tests.common import TOLERANCE, grid, lay_out, layouts, seeds
from tests.emulated import kernels
from tests.guard import guarded

HALF = {"rtol": 4e-3, "atol": 4e-3}
DENSE = ("C", "Fortran", "batch innermost")
FLOATS = (np.float16, np.float32, np.float64)

Arguments = tuple[Sequence[Any], Mapping[str, Any]]


@dataclass(frozen=True)
class Cases:
    """What implementations of an operation are run on.

    Attributes:
        arguments: draws (positional arguments, keyword arguments). Arrays of float64 become arrays
            of a drawn dtype; positional ones are laid out in a drawn memory order.
        gpu: the same for CUDA kernels, of which every set of macros takes seconds to compile.
        dtypes: the floating dtypes to draw from.
        written: positions and names of the arguments that the function writes into.
        limits: values for constants that decide on blocks, which small arrays never reach:
            ``{"minigrad.cpu.conv.MAX_BYTES": (1, 1000)}``.
        special: whether some values may be NaN or infinite.
        batch_last: whether the result and the first argument's gradient have the batch innermost
            in memory where all arguments have.
        dense: positions of arguments that are laid out alike, in a memory order without gaps.
        exact: whether results are the same bits.
        loosen: multiplies the tolerances.
        derivable: whether the operation has a derivative.
        examples: how many are drawn.
    """

    arguments: st.SearchStrategy[Arguments]
    gpu: st.SearchStrategy[Arguments] | None = None
    dtypes: Sequence[Any] = FLOATS
    written: Sequence[int | str] = ()
    limits: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    special: bool = False
    batch_last: bool = True
    dense: Sequence[int] = ()
    exact: bool = False
    loosen: float = 1
    derivable: bool = True
    examples: int = 30


class Call:
    """Drawn arguments: every run gets copies of its own."""

    def __init__(self, data: st.DataObject, cases: Cases, on_gpu: bool) -> None:
        args, params = data.draw(cases.gpu if on_gpu and cases.gpu is not None else cases.arguments)
        dtype = np.dtype(data.draw(st.sampled_from(list(cases.dtypes)), "dtype"))
        special = cases.special and data.draw(st.booleans(), "special")
        generator = np.random.default_rng(data.draw(seeds, "seed"))

        def convert(value: Any) -> Any:
            if isinstance(value, (list, tuple)):
                return type(value)(map(convert, value))
            if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
                return value
            value = value.astype(dtype)
            if special:
                odd = generator.choice([np.nan, np.inf, -np.inf], value.shape).astype(dtype)
                value = np.where(generator.random(value.shape) < 0.1, odd, value)
            return value

        # A sequence in place of an array is a list of parameters, moments ... of an optimiser.
        self.args = [convert(a) for a in args]
        self.params = {name: convert(a) for name, a in params.items()}
        self.special = special
        same = data.draw(layouts, "layout")
        each = data.draw(st.booleans(), "a layout for each")
        self.layouts = [data.draw(layouts) if each else same for _ in args]
        if cases.dense:
            alike = data.draw(st.sampled_from(DENSE), "a layout without gaps")
            for i in cases.dense:
                self.layouts[i] = alike

    def copies(self) -> tuple[list[Any], dict[str, Any]]:
        def copy(value: Any, layout: str) -> Any:
            if isinstance(value, (list, tuple)):
                return type(value)(copy(v, layout) for v in value)
            return lay_out(value, layout) if isinstance(value, np.ndarray) else value

        args = [copy(a, layout) for a, layout in zip(self.args, self.layouts, strict=True)]
        return args, {name: copy(a, "C") for name, a in self.params.items()}

    def arguments(self) -> dict[int | str, Any]:
        return {**dict(enumerate(self.args)), **self.params}


def check(operation: Dispatched, chosen: Implementation, cases: Cases, data: st.DataObject) -> bool:
    """Run ``chosen`` and the definition on what ``data`` draws. False if it does not serve that.

    Values, gradients that are asked for, and what is written into agree; nothing else is changed.
    """
    on_gpu = chosen.device == "gpu"
    call = Call(data, cases, on_gpu)
    mg.set_num_threads(data.draw(st.integers(1, 3), "threads"))
    memory = nullcontext() if on_gpu else guarded()
    with (
        np.errstate(all="ignore"),
        kernels.as_gpu() if on_gpu else nullcontext(),
        patched(data, cases.limits),
        memory,
    ):
        args, params = call.copies()
        try:
            found = (run_only(operation, chosen, args, params), args, params)
        except NotServed:
            return False
        args, params = call.copies()
        expected = (run_only(operation, None, args, params), args, params)
        compare_arguments(call, cases, expected, found)
        if isinstance(operation, Operation):
            compare_operations(call, cases, data, expected, found)
        else:
            compare(call, cases, "result", found[0], expected[0])
    return True


class NotServed(Exception):
    """The implementation's condition does not hold for the arguments."""


def run_only(
    operation: Dispatched, chosen: Implementation | None, args: list[Any], params: dict[str, Any]
) -> Any:
    """The result of ``operation`` by that implementation, or by the definition for None."""
    choose, picked = operation.choose, list[Any]()

    def choose_chosen(*given: Any) -> Any:
        picked.append(choose(*given))
        if chosen is not None and picked[0] is not chosen.function:
            raise NotServed
        return picked[-1]  # later ones are of calls by the implementation itself

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operation, "implementations", [] if chosen is None else [chosen])
        patch.setattr(operation, "choose", choose_chosen)
        return operation.run(*args, **params)


@contextmanager
def patched(data: st.DataObject, limits: Mapping[str, Sequence[Any]]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, values in limits.items():
            module, _, constant = name.rpartition(".")
            value = data.draw(st.sampled_from(list(values)), name)
            patch.setattr(importlib.import_module(module), constant, value)
        yield


Result = tuple[Any, list[Any], dict[str, Any]]


def compare_arguments(call: Call, cases: Cases, expected: Result, found: Result) -> None:
    """What may be written into agrees, all else is as it was."""
    theirs = {**dict(enumerate(expected[1])), **expected[2]}
    ours = {**dict(enumerate(found[1])), **found[2]}
    for name, before in call.arguments().items():
        if name in cases.written:
            compare(call, cases, f"argument {name}", ours[name], theirs[name])
        else:
            same(f"argument {name} was changed", ours[name], before)


def same(text: str, found: Any, expected: Any) -> None:
    if isinstance(expected, (list, tuple)):
        for one, other in zip(found, expected, strict=True):
            same(text, one, other)
    elif isinstance(expected, np.ndarray):
        np.testing.assert_array_equal(found, expected, text)


def compare_operations(
    call: Call, cases: Cases, data: st.DataObject, expected: Result, found: Result
) -> None:
    """Results and gradients of operations."""
    (y, backward), args, _ = found
    (right, definition), theirs, _ = expected
    compare(call, cases, "result", y, right)
    innermost = cases.batch_last and call.layouts == ["batch innermost"] * len(args)
    if innermost:
        assert_batch_last(y)
    if right.dtype.kind != "f" or not cases.derivable:
        return
    floats = [isinstance(a, np.ndarray) and a.dtype.kind == "f" for a in args]
    needs = tuple(f and data.draw(st.booleans(), f"needs {i}") for i, f in enumerate(floats))
    if not any(needs):
        needs = tuple(floats)
    seed = grid(right.shape, seed=1).astype(right.dtype)
    g = lay_out(seed, "batch innermost" if innermost else data.draw(layouts, "layout of g"))
    gradients = backward(g, needs)
    wanted = definition(g, needs)
    np.testing.assert_array_equal(g, seed, "backward wrote into its gradient")
    assert len(gradients) == len(wanted) == len(args)
    for i, (mine, right, x) in enumerate(zip(gradients, wanted, args, strict=True)):
        if not needs[i]:
            continue
        zeros = np.zeros(x.shape, x.dtype)
        mine, right = (zeros if d is None else unbroadcast(d, x.shape) for d in (mine, right))
        compare(call, cases, f"gradient of argument {i}", mine, right)
        assert mine.dtype == x.dtype
        assert not any(np.may_share_memory(mine, a) for a in args if isinstance(a, np.ndarray)), (
            "a gradient is memory of an argument"
        )
        if innermost and i == 0:
            assert_batch_last(mine)
    same("backward changed an argument", args, theirs)


def assert_batch_last(y: np.ndarray) -> None:
    assert y.ndim < 2 or len(y) < 2 or not y.size or y.strides[0] == y.itemsize, y.strides


def compare(call: Call, cases: Cases, what: str, found: Any, expected: Any) -> None:
    """Shape, dtype and values agree."""
    if isinstance(expected, (list, tuple)):
        assert len(found) == len(expected), what
        for one, other in zip(found, expected, strict=True):
            compare(call, cases, what, one, other)
    elif isinstance(expected, (np.ndarray, np.generic)):
        expected = np.asarray(expected)  # a definition may return NumPy's scalar
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype), what
        if cases.exact or expected.dtype.kind != "f":
            np.testing.assert_array_equal(found, expected, what)
            return
        limits = TOLERANCE.get(expected.dtype.type, HALF)
        largest = np.abs(expected[np.isfinite(expected)]).max(initial=1).astype(np.float64)
        rtol, atol = (limits[name] * cases.loosen for name in ("rtol", "atol"))
        np.testing.assert_allclose(found, expected, rtol, atol * largest, err_msg=what)
    else:
        assert found == expected or expected is None, what
