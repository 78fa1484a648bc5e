"""What the engine's tests share: arrays of every memory layout, and one comparison with PyTorch."""

from __future__ import annotations

import inspect
import os
import re
import sys
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad.device import device_of, move
from minigrad.events import Listener
from minigrad.tape import Variable
from minigrad.testing import LAYOUTS, grid, lay_out, layouts, seeds, shapes

__all__ = ["LAYOUTS", "layouts", "seeds", "shapes"]  # of minigrad.testing, for all tests

NOBODY = 65534

LOOSE = {"rtol": 2e-4, "atol": 2e-5}
TOLERANCE = {np.float64: {"rtol": 1e-9, "atol": 1e-10}, np.float32: LOOSE}
REFUSALS = (RuntimeError, ValueError, TypeError, IndexError, NotImplementedError)


def tensor_names() -> set[str]:
    """Public attributes and operators of Tensor."""
    members = {**vars(Variable), **vars(mg.Tensor)}
    return {
        name
        for name, value in members.items()
        if not name.startswith("_") or (name.startswith("__") and callable(value))
    }


class Operations(Listener):
    """Keeps what runs: names of operations, and the calls (name, inputs, params, result)."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def operation(
        self, name: str, inputs: tuple[Any, ...], params: dict[str, Any], result: Any
    ) -> None:
        self.calls.append((name, inputs, params, result))

    @property
    def names(self) -> set[str]:
        return {name for name, *_ in self.calls}


@contextmanager
def set_compiled(enabled: bool) -> Iterator[None]:
    """Compiled kernels, or plain NumPy; afterwards what it was before."""
    before = mg.is_compiled()
    mg.set_compiled(enabled)
    try:
        yield
    finally:
        mg.set_compiled(before)


def leaf(a: Any, device: str = "cpu", layout: str = "C", requires_grad: bool = True) -> mg.Tensor:
    """``a`` as a Tensor on ``device`` in ``layout``."""
    array = move(lay_out(np.asarray(a), layout), mg.device(device))
    return mg.Tensor(array, requires_grad=requires_grad)


def host(t: mg.Tensor) -> np.ndarray:
    return t.detach().cpu().numpy()


def assert_same(ours: mg.Tensor, theirs: torch.Tensor, tolerance: dict[str, float]) -> None:
    """Shape, dtype and values agree."""
    assert ours.shape == tuple(theirs.shape)
    assert f"torch.{ours.dtype}" == str(theirs.dtype)
    if ours.dtype == np.float32:  # perhaps from integers
        tolerance = {name: max(limit, LOOSE[name]) for name, limit in tolerance.items()}
    expected = theirs.detach().numpy()
    largest = np.abs(expected[np.isfinite(expected)]).max(initial=1)  # sums round at their scale
    atol = tolerance["atol"] * float(largest)
    np.testing.assert_allclose(host(ours), expected, tolerance["rtol"], atol)


def compare(
    ours: Callable[..., Any],
    theirs: Callable[..., Any],
    arrays: Sequence[np.ndarray | None],
    params: dict[str, Any] | None = None,
    *,
    device: str = "cpu",
    layout: str = "C",
    fixed: Sequence[int] = (),
    numerical: bool = True,
    loosen: float = 1,
) -> None:
    """Check ``ours(*arrays, **params)`` and its gradients against PyTorch's ``theirs``.

    In float64 tightly and in float32 loosely: values, shape, dtype, device; the gradient of every
    floating input not in ``fixed``, together and asked for alone; inputs and the incoming gradient
    unchanged; the graph freed without the collector; and, if ``numerical``, finite differences.
    ``loosen`` multiplies the tolerances.
    """
    params = params or {}
    for dtype, limits in TOLERANCE.items():
        tolerance = {name: limit * loosen for name, limit in limits.items()}
        inputs = [a.astype(dtype) if a is not None and a.dtype.kind == "f" else a for a in arrays]
        active = [
            i
            for i, a in enumerate(inputs)
            if a is not None and a.dtype.kind == "f" and i not in fixed
        ]
        refs = [None if a is None else torch.tensor(np.array(a, order="C")) for a in inputs]
        for i in active:
            refs[i].requires_grad_()
        expected = _outputs(theirs(*refs, **params))
        seed = grid(expected[0].shape, seed=1).astype(dtype)
        if expected[0].requires_grad:
            expected[0].backward(torch.from_numpy(seed))
        for wanted in [active] + ([[i] for i in active] if len(active) > 1 else []):
            xs = [
                None if a is None else leaf(a, device, layout, requires_grad=i in wanted)
                for i, a in enumerate(inputs)
            ]
            outputs = _outputs(ours(*xs, **params))
            assert len(outputs) == len(expected)
            for y, ty in zip(outputs, expected, strict=True):
                assert_same(y, ty, tolerance)
                assert y.device == mg.device(device)
                assert wanted != active or y.requires_grad == ty.requires_grad
            if outputs[0].requires_grad:
                g = leaf(seed, device, layout, requires_grad=False)
                outputs[0].backward(g)
                np.testing.assert_array_equal(host(g), seed, "backward wrote into its gradient")
            for i, x in enumerate(xs):
                if x is None:
                    continue
                np.testing.assert_array_equal(host(x), inputs[i], f"input {i} was changed")
                if i in wanted and refs[i].grad is not None:
                    assert x.grad is not None, f"input {i} got no gradient"
                    assert_same(x.grad, refs[i].grad, tolerance)
                    assert device_of(x.grad.data) == mg.device(device)
                else:
                    assert x.grad is None
            again = _outputs(ours(*xs, **params))
            nodes = [weakref.ref(t.node) for t in again if t.node is not None]
            del again
            assert not any(node() for node in nodes), "a reference cycle keeps the graph alive"
    if numerical and expected[0].requires_grad and device == "cpu":
        mg.gradcheck(
            lambda *xs: _outputs(ours(*xs, **params))[0],
            [
                None if a is None else leaf(a, requires_grad=i in active)
                for i, a in enumerate(arrays)
            ],
        )


def _outputs(y: Any) -> tuple[Any, ...]:
    return tuple(y) if isinstance(y, tuple) else (y,)


class Interrupt(BaseException):
    """Stands for Ctrl-C's exception."""


