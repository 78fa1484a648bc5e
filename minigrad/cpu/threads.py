"""Threads on the CPU: blocks of work shared over cores, with BLAS held to one thread.

NumPy releases the interpreter lock inside its loops and BLAS calls, so plain Python threads scale
as long as one call does enough work. minigrad splits every heavy operation into blocks that fit a
core's cache and runs them here; BLAS threads of its own would only fight for the same cores.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import re
import threading
from collections.abc import Callable, Iterable
from itertools import pairwise
from queue import SimpleQueue
from typing import Any

import numpy as np
import threadpoolctl

FEW = 1 << 19  # elements: one thread passes over them in little more than handing over costs

MOST = 4096  # threads

LINE = 64  # bytes of a cache line

_local = threading.local()  # .job: what it works for; .buffers: its workspaces


# ---------------------------------------------------------------------------- the lock, and forks

# Guards all that threads share; nobody who holds it waits for a thread that wants it. Only the
# thread that forks lives on in the child, where what another one has locked would stay locked, and
# half changed. So a fork takes the lock first, and both processes release it.
lock = threading.RLock()  # re-entrant, because a signal handler may fork


def _after_fork_in_child() -> None:
    _workers.clear()  # they are the parent's
    _blas.callers.clear()
    lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lock.acquire, after_in_parent=lock.release, after_in_child=_after_fork_in_child
    )


# ---------------------------------------------------------------------------- how many


def _default_threads() -> int:
    asked = os.environ.get("MINIGRAD_NUM_THREADS", "")
    if asked:
        if not re.fullmatch("[0-9]{1,9}", asked) or not 1 <= int(asked) <= MOST:
            what = f"a whole number from 1 to {MOST}"
            raise ValueError(f"MINIGRAD_NUM_THREADS: expected {what}, got {asked!r}")
        return int(asked)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_threads: int | None = None  # not asked for yet: a wrong number is an error of its first use
_workers: list[SimpleQueue[_Job | None]] = []  # each thread's queue; None ends it


def get_num_threads() -> int:
    """Number of threads that CPU operations use (default: the cores this process may run on).

    Raises:
        ValueError: MINIGRAD_NUM_THREADS is wrong.
    """
    global _threads
    if _threads is None:
        _threads = _default_threads()
    return _threads


def set_num_threads(threads: int) -> None:
    """Set the number of threads of CPU operations, as ``torch.set_num_threads`` does. Operations
    under way in other threads keep theirs.

    Results are bit-identical from run to run for a given number, not across numbers: a sum split
    over more threads rounds differently.
    """
    global _threads
    if isinstance(threads, bool) or not isinstance(threads, int):
        raise TypeError(f"threads: expected a whole number, got {type(threads).__name__}")
    if not 1 <= threads <= MOST:  # each is started, and has memory of its own
        raise ValueError(f"threads: expected a whole number from 1 to {MOST}, got {threads}")
    with lock:
        _threads = threads
        while len(_workers) >= threads:
            _workers.pop().put(None)


def _queues(count: int) -> list[SimpleQueue[_Job | None]]:
    """The queues of ``count`` workers, or of all if they are fewer; starts those that are missing.

    A job in the queue of a worker that has ended since is one that nobody begins.
    """
    count = min(count, get_num_threads() - 1)
    if len(_workers) < count:
        with lock:
            while len(_workers) < min(count, get_num_threads() - 1):
                queue: SimpleQueue[_Job | None] = SimpleQueue()
                threading.Thread(target=_serve, args=(queue,), name="minigrad", daemon=True).start()
                _workers.append(queue)
    return _workers[: max(0, count)]


def _serve(queue: SimpleQueue[_Job | None]) -> None:
    _local.job = _Job(iter, 0)  # never finished: all that this thread does is part of one
    np.seterr(all="ignore")  # of this thread alone
    while (job := queue.get()) is not None:
        job.help()


# ---------------------------------------------------------------------------- shared work


class _Job:
    """One call of :func:`distribute`, which workers may join.

    Ctrl-C raises its exception in the main thread between any two steps of this. So no step undoes
    or consumes what another one relies on: a worker that joins says so itself, ``joined`` and
    ``left`` only grow, and waiting is comparing them, which can be broken off and begun anew. A
    queue is what wakes the waiting thread, because its operations happen wholly or not at all.
    """

    __slots__ = ("errors", "joined", "left", "numbers", "wake", "work")

    def __init__(self, work: Callable[[Iterable[int]], Any], count: int) -> None:
        self.work: Callable[[Iterable[int]], Any] | None = work
        self.numbers = iter(range(count))  # next() on it is atomic under the interpreter lock
        self.joined: list[None] = []
        self.left: list[None] = []
        self.errors: list[BaseException] = []
        self.wake: SimpleQueue[None] = SimpleQueue()

    def help(self) -> None:
        """A worker's part: nothing, if the caller has done everything by now."""
        self.joined.append(None)  # before looking: `finish` takes the work away before it looks
        work = self.work
        try:
            if work is not None:
                work(self.numbers)
        except BaseException as error:
            self.errors.append(error)
        finally:
            del work  # it holds the arrays of the operation
            self.left.append(None)
            self.wake.put(None)

    def finish(self) -> None:
        """Let no further worker join, and wait for those who have, whatever is raised meanwhile."""
        try:
            self.work = None
            while len(self.left) < len(self.joined):
                self.wake.get()
        except BaseException:
            self.finish()
            raise


