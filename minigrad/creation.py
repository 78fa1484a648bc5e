"""Creation of tensors from values or of a given size."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from . import check
from .cpu.compiled import kernels
from .cpu.threads import launch, parallel, split_range
from .device import CPU, Array, device, device_of, move, on
from .memory import empty as pooled
from .memory import filled, out_of_memory
from .options import lacks, spread
from .tensor import Number, Tensor, as_array


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


_FLOAT32 = np.dtype(np.float32)


def floats_on(dtype: Any, where: Any) -> tuple[np.dtype[Any], device]:
    """Dtype and device of a new tensor, by default float32 and the CPU."""
    to = _FLOAT32 if dtype is None else check.dtype("dtype", dtype)
    return to, CPU if where is None else _device(where)


# Bytes beyond which an array of zeros is left to the system, which makes each page when it is used.
LAZY = 1 << 26


def _filled(
    name: str, value: Any, size: tuple[Any, ...], dtype: Any, where: Any, requires_grad: bool
) -> Tensor:
    """The tensor of the function ``name``, filled with ``value``, or with nothing for None."""
    shape, (to, where) = check.shape(size, at_least=1), floats_on(dtype, where)
    return Tensor(_array(name, value, shape, to, where), requires_grad)


def _array(
    name: str, value: Any, shape: tuple[int, ...], to: np.dtype[Any], where: device
) -> Array:
    if where.type == "gpu" or math.prod(shape) * to.itemsize > LAZY:
        with naming_allocation(name, shape, to), on(where):
            if value is None or value == 0:
                return getattr(where.xp, "empty" if value is None else "zeros")(shape, to)
            return where.xp.full(shape, value, to)
    try:
        return np.empty(shape, to) if value is None else filled(shape, to, value)
    except MemoryError as error:
        raise out_of_memory(f"{name} of size {shape} and dtype {to}", error) from error


@contextlib.contextmanager
def naming_allocation(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Iterator[None]:
    """Context that names the array in an OutOfMemoryError if it does not fit into memory."""
    try:
        if math.prod(shape) * dtype.itemsize >= 1 << 63:  # NumPy would raise ValueError
            raise MemoryError("more bytes than there are addresses")
        yield
    except MemoryError as error:
        raise out_of_memory(f"{name} of size {shape} and dtype {dtype}", error) from error


LACKED: dict[str, Any] = {"out": None, "layout": None, "pin_memory": False}


@lacks(**LACKED)
@spread("size")
def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros of shape ``size`` (integers or one tuple)."""
    return _filled("zeros", 0, size, dtype, device, requires_grad)


@lacks(**LACKED)
@spread("size")
def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of ones of shape ``size`` (integers or one tuple)."""
    return _filled("ones", 1, size, dtype, device, requires_grad)


@lacks(**LACKED, memory_format=None)
@spread("size")
def empty(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """An uninitialised tensor of shape ``size`` (integers or one tuple)."""
    return _filled("empty", None, size, dtype, device, requires_grad)


def dtype_of(*numbers: Any) -> np.dtype[Any]:
    """The dtype of a Tensor of these Python numbers: float32, int64 or bool."""
    kinds = {np.dtype(type(number)).kind for number in numbers}
    return np.dtype(np.float32 if "f" in kinds else np.bool_ if kinds == {"b"} else np.int64)


@lacks(**LACKED, names=None)
def full(
    size: Any,
    fill_value: Number,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of shape ``size`` (an int or a tuple) filled with one number.

    Its dtype is float32 for a float, int64 for an int and bool for a bool, unless ``dtype`` is
    given.
    """
    check.fits("fill_value", fill_value, np.dtype(np.float64))
    to = dtype_of(fill_value) if dtype is None else check.dtype("dtype", dtype)
    check.fits("fill_value", fill_value, to)
    return _filled("full", fill_value, (size,), to, device, requires_grad)


