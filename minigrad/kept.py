"""The arrays that the derivative of an operation keeps until backward, those of its closure."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from .device import Array


def is_array(value: Any) -> bool:
    return hasattr(value, "strides") and hasattr(value, "dtype") and hasattr(value, "nbytes")


def owner(array: Array) -> Array:
    """The array that owns the memory of ``array``, which may be itself."""
    while is_array(base := getattr(array, "base", None)):
        array = base
    return array


def kept_arrays(backward: Callable[..., Any]) -> list[tuple[str, Array]]:
    """The arrays that ``backward`` keeps, each once, by their names in the closure."""
    arrays: dict[int, tuple[str, Array]] = {}
    seen: set[int] = set()
    pending: list[tuple[str, Any]] = [("", backward)]
    while pending:
        name, value = pending.pop()
        if hasattr(value, "requires_grad"):  # a Tensor
            value = value.data
        if is_array(value):
            arrays.setdefault(id(value), (name, value))
        elif id(value) not in seen:
            seen.add(id(value))
            pending += reversed(list(_inside(name, value)))
    return list(arrays.values())


def _inside(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The objects in ``value`` that may hold arrays; none for modules and classes."""
    if isinstance(value, types.FunctionType):
        cells = value.__closure__ or ()
        for free, cell in zip(value.__code__.co_freevars, cells, strict=True):
            try:
                yield free, cell.cell_contents
            except ValueError:  # a name not assigned on the way that was taken
                continue
        yield from ((name, default) for default in value.__defaults__ or ())
    elif isinstance(value, types.MethodType):
        yield from ((name, value.__func__), (name, value.__self__))
    elif isinstance(value, functools.partial):
        yield from ((name, inner) for inner in (value.func, *value.args))
        yield from value.keywords.items()
    elif isinstance(value, dict):
        yield from ((f"{name}[{key!r}]", inner) for key, inner in value.items())
    elif isinstance(value, (list, tuple, set)):
        yield from ((name, inner) for inner in value)
    elif is_dataclass(value) and not isinstance(value, type):
        yield from ((f.name, getattr(value, f.name, None)) for f in fields(value))
    elif isinstance(value, (type, types.ModuleType)):
        return
    elif hasattr(value, "implementations") or hasattr(value, "py_func"):
        return  # an operation, or a function of Numba's, which leads to its compiler
    else:
        yield from getattr(value, "__dict__", {}).items()
