"""The interface of groups of ranks, and the group of a single process."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

from ..device import Array

GRACE = 5.0  # seconds that a rank which fails waits for the others to fail with it


class DistributedError(RuntimeError):
    """A call that waits for other ranks has failed."""


class ReduceOp(enum.Enum):
    """The operation of :func:`~minigrad.distributed.all_reduce`."""

    SUM = "SUM"
    PRODUCT = "PROD"
    MIN = "MIN"
    MAX = "MAX"


class Work:
    """A call in progress.

    Args:
        wait: completes the call.
        poll: advances the call, and returns whether it is complete.
    """

    def __init__(
        self, wait: Callable[[], None] = lambda: None, poll: Callable[[], bool] = lambda: True
    ) -> None:
        self._wait, self._poll = wait, poll

    def wait(self) -> None:
        """Wait for the result.

        Raises:
            DistributedError: the call exceeded its time limit.
        """
        self._wait()

    def is_completed(self) -> bool:
        """Whether ``wait`` would return at once. This also advances the call."""
        return self._poll()


class Group:
    """Ranks that make the same calls in the same order. The calls return at once; their arrays must
    not be used until ``wait``.

    Attributes:
        rank, size: number of this process, and number of processes.
        local_rank, local_size: the same among the processes of this machine.
        backend: name of the library that sends the arrays.
    """

    rank = 0
    size = 1
    local_rank = 0
    local_size = 1
    backend = ""

    def all_reduce(self, array: Array, op: ReduceOp = ReduceOp.SUM) -> Work:
        """Combine ``array`` over the ranks, in place."""
        raise NotImplementedError

    def broadcast(self, array: Array, src: int = 0) -> Work:
        """Set ``array`` to its values on rank ``src``, in place."""
        raise NotImplementedError

    def barrier(self) -> Work:
        """Wait for all ranks."""
        raise NotImplementedError

    def broadcast_object(self, value: Any, src: int = 0) -> Any:
        """The ``value`` of rank ``src``."""
        raise NotImplementedError

    def channel(self) -> Group:
        """A group of the same ranks with a separate order of calls; all ranks create it
        together."""
        raise NotImplementedError

    def fail(self, error: BaseException, mistakes: tuple[type[Exception], ...] = ()) -> None:
        """Report that this rank fails with ``error``: return if all do, otherwise end the whole
        job, with a traceback unless the class of ``error`` is in ``mistakes``."""

    def close(self, patient: bool = True) -> None:
        """Leave the group together with all ranks. Unless ``patient``, the wait is short."""


class Alone(Group):
    """The group of a single process. Nothing is sent."""

    def all_reduce(self, array: Array, op: ReduceOp = ReduceOp.SUM) -> Work:
        return Work()

    def broadcast(self, array: Array, src: int = 0) -> Work:
        return Work()

    def barrier(self) -> Work:
        return Work()

    def broadcast_object(self, value: Any, src: int = 0) -> Any:
        return value

    def channel(self) -> Group:
        return self


_joined: Group = Alone()


def join(group: Group) -> None:
    """Set the group of this process."""
    global _joined
    _joined = group


def current(group: Group | None = None) -> Group:
    """``group``, or the one that this process has joined."""
    if group is not None and not isinstance(group, Group):
        raise TypeError(f"group: expected a Group or None, got {type(group).__name__}")
    return group or _joined
