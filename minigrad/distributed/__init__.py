"""Several processes that train one model, under the names of ``torch.distributed``.

``mpirun -n 4 python program.py`` starts four processes, the ranks 0 to 3. Arrays on the CPU are
sent by MPI (mpi4py), arrays on a GPU by NCCL, with one rank for each GPU::

    with distributed.process_group():
        averager = distributed.GradientAverager(model.parameters())
        ...
        averager.backward(loss, len(labels))  # in place of loss.backward()
        optimizer.step()

Before :func:`init_process_group` a process is rank 0 of 1, and nothing is sent.

A rank that raises an exception, ends early or stops responding ends the whole job: see
:func:`init_process_group`.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, TypeVar

from .. import check
from ..rng import Part, part_of_batch
from ..tensor import Tensor
from .averaging import GradientAverager
from .group import Alone, DistributedError, Group, ReduceOp, Work, current, join
from .guard import end_when_stopped, joining

__all__ = [
    "DistributedError",
    "GradientAverager",
    "Group",
    "ReduceOp",
    "Work",
    "all_reduce",
    "barrier",
    "broadcast",
    "broadcast_object_list",
    "destroy_process_group",
    "from_rank_0",
    "get_backend",
    "get_local_rank",
    "get_local_size",
    "get_rank",
    "get_world_size",
    "init_process_group",
    "is_available",
    "is_initialized",
    "part_of_whole",
    "process_group",
]

T = TypeVar("T")

SILENCE = 10.0  # seconds without a sign of life from a rank, after which the job ends
START = 60.0  # seconds in which all ranks have to join


def is_available() -> bool:
    """Whether mpi4py and an MPI library are installed."""
    from .mpi import load

    try:
        load()
    except ImportError:
        return False
    return True


def init_process_group(
    backend: str | None = None,
    *,
    timeout: float = 1800.0,
    silence: float | None = None,
    start: float | None = None,
) -> None:
    """Join the ranks that ``mpirun`` started; every rank calls this once.

    From now on the ranks watch each other. The whole job ends, with one line on stderr that names
    the rank and the failure,

    - at once, if the launcher detects that a rank was killed;
    - after ``start`` seconds, if a rank does not join, or stops while it leaves;
    - within ``silence`` seconds, if a rank sends no sign of life, because it was stopped, or its
      machine or the link to it is down;
    - two seconds later, if a rank is stopped while it joins or after it has left, when the others
      do not watch it;
    - within :data:`~minigrad.distributed.group.GRACE` seconds, if a rank raises an uncaught
      exception, or ends while others continue;
    - after ``timeout`` seconds, if a rank waits for a call that another never makes.

    Args:
        backend: "mpi", "nccl", or None for both: MPI for arrays on the CPU, NCCL for those on GPUs.
        timeout: seconds that a call waits for the other ranks.
        silence: see above (default: :data:`SILENCE`).
        start: see above (default: :data:`START`).

    Raises:
        ImportError: mpi4py or the MPI library is missing.
        RuntimeError: this process has joined or left the group before, or the MPI library has no
            support for threads.
    """
    if backend is not None and backend not in ("mpi", "nccl"):
        raise ValueError(f"backend: expected 'mpi', 'nccl' or None, got {check.shown(backend)}")
    if is_initialized():
        raise RuntimeError("init_process_group: called before; destroy_process_group() first")
    from .mpi import MPIGroup

    timeout = check.number("timeout", timeout, 0)
    silence = check.number("silence", SILENCE if silence is None else silence, 1)
    start = check.number("start", START if start is None else start, 1)
    if int(os.environ.get("OMPI_COMM_WORLD_SIZE", 1)) > 1:
        end_when_stopped(silence + 2)
    with joining(start):
        join(MPIGroup(timeout, silence, start, backend or "mpi+nccl"))
    atexit.register(_leave)
    sys.excepthook = functools.partial(_excepthook, sys.excepthook)


def destroy_process_group() -> None:
    """Leave the group; waits until all ranks do."""
    _close(patient=True)


def _close(patient: bool) -> None:
    if is_initialized():
        group = current()
        join(Alone())
        atexit.unregister(_leave)
        group.close(patient)


@contextlib.contextmanager
def process_group(
    backend: str | None = None, *, mistakes: tuple[type[Exception], ...] = (), **options: float
) -> Iterator[None]:
    """Context between :func:`init_process_group` and :func:`destroy_process_group`.

    An exception that all ranks raise is propagated. One that only some raise ends the whole job,
    with a traceback unless its class is in ``mistakes``.
    """
    init_process_group(backend, **options)
    try:
        yield
    except BaseException as error:
        current().fail(error, mistakes)  # ends the process, unless all fail
        raise
    finally:
        destroy_process_group()


def _excepthook(before: Callable[..., Any], kind: Any, error: Any, trace: TracebackType) -> None:
    before(kind, error, trace)
    current().fail(error, (kind,))


def _leave() -> None:
    """End the job when a process ends that has not left the group, since others may wait for it."""
    _close(patient=False)


# ---------------------------------------------------------------------------- who is there


def is_initialized() -> bool:
    """Whether this process is between :func:`init_process_group` and the end of the group."""
    return not isinstance(current(), Alone)


def get_rank(group: Group | None = None) -> int:
    """The number of this process, from 0."""
    return current(group).rank


def get_world_size(group: Group | None = None) -> int:
    """The number of processes."""
    return current(group).size


def get_local_rank() -> int:
    """The number of this process among those of its machine, which is also that of its GPU."""
    return current().local_rank


def get_local_size() -> int:
    """The number of processes on this machine."""
    return current().local_size


def get_backend(group: Group | None = None) -> str:
    """ "mpi", "nccl", "mpi+nccl", or "" for a single process."""
    return current(group).backend


@contextlib.contextmanager
def part_of_whole(total: int, group: Group | None = None) -> Iterator[None]:
    """Context in which this rank works on its part of a batch of ``total`` rows, as divided by a
    ``DataLoader(num_replicas=..., rank=...)``. Dropout then draws the same masks as a single
    process with the whole batch."""
    here = current(group)
    part = Part(here.rank, here.size, check.integer("total", total, 0))
    with part_of_batch(part if here.size > 1 else None):
        yield


# ---------------------------------------------------------------------------- collective calls


def all_reduce(
    tensor: Tensor, op: ReduceOp = ReduceOp.SUM, group: Group | None = None, async_op: bool = False
) -> Work | None:
    """Combine the tensors of all ranks, in place: each rank gets the same result.

    Args:
        tensor: a tensor with the same shape and dtype on every rank.
        op: ReduceOp.SUM, PRODUCT, MIN or MAX.
        async_op: return a :class:`Work`, whose ``wait()`` completes the call; until then the tensor
            must not be read or written. All ranks must make their calls in the same order.
    """
    here = current(group)
    _changed("tensor", tensor, here)
    return _ended(here.all_reduce(tensor.data, op), async_op)


def broadcast(
    tensor: Tensor, src: int = 0, group: Group | None = None, async_op: bool = False
) -> Work | None:
    """Give every rank the values of ``tensor`` that rank ``src`` has, in place."""
    here = current(group)
    _changed("tensor", tensor, here)
    work = here.broadcast(tensor.data, check.integer("src", src, 0, here.size - 1))
    return _ended(work, async_op)


def barrier(group: Group | None = None, async_op: bool = False) -> Work | None:
    """Wait until every rank has called this."""
    return _ended(current(group).barrier(), async_op)


def broadcast_object_list(object_list: list[Any], src: int = 0, group: Group | None = None) -> None:
    """Replace the entries of a list by those of rank ``src``, which may be any picklable objects.
    The lists must have the same length."""
    here = current(group)
    src = check.integer("src", src, 0, here.size - 1)
    received = here.broadcast_object(list(object_list) if here.rank == src else None, src)
    if len(received) != len(object_list):
        raise ValueError(f"object_list: expected {len(received)} entries, got {len(object_list)}")
    object_list[:] = received


def from_rank_0(make: Callable[[], T]) -> T:
    """Call ``make()`` on rank 0 only, and return its result, or raise its exception, on every rank.
    (Not in PyTorch.)"""
    result: list[Any] = [None, None]
    if get_rank() == 0:
        try:
            result[0] = make()
        except Exception as error:
            result[1] = error
            if get_world_size() == 1:
                raise
    broadcast_object_list(result)
    if result[1] is not None:
        raise result[1]
    made: T = result[0]
    return made


def _changed(name: str, tensor: Tensor, group: Group) -> None:
    check.writable(name, check.tensor(name, tensor))
    if group.backend == "nccl" and tensor.device.type == "cpu":
        raise ValueError(f"{name}: backend 'nccl' carries tensors on GPUs, got one on the CPU")
    if tensor.node is not None:
        raise ValueError(f"{name}: expected a leaf, such as tensor.detach(); gradients do not pass")


def _ended(work: Work, async_op: bool) -> Work | None:
    if check.boolean("async_op", async_op):
        return work
    work.wait()
    return None