def interrupted(module: ModuleType, at: int, act: Callable[[], object]) -> bool:
    """``act()``, interrupted at the given one of the moments at which code of ``module`` can be:
    functions begin, and C functions are done. False if there are fewer."""
    moments = iter(range(1, at))

    def profile(frame: FrameType, event: str, _: Any) -> None:
        here = frame.f_code.co_filename == module.__file__
        if here and event in ("call", "c_return") and next(moments, None) is None:
            raise Interrupt

    sys.setprofile(profile)
    try:
        act()
    except Interrupt:
        return True
    finally:
        sys.setprofile(None)
    return False


def refuses(
    error: type[Exception],
    match: str,
    ours: Callable[[], Any],
    theirs: Callable[[], Any] | None = None,
) -> None:
    """``ours`` raises ``error`` with ``match`` literally in its text, and PyTorch refuses too."""
    with pytest.raises(error, match=re.escape(match)):
        ours()
    if theirs is not None:
        with pytest.raises(REFUSALS):
            theirs()


def signature(function: Callable[..., Any], without: Sequence[str] = ()) -> list[tuple[Any, ...]]:
    """Name, default and kind of the named parameters that are not in ``without``, in order."""
    return [
        (p.name, p.default, p.kind)
        for p in inspect.signature(function).parameters.values()
        if p.name not in without and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]


@contextmanager
def unprivileged() -> Iterator[Path]:
    """A folder of one's own, and no longer root's privileges, to whom every file is open."""
    with tempfile.TemporaryDirectory() as name:
        root = os.geteuid() == 0
        if root:
            os.chown(name, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            yield Path(name)
        finally:
            if root:
                os.seteuid(0)


class CUDARuntimeError(RuntimeError):
    pass


def fake_cupy(monkeypatch: pytest.MonkeyPatch, count: Callable[[], int]) -> Any:
    """CuPy as it appears on a machine where ``count()`` GPUs are found."""
    runtime = SimpleNamespace(getDeviceCount=count, CUDARuntimeError=CUDARuntimeError)
    cupy = SimpleNamespace(cuda=SimpleNamespace(runtime=runtime))
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    return cupy


def units(found: np.ndarray, exact: np.ndarray) -> float:
    """The largest error of ``found``, in units of the last place of its dtype."""
    rounded = np.maximum(abs(exact).astype(found.dtype), np.finfo(found.dtype).smallest_normal)
    return float((abs(found - exact) / np.spacing(rounded).astype(np.float64)).max())
