"""Devices, and the array module of each: NumPy or CuPy.

Operations are written once for ``xp``, the array module of their operands (:func:`get_xp`). This is
the only file that imports CuPy.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import Any

import numpy as np

from .console import install
from .layout import Array, memory_order


class DeviceError(RuntimeError):
    """A device cannot be used, or operands are on different devices."""


# ---------------------------------------------------------------------------- devices


def cupy_module() -> ModuleType:
    """CuPy; raises DeviceError, which says how to install it, if it is missing."""
    try:
        import cupy
    except Exception as error:  # a broken package raises anything
        raise DeviceError(
            f"device 'gpu' needs CuPy, which cannot be imported ({error}); {install('gpu')}"
        ) from error
    return cupy


def _gpu_count() -> int:
    """Number of usable GPUs; raises DeviceError if CuPy, the driver or a GPU is missing."""
    cupy = cupy_module()
    try:
        count = int(cupy.cuda.runtime.getDeviceCount())
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise DeviceError(
            f"device 'gpu': CuPy is installed but finds no usable GPU ({error}); "
            f"{_remedy(cupy.cuda.runtime)}, or use device 'cpu'"
        ) from error
    if count == 0:
        raise DeviceError("device 'gpu': CuPy and the driver work but there is no GPU; use 'cpu'")
    return count


def _remedy(runtime: Any) -> str:
    """Advice about a driver that CuPy cannot use."""
    driver, needed = runtime.driverGetVersion() // 1000, runtime.runtimeGetVersion() // 1000
    if not 0 < driver < needed:
        return "check the driver with nvidia-smi"
    remedy = f"the driver is for CUDA {driver}, this CuPy for CUDA {needed}: update the driver"
    if driver == 12:
        remedy += f", or pip uninstall cupy-cuda{needed}x and {install('gpu-cuda12')}"
    return remedy


def is_gpu_available() -> bool:
    """True if CuPy is installed and at least one CUDA device is usable."""
    try:
        return _gpu_count() > 0
    except DeviceError:
        return False


class device:
    """A device: ``device("cpu")``, ``device("gpu")`` or ``device("gpu:1")``.

    ``"cuda"`` is accepted for ``"gpu"``. ``"auto"`` is the first GPU if there is one, else the CPU.

    Raises:
        ValueError: ``spec`` names no device.
        DeviceError: ``spec`` names a GPU, and CuPy, the driver or the device is missing. There is
            no silent fall-back to the CPU.
    """

    __slots__ = ("index", "type")

    def __init__(self, spec: str | device) -> None:
        if isinstance(spec, device):
            spec = str(spec)
        if not isinstance(spec, str):
            raise TypeError(f"device: expected a str or device, got {type(spec).__name__}")
        kind, colon, index = spec.partition(":")
        kind = {"cuda": "gpu"}.get(kind, kind)
        if spec == "auto":
            kind = "gpu" if is_gpu_available() else "cpu"
        if kind not in ("cpu", "gpu") or (colon and not index.isdecimal()):
            raise ValueError(f"device: expected 'cpu', 'gpu', 'gpu:N' or 'auto', got {spec!r}")
        self.type: str = kind
        self.index: int = int(index or 0)
        if kind == "cpu" and self.index != 0:
            raise ValueError(f"device: there is one CPU device, 'cpu', got {spec!r}")
        if kind == "gpu" and self.index >= (count := _gpu_count()):
            raise DeviceError(
                f"device: {spec!r} was asked for, but there are {count} GPUs (from 0)"
            )

    @property
    def xp(self) -> ModuleType:
        """The array module: NumPy or CuPy."""
        return np if self.type == "cpu" else cupy_module()

    def use(self) -> None:
        """Make this GPU the current one of this thread, like ``torch.cuda.set_device``.

        Operations accept tensors on the CPU and on the current GPU, which is ``gpu:0`` at first.
        """
        if self.type == "gpu":
            self.xp.cuda.Device(self.index).use()

    def __repr__(self) -> str:
        return f"device({str(self)!r})"

    def __str__(self) -> str:
        return "cpu" if self.type == "cpu" else f"gpu:{self.index}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))


CPU = device("cpu")


def get_xp(array: Array) -> ModuleType:
    """The array module of ``array``: NumPy or CuPy."""
    if isinstance(array, (np.ndarray, np.generic)):
        return np
    if not hasattr(type(array), "__cuda_array_interface__"):
        if hasattr(type(array), "__array_namespace__"):  # of minigrad.gradients.traced
            return array.__array_namespace__()
        raise TypeError(f"array: expected an array of NumPy or CuPy, got {type(array).__name__}")
    return cupy_module()


def device_of(array: Array) -> device:
    """The device of ``array``."""
    return CPU if isinstance(array, np.ndarray) else device(f"gpu:{array.device.id}")


def move(array: Array, to: device) -> Array:
    """``array`` on the device ``to``, in the same memory order; no copy if it is there already."""
    if device_of(array) == to:
        return array
    # Copy memory in its own order, so that a transposed view keeps its layout.
    order = memory_order(array)
    memory, back = array.transpose(order), np.argsort(order).tolist()
    if not isinstance(array, np.ndarray):
        with array.device:
            memory = memory.get()
        raise_deferred_errors()
    if to.type == "cpu":
        return memory.transpose(back)
    with on(to):
        if to.xp.cuda.get_current_stream().is_capturing():  # a replay would use the old address
            raise RuntimeError("an array of the CPU is moved to the GPU: do so before the step")
        return to.xp.asarray(memory).transpose(back)


def on(where: device) -> AbstractContextManager[Any]:
    """Context in which new arrays are created on ``where``."""
    return where.xp.cuda.Device(where.index) if where.type == "gpu" else nullcontext()


def check_current(name: str, array: Array) -> None:
    """Raise DeviceError if ``array`` is on a GPU other than the current one."""
    if isinstance(array, np.ndarray):
        return
    here, current = array.device.id, cupy_module().cuda.runtime.getDevice()
    if here != current:
        raise DeviceError(
            f"{name}: a tensor is on gpu:{here} while gpu:{current} is in use; "
            f'call minigrad.device("gpu:{here}").use() first'
        )


# ---------------------------------------------------------------------------- deferred errors


class DeferredError:
    """A word for errors of kernels, which cannot raise: they write an invalid input value to it.

    It is in CPU memory that GPUs can write to (CUDA C++ Programming Guide, "Unified Virtual Address
    Space"), so reading it is cheap. It is read whenever values arrive from a GPU, because the
    kernels that computed them have finished by then.

    Attributes:
        word: int64 (1,), for the kernels; 0 while there is no error.
    """

    def __init__(self, xp: ModuleType, error: Callable[[int], Exception]) -> None:
        self.error = error
        self.seen = self.word = np.zeros(1, np.int64)
        if xp is not np:
            pinned = xp.cuda.alloc_pinned_memory(self.seen.nbytes)
            self.seen = np.frombuffer(pinned, np.int64, 1)
            self.seen[0] = 0
            here = xp.cuda.Device().id
            memory = xp.cuda.UnownedMemory(pinned.ptr, self.seen.nbytes, pinned, here)
            self.word = xp.ndarray((1,), np.int64, xp.cuda.MemoryPointer(memory, 0))


_deferred_errors: list[DeferredError] = []


@functools.cache  # kernels may write to it until the process ends
def deferred_error(xp: ModuleType, error: Callable[..., Exception], *about: Any) -> DeferredError:
    """The DeferredError of kernels on arrays of ``xp`` that raises ``error(*about, word)``."""
    _deferred_errors.append(DeferredError(xp, functools.partial(error, *about)))
    return _deferred_errors[-1]


def raise_deferred_errors() -> None:
    """Raise the errors that kernels have reported, each once."""
    for deferred in _deferred_errors:
        if value := int(deferred.seen[0]):
            deferred.seen[0] = 0
            raise deferred.error(value)
