"""What changes from step to step, for kernels that are recorded once and replayed.

A CUDA graph replays launches with the arguments that they were recorded with. A learning rate or a
dropout key that is to differ in every replay must therefore be read by the kernel from device
memory. :func:`varying` hands out such memory; :mod:`minigrad.graph` refills it before each replay.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from .backend import Array, get_xp

Values = Callable[[], Sequence[float]]


class Slots:
    """The varying numbers of one recorded step: where they live and what they are next.

    Attributes:
        buffers: the device arrays handed out, in order.
        values: for each, the function that gives its numbers for the step at hand.
        kept: other arrays that the recorded kernels read, alive as long as this.
    """

    def __init__(self) -> None:
        self.buffers: list[Array] = []
        self.values: list[Values] = []
        self.kept: list[Array] = []

    def refill(self) -> None:
        """Ask every function once, in the order in which the step asked for its array, and put
        the numbers where the recorded kernels read them."""
        for buffer, values in zip(self.buffers, self.values, strict=True):
            # asarray uploads behind the program; ndarray.set would wait for the GPU.
            numbers = _numbers(values, buffer.size, buffer.dtype)
            buffer[...] = get_xp(buffer).asarray(numbers)


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
    buffer = xp.empty(count, dtype)  # zeros would be recorded, and replayed after the refill
    _recording.slots.buffers.append(buffer)
    _recording.slots.values.append(values)
    return buffer


def _numbers(values: Values, count: int, dtype: Any) -> np.ndarray:
    numbers = np.asarray(values(), dtype)
    if numbers.shape != (count,):
        raise ValueError(f"varying: expected {count} numbers, got {numbers.size}")
    return numbers
