"""Argument checks: each error names the argument, what came and what was expected."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .tensor import Tensor


def tensor(name: str, value: Any, ndim: tuple[int, ...] = (), layout: str = "") -> Tensor:
    """``value`` if it is a Tensor with one of the given numbers of dimensions (any if empty)."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}: expected a Tensor, got {type(value).__name__}")
    if ndim and value.ndim not in ndim:
        wanted = layout or " or ".join(f"{n}-d" for n in ndim)
        raise ValueError(f"{name}: expected shape {wanted}, got {value.shape}")
    return value


def floating(name: str, value: Tensor) -> Tensor:
    if value.dtype.kind != "f":
        raise TypeError(f"{name}: expected a floating dtype, got {value.dtype}")
    return value


def no_bools(name: str, value: Tensor) -> Tensor:
    if value.dtype.kind == "b":
        raise TypeError(f"{name}: expected floats or integers, got bool")
    return value


def vector(name: str, value: Any, size: int, dtype: np.dtype[Any]) -> None:
    """``value`` must be None or a Tensor of shape (size,) and the dtype of the input."""
    if value is None:
        return
    if tensor(name, value).shape != (size,):
        raise ValueError(f"{name}: expected shape ({size},), got {value.shape}")
    if value.dtype != dtype:
        raise TypeError(f"{name}: expected dtype {dtype} as input, got {value.dtype}")


def boolean(name: str, value: Any) -> bool:
    """A flag: what is merely true or false to Python, such as "no", is more likely a mistake."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}: expected True or False, got {value!r}")
    return bool(value)


def integer(name: str, value: Any, minimum: float) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name}: expected a whole number, got {value!r}")
    if value < minimum:
        raise ValueError(f"{name}: expected a whole number from {minimum}, got {value}")
    return int(value)


def pair(name: str, value: Any, minimum: int) -> tuple[int, int]:
    """An int or a pair of ints (height, width), each at least ``minimum``, as a pair."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(values) != 2:
        raise ValueError(f"{name}: expected an int or a pair of ints, got {value!r}")
    first, second = (integer(name, v, minimum) for v in values)
    return first, second


def number(name: str, value: Any, low: float, high: float = float("inf")) -> float:
    """A real number in [low, high]."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        raise TypeError(f"{name}: expected a number, got {value!r}")
    if not low <= value <= high:
        bounds = f"from {low}" if high == float("inf") else f"between {low} and {high}"
        raise ValueError(f"{name}: expected a number {bounds}, got {value}")
    return float(value)


def fits(name: str, value: Any, dtype: np.dtype[Any]) -> None:
    """``value`` must be a number that ``dtype`` can hold (for bool, int64)."""
    if not isinstance(value, (bool, int, float, np.bool_, np.integer, np.floating)):
        raise TypeError(f"{name}: expected a number, got {value!r}")
    dtype = np.dtype(np.int64) if dtype.kind == "b" else dtype
    low, high = -math.inf, math.inf
    if dtype.kind == "f" and math.isfinite(value):
        high = float(np.finfo(dtype).max)
        low = -high
    elif dtype.kind != "f":
        low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    if not low <= value <= high and not (dtype.kind == "f" and math.isnan(value)):
        raise ValueError(f"{name}: {value} does not fit into {dtype}")


def axis(name: str, value: Any, ndim: int) -> int:
    """A dimension in [-ndim, ndim) as one in [0, ndim); a 0-d tensor has dimension 0 and -1."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name}: expected a whole number, got {value!r}")
    span = max(ndim, 1)
    if not -span <= value < span:
        raise IndexError(f"{name}: expected a dimension from {-span} to {span - 1}, got {value}")
    return int(value) % span


def axes(name: str, value: Any, ndim: int) -> tuple[int, ...]:
    """None (all), a dimension or a tuple of distinct ones, as a tuple counted from 0."""
    if value is None:
        return tuple(range(ndim))
    values = value if isinstance(value, (tuple, list)) else (value,)
    found = tuple(axis(name, v, ndim) for v in values)
    if len(set(found)) != len(found):
        raise ValueError(f"{name}: expected distinct dimensions, got {value}")
    return found if ndim else ()


def choice(name: str, value: Any, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ValueError(f"{name}: expected {', '.join(map(repr, allowed))}, got {value!r}")
    return str(value)


def unsupported(option: str, value: Any, *supported: Any) -> None:
    """Raise NotImplementedError naming ``option`` unless ``value`` is one of ``supported``."""
    if not any(value is s or value == s for s in supported):
        raise NotImplementedError(
            f"{option}={value!r} is not supported (only {', '.join(map(repr, supported))})"
        )
