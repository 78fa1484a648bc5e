"""Records the operations of a model on batches of several sizes, with names for its arrays."""

from __future__ import annotations

import weakref
from collections.abc import Container
from typing import Any, NamedTuple

import numpy as np

from ..device import CPU, Array, move
from ..events import Listener, listen
from ..nn import Module
from ..tape import no_grad
from ..tensor import Tensor


class Key(NamedTuple):
    """The identity of an array in a run: the result of an operation, by its number; a parameter or
    buffer, by its name; or the input (None)."""

    of: int | str | None


class Call(NamedTuple):
    """A call of an operation in one run. Keys replace the arrays that have one."""

    name: str
    inputs: tuple[Any, ...]
    params: dict[str, Any]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Run(Listener):
    """One run of a model.

    Attributes:
        calls: its operations in order.
        result: a key, or an array that no operation computed.
        shape, dtype: shape and dtype of the result.
    """

    def __init__(self, model: Module, state: dict[str, Array], x: Tensor) -> None:
        self.calls: list[Call] = []
        # By id. After an array is freed, another one may have the same id.
        self._known: dict[int, tuple[weakref.ref[Any], Key]] = {}
        for name, array in state.items():
            self._remember(array, name)
        self._remember(x.data, None)
        with no_grad(), listen(self):
            y = model(x)
        if not isinstance(y, Tensor):
            raise NotImplementedError(
                f"onnx: expected a model of one Tensor, got {type(y).__name__}"
            )
        self.result, self.shape, self.dtype = self._with_keys(y), y.shape, y.dtype

    def _remember(self, array: Array, of: int | str | None) -> None:
        self._known[id(array)] = weakref.ref(array), Key(of)

    def operation(
        self, name: str, inputs: tuple[Any, ...], params: dict[str, Any], result: Tensor
    ) -> None:
        params = {key: self._with_keys(value) for key, value in params.items()}
        call = Call(name, self._with_keys(inputs), params, result.shape, result.dtype)
        self._remember(result.data, len(self.calls))
        self.calls.append(call)

    def _with_keys(self, value: Any) -> Any:
        """``value`` with keys in place of the arrays that have one."""
        if isinstance(value, tuple):
            return tuple(map(self._with_keys, value))
        value = value.data if isinstance(value, Tensor) else value
        if isinstance(value, np.generic):
            return value.item()
        reference, key = self._known.get(id(value), (None, None))
        return key if reference is not None and reference() is value else value


def record_runs(
    model: Module, inputs: list[Tensor], state: dict[str, Array], supported: Container[str]
) -> list[Run]:
    """The runs of the model, which must differ only in sizes."""
    first = Run(model, state, inputs[0])
    for call in first.calls:
        if call.name not in supported:
            raise NotImplementedError(f"onnx: there is no rule for the operation {call.name!r}")
    runs = [first]
    for x in inputs[1:]:
        try:
            runs.append(Run(model, state, x))
        except (MemoryError, NotImplementedError):
            raise
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            raise NotImplementedError(
                f"onnx: the model takes {len(inputs[0])} inputs at once and not {len(x)} ({what})"
            ) from error
        _check_alike(
            first, runs[-1], "input's values" if len(x) == len(inputs[0]) else "batch size"
        )
    return runs


def _check_alike(run: Run, other: Run, cause: str) -> None:
    """Raise unless both runs are the same. ``cause`` is the difference between their inputs."""

    def check_that(what: str, alike: bool) -> None:
        if not alike:
            raise varies(what, cause)

    check_that("the number of operations", len(run.calls) == len(other.calls))
    for a, b in zip(run.calls, other.calls, strict=True):
        same = a.name == b.name and len(a.inputs) == len(b.inputs)
        check_that(f"whether {a.name} or {b.name} comes next", same)
        for x, y in zip(a.inputs, b.inputs, strict=True):
            check_that(f"an operand of {a.name}", _alike(x, y))
        for key in a.params:
            x, y = a.params[key], b.params[key]
            same = len(x) == len(y) if key == "shape" else _alike(x, y)
            check_that(f"{a.name}'s {key}", same)
    check_that("the result", _alike(run.result, other.result))


def _alike(a: Any, b: Any) -> bool:
    if hasattr(a, "dtype") and hasattr(b, "dtype"):
        a, b = move(a, CPU), move(b, CPU)
        return a.dtype == b.dtype and np.array_equal(a, b)
    if type(a) is tuple and type(b) is tuple:
        return len(a) == len(b) and all(map(_alike, a, b))
    return type(a) is type(b) and bool(a == b)


def varies(what: str, cause: str = "batch size") -> NotImplementedError:
    return NotImplementedError(
        f"onnx: {what} depends on the {cause} in a way that the operations do not tell"
    )