@lacks(**LACKED)
def arange(
    start: Number = 0,
    end: Number | None = None,
    step: Number = 1,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """The numbers start, start + step, … before ``end``; ``arange(end)`` starts at 0.

    The dtype is int64 for integers, otherwise float32, unless ``dtype`` is given.
    """
    start, end = (0, start) if end is None else (start, end)
    given = {"start": start, "end": end, "step": step}
    for name, number in given.items():
        check.number(name, number, -MOST, MOST)
    if not step or (end - start) * step < 0:
        raise ValueError(f"step: expected one that leads from {start} to {end}, got {step}")
    to = dtype_of(*given.values()) if dtype is None else check.dtype("dtype", dtype)
    count = math.ceil((end - start) / step)
    whole = dtype_of(*given.values()).kind != "f"
    if to.kind != "f" and not whole and any(number % 1 for number in given.values()):
        raise ValueError(f"dtype: expected a floating dtype for fractions, got {to}")
    where = _device("cpu" if device is None else device)
    kind = np.int64 if whole else np.float64

    def numbers(first: int, last: int) -> Array:
        places = where.xp.arange(first, last, dtype=kind)
        return places if start == 0 and step == 1 else start + places * step

    with naming_allocation("arange", (count,), to), on(where), np.errstate(all="ignore"):
        array = _ramp(count, to, where, kind(start), kind(step))
        array = _in_parts(count, to, where, numbers) if array is None else array
        return Tensor(array, requires_grad)


PIECE = 1 << 15  # numbers that stay in a core's cache until they are converted


def _in_parts(
    count: int, dtype: np.dtype[Any], where: device, numbers: Callable[[int, int], Array]
) -> Array:
    """The array of so many ``numbers(first, last)`` in ``dtype``, made by all cores of a CPU."""
    if where.type == "gpu":
        return numbers(0, count).astype(dtype, copy=False)
    array, parts = pooled((count,), dtype), split_range(count, -(-count // PIECE))

    def task(i: int) -> None:
        array[parts[i]] = numbers(parts[i].start, parts[i].stop)

    parallel(task, len(parts), 2 * count)
    return array


def _ramp(count: int, dtype: np.dtype[Any], where: device, start: Any, step: Any) -> Array | None:
    """The array of ``count`` numbers from ``start`` on by a kernel, if it serves. It computes them
    in the dtype of ``start`` and ``step``."""
    fast = kernels("copy", _FLOAT32) if where.type == "cpu" and count >= PIECE else None
    if fast is None or dtype not in (np.float32, np.float64, np.int64):
        return None
    array = pooled((count,), dtype)
    kernel = fast.whole_ramp if isinstance(start, np.integer) else fast.ramp
    launch(kernel, count, count, array, start, step, align=16)
    return array


MOST = float(2**62)


@lacks(**LACKED)
def linspace(
    start: float,
    end: float,
    steps: int,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """``steps`` evenly spaced numbers from ``start`` to ``end``, both included."""
    start, end = check.number("start", start, -MOST, MOST), check.number("end", end, -MOST, MOST)
    steps, (to, where) = check.integer("steps", steps, 0), floats_on(dtype, device)
    if to.kind in "iu":
        check.fits("start", start, to)
        check.fits("end", end, to)
    last, width = max(steps - 1, 1), end - start

    def numbers(first: int, behind: int) -> Array:
        step = width / last
        places = where.xp.arange(first, behind, dtype=np.float64)
        places = places * step if step else places / last * width
        places += start
        if behind == steps > 1:
            places[-1] = end
        return places

    with naming_allocation("linspace", (steps,), to), on(where):
        step = np.float64(width / last)
        array = _ramp(steps, to, where, np.float64(start), step) if step else None
        if array is None:
            array = _in_parts(steps, to, where, numbers)
        else:
            array[-1] = end
        return Tensor(array, requires_grad)


@lacks(**LACKED)
def eye(
    n: int,
    m: int | None = None,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """The (n, m) matrix with ones on its diagonal and zeros elsewhere; m = n by default."""
    rows = check.integer("n", n, 0)
    columns = rows if m is None else check.integer("m", m, 0)
    to, where = floats_on(dtype, device)
    made = _array("eye", 0, (rows, columns), to, where)
    with on(where):
        made.reshape(-1)[: min(rows, columns) * (columns + 1) : columns + 1] = 1
    return Tensor(made, requires_grad)


def _like(name: str, value: Any) -> Callable[..., Tensor]:
    @lacks(layout=None, memory_format=None, pin_memory=False)
    def like(
        input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
    ) -> Tensor:
        to, where = beside(input, dtype, device)
        return Tensor(_array(name, value, input.shape, to, where), requires_grad)

    like.__name__ = like.__qualname__ = f"{name}_like"
    like.__doc__ = f""":func:`{name}` of the shape of ``input``, and of its dtype and on its device
    unless others are given."""
    return like


def beside(input: Tensor, dtype: Any, where: Any) -> tuple[np.dtype[Any], device]:
    """Dtype and device, by default those of ``input``."""
    check.tensor("input", input)
    to = input.dtype if dtype is None else check.dtype("dtype", dtype)
    return to, input.device if where is None else _device(where)


zeros_like, ones_like, empty_like = _like("zeros", 0), _like("ones", 1), _like("empty", None)


@lacks(layout=None, memory_format=None, pin_memory=False)
def full_like(
    input: Tensor,
    fill_value: Number,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """:func:`full` with the shape of ``input``, and by default with its dtype and device."""
    to, where = beside(input, dtype, device)
    return full(input.shape, fill_value, dtype=to, device=where, requires_grad=requires_grad)


def from_numpy(ndarray: np.ndarray) -> Tensor:
    """A Tensor that shares the memory of a NumPy array."""
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"ndarray: expected a NumPy array, got {type(ndarray).__name__}")
    return Tensor(ndarray)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """:func:`tensor` of ``data``, which shares its memory if dtype and device allow. A Tensor with
    that dtype and device is returned unchanged."""
    if isinstance(data, Tensor):
        same = dtype is None or data.dtype == check.dtype("dtype", dtype)
        if same and (device is None or data.device == _device(device)):
            return data
        return data.to(data.device if device is None else device, dtype)
    if isinstance(data, np.ndarray):
        tensor_of_data = Tensor(data)
        to, where = beside(tensor_of_data, dtype, device)
        if tensor_of_data.dtype == to and tensor_of_data.device == where:
            return tensor_of_data
    return tensor(data, dtype, device)


def _new(name: str, value: Any) -> Callable[..., Tensor]:
    @lacks(layout=None, pin_memory=False)
    @spread("size")
    def new(
        self: Tensor, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False
    ) -> Tensor:
        to, where = beside(self, dtype, device)
        return _filled(name, value, size, to, where, requires_grad)

    new.__name__ = new.__qualname__ = f"new_{name}"
    new.__doc__ = f""":func:`{name}` of shape ``size``, of the dtype and on the device of this
    tensor unless others are given."""
    return new


new_zeros, new_ones, new_empty = _new("zeros", 0), _new("ones", 1), _new("empty", None)


@lacks(layout=None, pin_memory=False)
def new_full(
    self: Tensor,
    size: Any,
    fill_value: Number,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """:func:`full`, by default with the dtype and device of this tensor."""
    to, where = beside(self, dtype, device)
    return full(size, fill_value, dtype=to, device=where, requires_grad=requires_grad)


@lacks(layout=None, pin_memory=False)
def new_tensor(
    self: Tensor,
    data: Any,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """:func:`tensor`, by default with the dtype and device of this tensor."""
    to, where = beside(self, dtype, device)
    return tensor(data, to, where, requires_grad)
