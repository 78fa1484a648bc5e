"""A stand-in for CuPy on NumPy's memory, to find mistakes where there is no GPU. It proves nothing.

It is as strict as CuPy 14 in what a program on NumPy gets wrong:

- NumPy's arrays are not taken for CuPy's, nor turned into them in silence, nor the other way.
- Every result is an array, where NumPy would give a scalar too, and of a ufunc in C order. New
  memory is full of NaN.
- Integers in arrays that are no indices wrap around.
- While a stream is captured nothing may be sent or read, and nothing is done: it is at each launch
  of the graph.

Our kernels run as C++ (tests/gpu/kernels/shim.py). What it cannot show: memory freed too early,
streams
out of order, other rounding, CuPy's own kernels, several GPUs, running out of memory, speed.
"""

from __future__ import annotations

import builtins
import contextlib
import ctypes
import functools
import importlib
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

__version__ = "strict"

_graph: list[Callable[[], object]] | None = None  # of the capture going on
_local = threading.local()


def _do(work: Callable[[], object]) -> None:
    """Now, or whenever the graph is launched that is being captured."""

    def quietly() -> None:
        with np.errstate(all="ignore"):
            work()

    if _graph is None:
        quietly()
    else:
        _graph.append(quietly)


def _refuse_in_capture(what: str) -> None:
    if _graph is not None:
        raise RuntimeError(f"the current stream is capturing, so {what} is disallowed")


