"""Argument checks. Each error names the argument, what was expected and what was given."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .device import Array, DeviceError
from .tape import Variable

# Bool, signed, unsigned and floating types in native byte order.
DTYPES = frozenset(np.dtype(code) for code in "?bhilqBHILQefd")


def shown(value: Any) -> str:
    """``value`` for an error message: on one line, shortened if it is long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def boolean(name: str, value: Any) -> bool:
    """``value`` must be a bool: other values, such as "no", are more likely a mistake."""
    if value is True or value is False:
        return value
    if not isinstance(value, np.bool_):
        raise TypeError(f"{name}: expected True or False, got {shown(value)}")
    return bool(value)


def dtype(name: str, value: Any, what: str = "a NumPy dtype or its name") -> np.dtype[Any]:
    """``value`` as a NumPy dtype of a supported kind: bool, integer or floating."""
    try:
        # np.dtype(None) is float64, and np.dtype(x) is x.dtype for anything that has one.
        result = None if value is None or isinstance(value, Variable) else np.dtype(value)
    except (TypeError, ValueError, SyntaxError):
        result = None
    if result is None:
        raise TypeError(f"{name}: expected {what}, got {shown(value)}")
    if result not in DTYPES:
        raise TypeError(f"{name}: expected bool, integer or float up to 64 bits, got {result}")
    return result


def shape(size: tuple[Any, ...], at_least: int = 0) -> tuple[int, ...]:
    """``(2, 3)`` from ``f(2, 3)`` or ``f((2, 3))``; sizes must be integers >= 0."""
    if len(size) < at_least:
        raise TypeError("size: expected the sizes or a tuple of them, () for a 0-d tensor")
    if len(size) == 1 and isinstance(size[0], (tuple, list)):
        size = tuple(size[0])
    if len(size) > 64:  # NumPy's limit
        raise ValueError(f"size: expected at most 64 dimensions, got {len(size)}")
    for n in size:
        if type(n) is int and n >= 0:
            continue  # a shortcut
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 0:
            raise ValueError(f"size: expected whole numbers from 0, got {shown(size)}")
    return tuple(map(int, size))


def is_writable(array: Array) -> bool:
    """Whether ``array`` can be written to; NumPy's arrays may be read-only."""
    return not isinstance(array, np.ndarray) or array.flags.writeable


def tensor(name: str, value: Any, ndim: tuple[int, ...] = (), layout: str = "") -> Any:
    """``value`` if it is a Tensor with one of the given numbers of dimensions (any if empty)."""
    if not isinstance(value, Variable):
        raise TypeError(f"{name}: expected a Tensor, got {type(value).__name__}")
    if ndim and value.ndim not in ndim:
        wanted = layout or " or ".join(f"{n}-d" for n in ndim)
        raise ValueError(f"{name}: expected shape {wanted}, got {value.shape}")
    return value


def operand(name: str, value: Any) -> Any:
    """``value`` if it is a Tensor or a number."""
    if not isinstance(value, (Variable, bool, int, float, np.generic)):
        raise TypeError(f"{name}: expected a Tensor or a number, got {type(value).__name__}")
    return value


def floating(name: str, value: Any) -> Any:
    if value.dtype.kind != "f":
        raise TypeError(f"{name}: expected a floating dtype, got {value.dtype}")
    return value


def no_bools(name: str, value: Any) -> Any:
    if value.dtype.kind == "b":
        raise TypeError(f"{name}: expected floats or integers, got bool")
    return value


def vector(name: str, value: Any, size: int, input: Any) -> None:
    """``value`` must be None or a Tensor of shape (size,), with the input's dtype and device."""
    if value is None:
        return
    array: Any = value.data if isinstance(value, Variable) else None
    other = input.data
    plain = type(array) is type(other) is np.ndarray
    if plain and array.shape == (size,) and array.dtype == other.dtype:
        return  # a shortcut
    if tensor(name, value).shape != (size,):
        raise ValueError(f"{name}: expected shape ({size},), got {value.shape}")
    if value.dtype != input.dtype:
        raise TypeError(f"{name}: expected dtype {input.dtype} as input, got {value.dtype}")
    beside(name, value, input)


def beside(name: str, value: Any, other: Any, called: str = "input") -> None:
    """``value`` must be on the device of ``other``."""
    if isinstance(value.data, np.ndarray) and isinstance(other.data, np.ndarray):
        return  # a device takes a moment to name
    if value.device != other.device:
        raise DeviceError(f"{name}: expected on {other.device} as {called}, got on {value.device}")


def writable(name: str, value: Any) -> None:
    """``value``, which will be changed in place, must not be read-only."""
    if not is_writable(value.data):
        raise ValueError(f"{name}: expected memory that can be written to, got a read-only array")


def items(name: str, value: Any, what: str) -> list[Any]:
    """The items of an iterable of ``what``. Sets are refused, because they have no order."""
    if isinstance(value, (set, frozenset, str, bytes, Variable)) or not hasattr(value, "__iter__"):
        raise TypeError(f"{name}: expected a sequence of {what}, got {type(value).__name__}")
    return list(value)


