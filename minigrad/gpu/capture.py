"""Numbers that change from step to step, for kernels that are recorded once and replayed.

A CUDA graph replays launches with the arguments they were recorded with. So a kernel must read a
number that differs in each replay, such as a learning rate or a dropout key, from device memory.
:func:`varying` allocates such memory; :mod:`minigrad.gpu.cuda_graph` refills it before each
replay.

This memory is allocated outside the recording's pool. A block that an earlier kernel of the
recording has used and freed would be overwritten by that kernel in each replay, after the refill.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import Any

import numpy as np

from ..device import Array, get_xp

Values = Callable[[], Sequence[float]]
CHUNK_BYTES = 4096  # refilled by one copy
ALIGNMENT_BYTES = 16


class _Chunk:
    """Bytes on the device, allocated part by part, and a copy on the CPU with their next values."""

    def __init__(self, nbytes: int, xp: ModuleType) -> None:
        self.host = np.zeros(nbytes, np.uint8)
        self.device = xp.empty(nbytes, np.uint8)  # xp.zeros would be recorded, and replayed
        self.used = 0

    def fits(self, nbytes: int) -> bool:
        return self.used + nbytes <= len(self.host)

    def take(self, nbytes: int) -> tuple[np.ndarray, Array]:
        part = slice(self.used, self.used + nbytes)
        self.used += -(-nbytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
        return self.host[part], self.device[part]

    def send(self) -> None:
        # asarray copies asynchronously; ndarray.set would wait for the GPU.
        self.device[: self.used] = get_xp(self.device).asarray(self.host[: self.used])


class Slots:
    """The device memory from which a recorded step reads its numbers, and where they come from.

    Args:
        outside: returns a context in which arrays are not allocated in the recording's memory.

    Attributes:
        kept: other arrays that the recorded kernels read, which live as long as this object.
    """

    def __init__(self, outside: Callable[[], AbstractContextManager[Any]] = nullcontext) -> None:
        self._outside = outside
        self.kept: list[Array] = []
        self._chunks: list[_Chunk] = []
        self._varying: list[tuple[np.ndarray, Values]] = []
        self._constant: list[_Chunk] = []  # not sent yet

    def varying(self, values: Values, count: int, dtype: Any, xp: ModuleType) -> Array:
        """Memory for the ``count`` numbers of ``values()``, which each refill calls again."""
        nbytes = count * np.dtype(dtype).itemsize
        if not (self._chunks and self._chunks[-1].fits(nbytes)):
            self._chunks.append(self._chunk(max(CHUNK_BYTES, nbytes), xp))
        host, device = self._chunks[-1].take(nbytes)
        self._varying.append((host.view(dtype), values))
        return device.view(dtype)

    def constant(self, numbers: np.ndarray, xp: ModuleType) -> Array:
        """Memory that holds ``numbers`` after the first refill."""
        chunk = self._chunk(numbers.nbytes, xp)
        host, device = chunk.take(numbers.nbytes)
        host.view(numbers.dtype)[...] = numbers.reshape(-1)
        self._constant.append(chunk)
        self.kept.append(chunk.device)
        return device.view(numbers.dtype).reshape(numbers.shape)

    def _chunk(self, nbytes: int, xp: ModuleType) -> _Chunk:
        with self._outside():
            return _Chunk(nbytes, xp)

    def refill(self) -> None:
        """Call each function once, in the order in which the step asked for the arrays, and copy
        the numbers to where the recorded kernels read them."""
        for host, values in self._varying:
            host[...] = _numbers(values, host.size, host.dtype)
        for chunk in (*self._constant, *self._chunks):
            chunk.send()
        self._constant = []


class _Recording(threading.local):
    slots: Slots | None = None


_recording = _Recording()


class recording:
    """Context in which, on this thread, :func:`varying` records its functions in ``slots`` instead
    of calling them."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots

    def __enter__(self) -> None:
        if _recording.slots is not None:
            raise RuntimeError("a step is being captured already on this thread")
        _recording.slots = self.slots

    def __exit__(self, *_: object) -> None:
        _recording.slots = None


def is_recording() -> bool:
    """True while this thread's work is recorded rather than executed, so no value can be read."""
    return _recording.slots is not None


def keep(*arrays: Array) -> None:
    """Keep ``arrays``, which a cache may drop, alive as long as the current recording, if any."""
    if _recording.slots is not None:
        _recording.slots.kept += arrays


def varying(values: Values, count: int, dtype: Any, xp: ModuleType) -> Array:
    """A device array of the ``count`` numbers that ``values()`` gives for this step.

    A value that advances from step to step (a count of updates, the number of a random stream) must
    advance inside ``values``, which is called exactly once per execution of the kernels that read
    the array: at once outside a recording, and before each replay of a recording.

    Args:
        values: returns the step's ``count`` numbers.
        count, dtype: the array has shape (count,) and this dtype.
        xp: the array's module; the array is on CuPy's current device.
    """
    if _recording.slots is None:
        return xp.asarray(_numbers(values, count, dtype))
    return _recording.slots.varying(values, count, dtype, xp)


def constant(numbers: np.ndarray, xp: ModuleType) -> Array:
    """``numbers`` on CuPy's current device. They are copied at once or, in a recording, before its
    first replay: a copy inside the recording would be repeated in each replay."""
    if _recording.slots is None:
        return xp.asarray(numbers)
    return _recording.slots.constant(numbers, xp)


def _numbers(values: Values, count: int, dtype: Any) -> np.ndarray:
    numbers = np.asarray(values(), dtype)
    if numbers.shape != (count,):
        raise ValueError(f"varying: expected {count} numbers, got {numbers.size}")
    return numbers
