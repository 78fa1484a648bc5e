"""New tensors from values or of a given size."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from . import check
from .device import device, device_of, move, on
from .memory import out_of_memory
from .options import lacks, spread
from .tensor import Tensor, as_array


@lacks(pin_memory=False)
def tensor(
    data: Any,
    dtype: Any = None,
    device: str | device | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A new tensor with a copy of ``data``.

    Args:
        data: number, nested list, array or Tensor.
        dtype: NumPy dtype or its name. Default: an array's own dtype, float32 for Python floats,
            int64 for Python integers.
        device: "cpu" (default for Python and NumPy data), "gpu", "gpu:N", "auto" or a device.
        requires_grad: whether to accumulate gradients in ``.grad``.

    Raises:
        ValueError: a Python number does not fit into the integer ``dtype``.
    """
    array = as_array(data) if dtype is None else as_array(data, np.float64)  # rounded only once
    to = check.dtype("dtype", dtype) if dtype is not None else array.dtype
    if to.kind in "iu" and not isinstance(data, Tensor) and not hasattr(data, "dtype"):
        low, high = np.iinfo(to).min, np.iinfo(to).max
        rounded = array.dtype.kind == "f" and to.itemsize == 8  # 2^63 - 1 as a float is 2^63
        below = array < float(high) if rounded else array <= high
        for number in array[~((array >= low) & below)]:
            raise ValueError(f"data: {number} does not fit into {to}")
    where = device_of(array) if device is None else _device(device)
    with np.errstate(all="ignore"):
        return Tensor(move(array, where).astype(to), requires_grad)


_device = device  # the class, where a parameter is called device


def floats_on(dtype: Any, where: Any) -> tuple[np.dtype[Any], device]:
    """Dtype and device of a new tensor; None stands for float32 and the CPU."""
    to = np.dtype(np.float32) if dtype is None else check.dtype("dtype", dtype)
    return to, _device("cpu" if where is None else where)


def _filled(
    fill: str, size: tuple[Any, ...], dtype: Any, where: Any, requires_grad: bool
) -> Tensor:
    shape, to, where = check.shape(size, at_least=1), *floats_on(dtype, where)
    with naming_allocation(fill, shape, to), on(where):
        return Tensor(getattr(where.xp, fill)(shape, to), requires_grad)


@contextlib.contextmanager
def naming_allocation(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Iterator[None]:
    """Context that names the array in an OutOfMemoryError if it does not fit into memory."""
    try:
        if math.prod(shape) * dtype.itemsize >= 1 << 63:  # NumPy would raise ValueError
            raise MemoryError("more bytes than there are addresses")
        yield
    except MemoryError as error:
        raise out_of_memory(f"{name} of size {shape} and dtype {dtype}", error) from error


_lacked: dict[str, Any] = {"out": None, "layout": None, "pin_memory": False}


@lacks(**_lacked)
@spread("size")
def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros of shape ``size`` (integers or one tuple)."""
    return _filled("zeros", size, dtype, device, requires_grad)


@lacks(**_lacked)
@spread("size")
def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of ones of shape ``size`` (integers or one tuple)."""
    return _filled("ones", size, dtype, device, requires_grad)
