"""What changes from step to step, for kernels that are recorded once and replayed.

A CUDA graph replays launches with the arguments that they were recorded with. A learning rate or a
dropout key that is to differ in every replay must therefore be read by the kernel from device
memory. :func:`varying` hands out such memory; :mod:`minigrad.graph` refills it before each replay.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .backend import Array, device

Values = Callable[[], Sequence[float]]


class Slots:
    """The varying numbers of one recorded step: where they live and what they are next.

    Attributes:
        buffers: the device arrays handed out, in order.
        values: for each, the function that gives its numbers for the step at hand.
    """

    def __init__(self) -> None:
        self.buffers: list[Array] = []
        self.values: list[Values] = []

    def refill(self) -> None:
        """Ask every function once, in the order in which the step asked for its array, and put
        the numbers where the recorded kernels read them."""
        for buffer, values in zip(self.buffers, self.values, strict=True):
            _fill(buffer, values)


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


def varying(values: Values, count: int, dtype: Any, where: device) -> Array:
    """A device array of the ``count`` numbers that ``values()`` gives for this step.

    Whatever moves on from step to step (a count of updates, a random stream's number) must do so
    inside ``values``: it is called exactly once for every execution of the kernels that read the
    array, at once outside of a recording and before each replay of one.

    Args:
        values: the step's numbers, ``count`` of them.
        count, dtype: shape (count,) and dtype of the array.
        where: the device it lives on.
    """
    if _recording.slots is None:
        return _fill(where.xp.empty(count, dtype), values)
    buffer = where.xp.zeros(count, dtype)
    _recording.slots.buffers.append(buffer)
    _recording.slots.values.append(values)
    return buffer


def _fill(buffer: Array, values: Values) -> Array:
    numbers = np.asarray(values(), buffer.dtype)
    if numbers.shape != buffer.shape:
        raise ValueError(f"varying: expected {buffer.size} numbers, got {numbers.size}")
    if isinstance(buffer, np.ndarray):
        buffer[...] = numbers
    else:
        buffer.set(numbers)
    return buffer
