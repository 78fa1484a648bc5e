"""What all groups of ranks have in common, and the group of a process that is alone."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

from ..device import Array

GRACE = 5.0  # seconds that a rank which fails waits for the others to fail with it


class DistributedError(RuntimeError):
    """A call that waits for other ranks has failed."""


class ReduceOp(enum.Enum):
    """How :func:`~minigrad.distributed.all_reduce` combines values."""

    SUM = "SUM"
    PRODUCT = "PROD"
    MIN = "MIN"
    MAX = "MAX"


class Work:
    """A call in progress.

    Args:
        wait: ends it.
        poll: moves it on, and says whether it has ended.
    """

    def __init__(
        self, wait: Callable[[], None] = lambda: None, poll: Callable[[], bool] = lambda: True
    ) -> None:
        self._wait, self._poll = wait, poll

    def wait(self) -> None:
        """Return when the result is there.

        Raises:
            DistributedError: it did not come in time.
        """
        self._wait()

    def is_completed(self) -> bool:
        """Whether ``wait`` would return at once. A call moves on while it is asked."""
        return self._poll()


class Group:
    """Ranks that make the same calls in the same order. The calls return at once; what they work on
    belongs to them until ``wait``.

    Attributes:
        rank, size: number of this process, and how many there are.
        local_rank, local_size: number of this process on its machine, and how many are there.
        backend: what carries the arrays.
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
        """Give ``array`` the values it has on rank ``src``, in place."""
        raise NotImplementedError

    def barrier(self) -> Work:
        """Wait for all ranks."""
        raise NotImplementedError

    def broadcast_object(self, value: Any, src: int = 0) -> Any:
        """What ``value`` is on rank ``src``."""
        raise NotImplementedError

    def channel(self) -> Group:
        """The same ranks, with an order of calls of its own. All ranks make it together."""
        raise NotImplementedError

    def fail(self, error: BaseException, mistakes: tuple[type[Exception], ...] = ()) -> None:
        """This rank fails by ``error``: return if all do, else end the whole job, with a traceback
        unless ``error`` is one of ``mistakes``."""

    def close(self, patient: bool = True) -> None:
        """Leave the group with all ranks. Unless ``patient``, others may not take long."""


class Alone(Group):
    """The group of a process that is alone. Nothing is sent."""

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
    """Make ``group`` that of this process."""
    global _joined
    _joined = group


def current(group: Group | None = None) -> Group:
    """``group``, or the one that this process has joined."""
    if group is not None and not isinstance(group, Group):
        raise TypeError(f"group: expected a Group or None, got {type(group).__name__}")
    return group or _joined
