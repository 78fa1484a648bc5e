"""What changes from step to step, for kernels that are recorded once and replayed.

A CUDA graph replays launches with the arguments that they were recorded with. A learning rate or a
dropout key that is to differ in every replay must therefore be read by the kernel from device
memory. :func:`varying` hands out such memory; :mod:`minigrad.gpu.cuda_graph` refills it before each
replay.

That memory is refilled while the recording waits, so it must never have been the recording's: a
block that an earlier kernel of the recording used and freed is overwritten by that kernel in every
replay. It is therefore allocated outside the recording's pool.
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
PIECE = 4096  # bytes of memory that are refilled as one
ALIGNED = 16  # bytes


class _Piece:
    """Bytes on the device, handed out bit by bit, and what is to be in them."""

    def __init__(self, nbytes: int, xp: ModuleType) -> None:
        self.here = np.zeros(nbytes, np.uint8)
        self.there = xp.empty(nbytes, np.uint8)  # zeros would be recorded, and replayed
        self.used = 0

    def fits(self, nbytes: int) -> bool:
        return self.used + nbytes <= len(self.here)

    def take(self, nbytes: int) -> tuple[np.ndarray, Array]:
        part = slice(self.used, self.used + nbytes)
        self.used += -(-nbytes // ALIGNED) * ALIGNED
        return self.here[part], self.there[part]

    def send(self) -> None:
        # asarray uploads behind the program; ndarray.set would wait for the GPU.
        self.there[: self.used] = get_xp(self.there).asarray(self.here[: self.used])


class Slots:
    """The numbers that a recorded step reads: where they live and what they are next.

    Args:
        outside: within what it returns, arrays do not come from the memory of the recording.

    Attributes:
        kept: other arrays that the recorded kernels read, alive as long as this.
    """

    def __init__(self, outside: Callable[[], AbstractContextManager[Any]] = nullcontext) -> None:
        self._outside = outside
        self.kept: list[Array] = []
        self._pieces: list[_Piece] = []
        self._varying: list[tuple[np.ndarray, Values]] = []
        self._constant: list[_Piece] = []  # not sent yet

    def varying(self, values: Values, count: int, dtype: Any, xp: ModuleType) -> Array:
        """Memory for ``count`` numbers of ``values()``, anew in each refill."""
        nbytes = count * np.dtype(dtype).itemsize
        if not (self._pieces and self._pieces[-1].fits(nbytes)):
            self._pieces.append(self._piece(max(PIECE, nbytes), xp))
        here, there = self._pieces[-1].take(nbytes)
        self._varying.append((here.view(dtype), values))
        return there.view(dtype)

    def constant(self, numbers: np.ndarray, xp: ModuleType) -> Array:
        """Memory that holds ``numbers`` from the first refill on."""
        piece = self._piece(numbers.nbytes, xp)
        here, there = piece.take(numbers.nbytes)
        here.view(numbers.dtype)[...] = numbers.reshape(-1)
        self._constant.append(piece)
        self.kept.append(piece.there)
        return there.view(numbers.dtype).reshape(numbers.shape)

    def _piece(self, nbytes: int, xp: ModuleType) -> _Piece:
        with self._outside():
            return _Piece(nbytes, xp)

    def refill(self) -> None:
        """Ask every function once, in the order in which the step asked for its array, and put
        the numbers where the recorded kernels read them."""
        for here, values in self._varying:
            here[...] = _numbers(values, here.size, here.dtype)
        for piece in (*self._constant, *self._pieces):
            piece.send()
        self._constant = []


class _Recording(threading.local):
    slots: Slots | None = None


_recording = _Recording()


class recording:
    """Within it, on this thread, :func:`varying` remembers its functions in ``slots`` instead of
    calling them."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots

    def __enter__(self) -> None:
        if _recording.slots is not None:
            raise RuntimeError("a step is being captured already on this thread")
        _recording.slots = self.slots

    def __exit__(self, *_: object) -> None:
        _recording.slots = None


def is_recording() -> bool:
    """Whether this thread's work is being recorded, not done: no value can be read then."""
    return _recording.slots is not None


def keep(*arrays: Array) -> None:
    """In a recording, hold ``arrays`` as long as it can be replayed: for what a cache may drop."""
    if _recording.slots is not None:
        _recording.slots.kept += arrays


def varying(values: Values, count: int, dtype: Any, xp: ModuleType) -> Array:
    """A device array of the ``count`` numbers that ``values()`` gives for this step.

    Whatever moves on from step to step (a count of updates, a random stream's number) must do so
    inside ``values``: it is called exactly once for every execution of the kernels that read the
    array, at once outside of a recording and before each replay of one.

    Args:
        values: the step's numbers, ``count`` of them.
        count, dtype: shape (count,) and dtype of the array.
        xp: its module; on CuPy's current device.
    """
    if _recording.slots is None:
        return xp.asarray(_numbers(values, count, dtype))
    return _recording.slots.varying(values, count, dtype, xp)


def constant(numbers: np.ndarray, xp: ModuleType) -> Array:
    """``numbers`` on CuPy's current device: sent at once or, in a recording, before it is first
    replayed, for what the recording itself sends would be sent in each replay."""
    if _recording.slots is None:
        return xp.asarray(numbers)
    return _recording.slots.constant(numbers, xp)


def _numbers(values: Values, count: int, dtype: Any) -> np.ndarray:
    numbers = np.asarray(values(), dtype)
    if numbers.shape != (count,):
        raise ValueError(f"varying: expected {count} numbers, got {numbers.size}")
    return numbers