def mapping(name: str, value: Any) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{name}: expected a dict, got {type(value).__name__}")
    return value


def function(name: str, value: Any) -> Callable[..., Any]:
    if not callable(value):
        raise TypeError(f"{name}: expected a function, got {type(value).__name__}")
    return value


def text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name}: expected a str, got {type(value).__name__}")
    return value


def path(name: str, value: Any) -> Path:
    try:
        result = Path(value)
    except TypeError:
        result = None
    if result is None or "\0" in str(result):
        raise TypeError(f"{name}: expected a path, got {shown(value)}")
    return result


def integer(name: str, value: Any, minimum: float, maximum: float = math.inf) -> int:
    if type(value) is int and minimum <= value <= maximum:
        return value  # a shortcut
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name}: expected a whole number, got {shown(value)}")
    if value < minimum:
        raise ValueError(f"{name}: expected a whole number from {minimum}, got {value}")
    if value > maximum:
        raise ValueError(f"{name}: expected a whole number up to {maximum}, got {value}")
    return int(value)


def pair(name: str, value: Any, minimum: int, alone: bool = True) -> tuple[int, int]:
    """An int or a pair of ints (height, width), each at least ``minimum``, as a pair. If ``alone``,
    a tuple of one int counts as an int, as in PyTorch."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(values) == 2:
        first, second = values
        if type(first) is type(second) is int and first >= minimum and second >= minimum:
            return values  # a shortcut
    if len(values) == 1 and alone:
        values *= 2
    if len(values) != 2:
        raise ValueError(f"{name}: expected an int or a pair of ints, got {shown(value)}")
    first, second = (integer(name, v, minimum) for v in values)
    return first, second


def single(name: str, value: Any, minimum: int) -> int:
    """An int, or a tuple of one, at least ``minimum``."""
    if isinstance(value, (tuple, list)):
        if len(value) != 1:
            raise ValueError(f"{name}: expected an int or a tuple of one, got {shown(value)}")
        value = value[0]
    return integer(name, value, minimum)


def number(name: str, value: Any, low: float, high: float = float("inf")) -> float:
    """A real number in [low, high]."""
    if type(value) is float and low <= value <= high:
        return value  # a shortcut
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name}: expected a number, got {shown(value)}")
    if not low <= value <= high:
        bounds = f"from {low}" if high == float("inf") else f"between {low} and {high}"
        raise ValueError(f"{name}: expected a number {bounds}, got {shown(value)}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name}: {shown(value)} does not fit into float64") from None


def fits(name: str, value: Any, dtype: np.dtype[Any]) -> None:
    """``value`` must be a number that ``dtype`` can hold; for bool, one that int64 can hold."""
    if type(value) in (int, float) and (0 if dtype.kind in "biu" else -127) <= value <= 127:
        return  # a shortcut
    if not isinstance(value, (bool, int, float, np.bool_, np.integer, np.floating)):
        raise TypeError(f"{name}: expected a number, got {shown(value)}")
    dtype = np.dtype(np.int64) if dtype.kind == "b" else dtype
    if dtype.kind == "f":
        high = float(np.finfo(dtype).max)
        low = -high
        special = value != value or value in (math.inf, -math.inf)
    else:
        low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
        special = False
    if not (special or low <= value <= high):
        raise ValueError(f"{name}: {shown(value)} does not fit into {dtype}")


def axis(name: str, value: Any, ndim: int) -> int:
    """A dimension in [-ndim, ndim) as one in [0, ndim); a 0-d tensor has dimension 0 and -1."""
    if type(value) is int and -ndim <= value < ndim:
        return value % ndim  # a shortcut
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name}: expected a whole number, got {shown(value)}")
    count = max(ndim, 1)
    if not -count <= value < count:
        raise IndexError(f"{name}: expected a dimension from {-count} to {count - 1}, got {value}")
    return int(value) % count


def axes(name: str, value: Any, ndim: int) -> tuple[int, ...]:
    """None (all), a dimension, or a tuple of distinct ones, as a tuple of dimensions >= 0."""
    if value is None:
        return tuple(range(ndim))
    values = value if isinstance(value, (tuple, list)) else (value,)
    result = tuple([axis(name, v, ndim) for v in values])
    if len(result) > 1 and len(set(result)) != len(result):
        raise ValueError(f"{name}: expected distinct dimensions, got {value}")
    return result if ndim else ()


def choice(name: str, value: Any, allowed: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name}: expected {', '.join(map(repr, allowed))}, got {shown(value)}")
    return value


def unsupported(option: str, value: Any, *supported: Any) -> None:
    """Raise NotImplementedError naming ``option`` unless ``value`` is one of ``supported``."""
    plain = isinstance(value, (bool, int, float, str, np.generic, type(None)))
    # An array's == is an array, so only plain values are compared.
    if not ((plain and value in supported) or any(value is s for s in supported)):
        raise NotImplementedError(
            f"{option}={shown(value)} is not supported (only {', '.join(map(repr, supported))})"
        )