class _Blas:
    """NumPy's BLAS, which has one thread while ours call it: entered and left by each that does.

    What Ctrl-C keeps it from putting back is put back by the next to leave.
    """

    def __init__(self) -> None:
        self.callers: set[int] = set()  # threads
        self.before: list[int] | None = None  # what each library's number of threads is otherwise

    @functools.cached_property
    def libraries(self) -> list[Any]:
        controller = threadpoolctl.ThreadpoolController()
        return list(controller.select(user_api="blas").lib_controllers)

    def __enter__(self) -> None:
        with lock:
            self.callers.add(threading.get_ident())
            if self.before is None:
                self.before = [library.get_num_threads() for library in self.libraries]
            for library in self.libraries:
                library.set_num_threads(1)

    def __exit__(self, *_: object) -> None:
        with lock:
            self.callers.discard(threading.get_ident())
            if self.before is not None and not self.callers:
                for library, threads in zip(self.libraries, self.before, strict=True):
                    library.set_num_threads(threads)
                self.before = None


_blas = _Blas()


def parallel(task: Callable[[int], Any], count: int, elements: int | None = None) -> None:
    """Run ``task(0) … task(count - 1)``, each once, in no fixed order, and wait for all.

    ``elements`` is given by tasks that call no BLAS: how many all of them together pass over. That
    may be so few that one thread is done before another would have begun.

    Tasks must write to separate memory. A task that calls ``parallel`` runs that part serially.
    Several threads may call it at once; workers that are busy for one do not help another. The
    first exception of a task is raised here once the other threads have stopped.
    """

    def work(numbers: Iterable[int]) -> None:
        for i in numbers:
            task(i)

    distribute(work, count, elements)


def distribute(
    work: Callable[[Iterable[int]], Any], count: int, elements: int | None = None
) -> None:
    """:func:`parallel` for tasks that a thread sets up once for all of its own: every thread calls
    ``work(numbers)``, and ``numbers`` gives it one of 0 … count - 1 whenever it asks for another.
    """
    outer = getattr(_local, "job", None)
    if outer is not None and outer.work is not None:
        work(range(count))
        return
    few = elements is not None and elements < FEW
    job = _Job(work, count)
    try:
        with _blas if elements is None else contextlib.nullcontext():
            try:
                try:
                    for queue in _queues(0 if few else count - 1):
                        queue.put(job)
                    _local.job = job
                    # As in workers: NaN and infinity are values, not warnings.
                    with np.errstate(all="ignore"):
                        work(job.numbers)
                finally:
                    job.finish()
            finally:
                job.finish()  # in case Ctrl-C came on the way into the first
        if job.errors:
            raise job.errors[0]
    finally:
        job.errors.clear()  # they hold this frame, and it them, and arrays


# ---------------------------------------------------------------------------- for blocks of work


@functools.lru_cache(maxsize=1024)  # the same few sizes in every training step
def split_range(size: int, pieces: int, align: int = 1) -> tuple[slice, ...]:
    """Cut ``range(size)`` into at most ``pieces`` slices, none empty, of near-equal length.

    Inner borders fall on multiples of ``align``, and lengths differ by at most one of them.

    >>> split_range(10, 3)
    (slice(0, 3, None), slice(3, 6, None), slice(6, 10, None))
    """
    units = -(-size // align)
    pieces = max(1, min(pieces, units))
    cuts = [min(i * units // pieces * align, size) for i in range(pieces + 1)]
    return tuple(slice(low, high) for low, high in pairwise(cuts) if low < high)


def aligned(nbytes: int) -> np.ndarray:
    """Uninitialised bytes from the start of a cache line on: no vector is loaded from two."""
    raw = np.empty(nbytes + LINE, np.uint8)
    start = -raw.__array_interface__["data"][0] % LINE
    return raw[start : start + nbytes]


def workspace(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    """This thread's reused, uninitialised scratch array called ``name``.

    Fresh large arrays cost page faults and cold cache lines; scratch that lives for one block
    does not have to. It is valid until the same thread asks for the same name again.
    """
    buffers = getattr(_local, "buffers", None)
    if buffers is None:
        buffers = _local.buffers = {}
    need = math.prod(shape) * dtype.itemsize
    raw = buffers.get(name)
    if raw is None or raw.nbytes < need:
        raw = buffers[name] = aligned(need)
    return raw[:need].view(dtype).reshape(shape)