def _bare(x: Any) -> Any:
    """What NumPy takes for ``x``; its own arrays are not accepted."""
    if isinstance(x, ndarray):
        return x._a
    if isinstance(x, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    return type(x)(_bare(y) for y in x) if isinstance(x, (list, tuple)) else x


def _compute(function: Callable[..., Any], *args: Any, out: Any = None, **options: Any) -> Any:
    """``function`` of NumPy's arrays, into new memory in C order or into ``out``."""
    args, options = _bare(args), {name: _bare(value) for name, value in options.items()}
    if out is not None:
        target = out._a
        _do(lambda: np.copyto(target, function(*args, **options), casting="same_kind"))
        return out
    with np.errstate(all="ignore"):
        result = np.array(function(*args, **options), order="C")
    if _graph is not None:
        if result.dtype.kind == "f":
            result.fill(np.nan)
        _do(lambda: np.copyto(result, function(*args, **options)))
    return _wrap(result)


def _wrap(a: np.ndarray) -> ndarray:
    self = object.__new__(ndarray)
    self._a = a
    return self


def _new(shape: Any, dtype: Any, like: np.ndarray | None = None) -> ndarray:
    a = np.empty(shape, dtype) if like is None else np.empty_like(like, dtype, subok=False)
    if a.dtype.kind == "f":
        a.fill(np.nan)
    return _wrap(a)


def _names(text: str) -> list[str]:
    return text.split()


class ndarray:
    """CuPy's, as far as the engine needs it."""

    __hash__ = None  # type: ignore[assignment]
    __cuda_array_interface__ = None
    _a: np.ndarray

    def __new__(cls, shape: Any, dtype: Any, memptr: Any) -> ndarray:
        memory = (ctypes.c_char * memptr.mem.size).from_address(memptr.ptr)
        self = _wrap(np.frombuffer(memory, dtype).reshape(shape))
        self._owner = memptr
        return self

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Use `.get()`")

    def __array_ufunc__(self, function: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__":
            raise TypeError(f"{function.__name__}.{method} of CuPy's arrays")
        return getattr(sys.modules[__name__], function.__name__)(*inputs, **options)

    def __array_function__(self, function: Any, _: Any, args: Any, options: Any) -> Any:
        return getattr(sys.modules[__name__], function.__name__)(*args, **options)

    def __len__(self) -> int:
        return len(self._a)

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    device = property(lambda self: Device())
    data = property(lambda self: SimpleNamespace(ptr=self._a.ctypes.data))
    T = property(lambda self: _wrap(self._a.T))

    def get(self, order: str = "C") -> np.ndarray:
        _refuse_in_capture("reading")
        return np.array(self._a, order="C")

    def __getitem__(self, key: Any) -> ndarray:
        key = _key(key)
        if not builtins.any(isinstance(part, np.ndarray) for part in key):
            a = self._a[key]
            return _wrap(a if isinstance(a, np.ndarray) else self._a[(*key, ...)])
        if builtins.any(part.dtype == bool for part in key if isinstance(part, np.ndarray)):
            _refuse_in_capture("a mask, whose sum is read,")
        return _compute(lambda a: a[_wrapped(a, key)], self)

    def __setitem__(self, key: Any, value: Any) -> None:
        key, value = _key(key), _bare(value)
        _do(lambda: self._a.__setitem__(_wrapped(self._a, key), value))

    def reshape(self, *shape: Any) -> ndarray:
        shape = shape[0] if isinstance(shape[0], (tuple, list)) else shape
        a = self._a.reshape(shape)
        shared = np.may_share_memory(a, self._a) or not a.size
        return _wrap(a) if shared else _compute(lambda x: x.reshape(shape), self)

    def astype(self, dtype: Any, order: str = "K", copy: bool = True) -> ndarray:
        if not copy and self.dtype == dtype:
            return self
        result = _new(None, dtype, like=self._a)
        _do(lambda: np.copyto(result._a, self._a.astype(dtype), casting="unsafe"))
        return result

    def copy(self, order: str = "C") -> ndarray:
        return self.astype(self.dtype) if order == "K" else _compute(np.array, self)

    def fill(self, value: Any) -> None:
        _do(lambda: self._a.fill(_bare(value)))

    def take(self, indices: ndarray, axis: int | None = None) -> ndarray:
        return _compute(lambda a, i: a.take(i, axis, mode="wrap"), self, indices)


def _key(key: Any) -> tuple[Any, ...]:
    """The parts of an index as NumPy takes them; arrays of the CPU are sent."""

    def part(p: Any) -> Any:
        if isinstance(p, (np.ndarray, list)):
            _refuse_in_capture("sending")
            return np.asarray(p)
        return p._a if isinstance(p, ndarray) else p

    return tuple(map(part, key if isinstance(key, tuple) else (key,)))


def _wrapped(a: np.ndarray, key: tuple[Any, ...]) -> tuple[Any, ...]:
    """Integers in arrays counted around, as CuPy does."""

    def takes(p: Any) -> int:
        is_mask = isinstance(p, np.ndarray) and p.dtype == bool
        return p.ndim if is_mask else 0 if p is None or p is Ellipsis else 1

    axis, found, known = 0, [], builtins.sum(map(takes, key))
    for p in key:
        is_integers = isinstance(p, np.ndarray) and p.dtype != bool
        found.append(p % builtins.max(1, a.shape[axis]) if is_integers else p)
        axis += a.ndim - known if p is Ellipsis else takes(p)
    return tuple(found)


def _binary(name: str) -> Callable[[ndarray, Any], Any]:
    def method(self: ndarray, other: Any) -> Any:
        return _compute(lambda a, b: getattr(a, name)(b), self, other)

    return method


def _in_place(name: str) -> Callable[[ndarray, Any], ndarray]:
    def method(self: ndarray, other: Any) -> ndarray:
        other = _bare(other)
        _do(lambda: getattr(self._a, name)(other))
        return self

    return method


def _reading(name: str) -> Callable[[ndarray], Any]:
    def method(self: ndarray) -> Any:
        _refuse_in_capture("reading")
        return getattr(self._a, name)()

    return method


def _reduction(name: str) -> Callable[..., Any]:
    def method(self: ndarray, *args: Any, out: Any = None, **options: Any) -> Any:
        return _compute(lambda a: getattr(a, name)(*args, **options), self, out=out)

    return method


def _view(name: str) -> Callable[..., ndarray]:
    return lambda self, *args: _wrap(getattr(self._a, name)(*args))


for _name in _names("shape dtype ndim size strides nbytes itemsize flags"):
    setattr(ndarray, _name, property(lambda self, name=_name: getattr(self._a, name)))
for _name in _names("transpose swapaxes squeeze view"):
    setattr(ndarray, _name, _view(_name))
for _name in _names("sum mean max min any all argmax argmin"):
    setattr(ndarray, _name, _reduction(_name))
for _name in _names("item tolist __bool__ __float__ __int__ __index__"):
    setattr(ndarray, _name, _reading(_name))
for _name in _names("add sub mul truediv floordiv mod pow and or xor matmul"):
    setattr(ndarray, f"__{_name}__", _binary(f"__{_name}__"))
    setattr(ndarray, f"__r{_name}__", _binary(f"__r{_name}__"))
for _name in _names("lt le gt ge eq ne"):
    setattr(ndarray, f"__{_name}__", _binary(f"__{_name}__"))
for _name in _names("iadd isub imul itruediv iand ior ixor"):
    setattr(ndarray, f"__{_name}__", _in_place(f"__{_name}__"))
for _name in _names("neg abs invert"):
    setattr(ndarray, f"__{_name}__", _reduction(f"__{_name}__"))


# ---------------------------------------------------------------------------- functions


class ufunc:
    """One of NumPy's that takes CuPy's arrays and Python's numbers."""

    def __init__(self, function: np.ufunc) -> None:
        self.function = function

    def __call__(self, *args: Any, out: Any = None) -> Any:
        out = out[0] if isinstance(out, tuple) else out
        if not builtins.any(isinstance(x, ndarray) for x in args):
            raise TypeError(f"{self.function.__name__}: none of CuPy's arrays")
        return _compute(self.function, *args, out=out)

    def at(self, a: ndarray, key: Any, value: Any) -> None:
        key, value = _key(key), _bare(value)
        _do(lambda: self.function.at(a._a, _wrapped(a._a, key), value))


for _name in _names(
    "absolute add copysign divide equal exp expm1 floor greater greater_equal isfinite isinf isnan "
    "less less_equal log maximum minimum multiply negative not_equal power sign sqrt square "
    "subtract tanh"
):
    globals()[_name] = ufunc(getattr(np, _name))
abs = globals()["absolute"]
for _name in _names("matmul pad sort take_along_axis where"):
    globals()[_name] = functools.partial(_compute, getattr(np, _name))


def ndim(a: ndarray) -> int:
    return a.ndim


def put_along_axis(a: ndarray, indices: ndarray, values: ndarray, axis: int) -> None:
    _do(lambda: np.put_along_axis(a._a, _bare(indices), _bare(values), axis))


def concatenate(arrays: Any, axis: int = 0) -> ndarray:
    if len(arrays) > 8:
        _refuse_in_capture("sending their addresses")
    return _compute(lambda *parts: np.concatenate(parts, axis), *arrays)


def stack(arrays: Any, axis: int = 0) -> ndarray:
    if len(arrays) > 8:
        _refuse_in_capture("sending their addresses")
    return _compute(lambda *parts: np.stack(parts, axis), *arrays)


def split(a: ndarray, ends: Any, axis: int = 0) -> list[ndarray]:
    return [_wrap(part) for part in np.split(a._a, ends, axis)]


def asarray(a: Any, dtype: Any = None) -> ndarray:
    if isinstance(a, ndarray):
        return a if dtype is None else a.astype(dtype, copy=False)
    if not np.isscalar(a):
        _refuse_in_capture("sending")
    return _wrap(np.array(a, dtype, order="C"))


def ascontiguousarray(a: ndarray) -> ndarray:
    return a if a._a.flags.c_contiguous else a.copy()


def arange(*numbers: int, dtype: Any = None) -> ndarray:
    values = np.arange(*numbers, dtype=dtype)
    result = _new(values.shape, values.dtype)
    _do(lambda: np.copyto(result._a, values))
    return result


def broadcast_to(a: ndarray, shape: Any) -> ndarray:
    return _wrap(np.broadcast_to(a._a, shape))


def expand_dims(a: ndarray, axis: int) -> ndarray:
    return _wrap(np.expand_dims(a._a, axis))


def may_share_memory(a: ndarray, b: ndarray) -> bool:
    return np.may_share_memory(a._a, b._a)


def empty(shape: Any, dtype: Any = float) -> ndarray:
    return _new(shape, dtype)


def empty_like(a: ndarray) -> ndarray:
    return _new(None, a.dtype, like=a._a)


def _filled(a: ndarray, value: int) -> ndarray:
    a.fill(value)
    return a


def zeros(shape: Any, dtype: Any = float) -> ndarray:
    return _filled(empty(shape, dtype), 0)


def zeros_like(a: ndarray) -> ndarray:
    return _filled(empty_like(a), 0)


def ones(shape: Any, dtype: Any = float) -> ndarray:
    return _filled(empty(shape, dtype), 1)


def ones_like(a: ndarray) -> ndarray:
    return _filled(empty_like(a), 1)


def _as_strided(a: ndarray, shape: Any, strides: Any) -> ndarray:
    return _wrap(np.lib.stride_tricks.as_strided(a._a, shape, strides))


lib = SimpleNamespace(stride_tricks=SimpleNamespace(as_strided=_as_strided))


# ---------------------------------------------------------------------------- devices and streams


class Device(contextlib.AbstractContextManager):
    id, compute_capability = 0, "90"

    def __init__(self, id: int = 0) -> None:
        assert id == 0

    def __exit__(self, *_: object) -> None:
        pass

    def __repr__(self) -> str:
        return "<CUDA Device 0>"

    def use(self) -> None:
        pass

    synchronize = use


class Event:
    pass


class Stream:
    def __init__(self, non_blocking: bool = False) -> None:
        pass

    def __enter__(self) -> None:
        self.before = get_current_stream()
        _local.stream = self

    def __exit__(self, *_: object) -> None:
        _local.stream = self.before

    def record(self) -> Event:
        return Event()

    def synchronize(self) -> None:
        assert _graph is None, "a capture cannot wait"

    def wait_event(self, event: Event) -> None:
        assert isinstance(event, Event)

    def is_capturing(self) -> bool:
        return _graph is not None

    def begin_capture(self) -> None:
        global _graph
        _graph = []

    def end_capture(self) -> SimpleNamespace:
        global _graph
        work, _graph = _graph, None
        return SimpleNamespace(launch=lambda stream: [one() for one in work or ()])


_first = Stream()


def get_current_stream() -> Stream:
    return getattr(_local, "stream", _first)


class MemoryPool:
    def malloc(self, size: int) -> None:
        raise NotImplementedError

    def used_bytes(self) -> int:
        return 1 << 20

    free_bytes = total_bytes = used_bytes

    def get_limit(self) -> int:
        return 0


_pool = MemoryPool()


def get_default_memory_pool() -> MemoryPool:
    return _pool


class _Pinned(bytearray):
    @property
    def ptr(self) -> int:
        return ctypes.addressof(ctypes.c_char.from_buffer(self))


class UnownedMemory:
    def __init__(self, ptr: int, size: int, owner: object, device_id: int) -> None:
        self.ptr, self.size, self.owner = ptr, size, owner


class MemoryPointer:
    def __init__(self, mem: UnownedMemory, offset: int) -> None:
        self.mem, self.ptr = mem, mem.ptr + offset


class CUDARuntimeError(RuntimeError):
    pass


cuda = ModuleType("cupy.cuda")
cuda.__dict__.update(
    runtime=SimpleNamespace(
        CUDARuntimeError=CUDARuntimeError,
        getDevice=lambda: 0,
        getDeviceCount=lambda: 1,
        memGetInfo=lambda: (1 << 34, 1 << 35),
    ),
    alloc_pinned_memory=_Pinned,
    get_allocator=lambda: _pool.malloc,
    using_allocator=lambda allocator: contextlib.nullcontext(),
    **{
        one.__name__: one
        for one in (Device, Stream, MemoryPool, MemoryPointer, UnownedMemory, get_current_stream)
    },
)
sys.modules["cupy.cuda"] = cuda


# ---------------------------------------------------------------------------- our kernels


class RawModule:
    def __init__(self, code: str, options: tuple[str, ...], backend: str) -> None:
        self.code = code
        self.defines = tuple(tuple(o[2:].split("=")) for o in options if o.startswith("-D"))

    def compile(self) -> None:
        door, shim = map(importlib.import_module, ("minigrad.gpu.launch", "tests.gpu.kernels.shim"))
        names = [file.stem for file in (Path(door.__file__).parent).glob("*.cu")]
        family = next(name for name in names if door.source(name) == self.code)
        self.library, self.lock = shim._library(family, self.defines), shim.ONE

    def get_function(self, name: str) -> _Kernel:
        return _Kernel(self, name)


class _Kernel:
    max_dynamic_shared_size_bytes = 0

    def __init__(self, module: RawModule, name: str) -> None:
        self.module, self.name = module, name
        self.run = getattr(module.library, f"run_{name}")
        self.run.restype = ctypes.c_char_p

    def __call__(self, grid: Any, block: Any, args: Any, *, shared_mem: int) -> None:
        if not builtins.all(isinstance(x, (ndarray, np.generic)) for x in args):
            raise TypeError(f"{self.name}: {[type(x).__name__ for x in args]}")
        values = [x._a.ctypes.data if isinstance(x, ndarray) else x for x in args]
        cells = [np.array(x, np.uint64 if isinstance(x, int) else None) for x in values]
        sizes = [(ctypes.c_uint * 3)(*(*n, 1, 1)[:3]) for n in (grid, block)]
        pointers = (ctypes.c_void_p * len(cells))(*(cell.ctypes.data for cell in cells))

        def launch(alive: Any = (args, cells)) -> None:
            with self.module.lock:
                error = self.run(*sizes, ctypes.c_size_t(shared_mem), ctypes.c_bool(0), pointers)
            assert not error, f"{self.name}: {error.decode()}"

        _do(launch)
