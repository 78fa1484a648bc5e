"""Threads on the CPU: the cores share blocks of work, and BLAS uses one thread.

NumPy releases the interpreter lock inside its loops and BLAS calls, so plain Python threads scale
as long as each call does enough work. minigrad splits each heavy operation into blocks that fit a
core's cache and runs them here; threads of BLAS would only compete for the same cores.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import re
import threading
from collections.abc import Callable, Iterable
from itertools import count as counting
from itertools import pairwise
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

import numpy as np

from .. import quiet
from . import denormals
from .blas import Blas
from .compiled import kernels

MIN_PARALLEL_SIZE = 1 << 19  # elements; below, waking threads costs more than it saves
GRAIN = 1 << 15  # elements of a part of a launched kernel
PRODUCTS = 4  # of numbers, in the time of an element of a plain pass
MANY = 1 << 20  # elements, from which a thread that is late is given fewer parts
LOOKS = 1 << 14  # at a number that changes, in some 400 µs, before a thread sleeps
# Looks in which the caller reaches its first task. Until then it holds the interpreter lock, and a
# worker that asks for the lock is put to sleep.
GRACE = 200
MAX_THREADS = 4096
CACHE_LINE_BYTES = 64

_local = threading.local()  # .job: the job a thread works for; .buffers: its workspaces


# ---------------------------------------------------------------------------- the lock, and forks

# Guards all state that threads share; its holder never waits for a thread that wants it. After a
# fork only the forking thread lives on in the child, where a lock held by another thread would stay
# locked and its data half changed. So a fork takes the lock first, and both processes release it.
lock = threading.RLock()  # re-entrant, because a signal handler may fork


def _after_fork_in_child() -> None:
    _workers.clear()  # these threads exist only in the parent
    _team.words[:] = 0
    blas.callers.clear()
    lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lock.acquire, after_in_parent=lock.release, after_in_child=_after_fork_in_child
    )


# ---------------------------------------------------------------------------- number of threads


def _default_threads() -> int:
    asked = os.environ.get("MINIGRAD_NUM_THREADS", "")
    if asked:
        if not re.fullmatch("[0-9]{1,9}", asked) or not 1 <= int(asked) <= MAX_THREADS:
            what = f"a whole number from 1 to {MAX_THREADS}"
            raise ValueError(f"MINIGRAD_NUM_THREADS: expected {what}, got {asked!r}")
        return int(asked)
    return _cores()


@functools.cache
def _cores() -> int:
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_threads: int | None = None  # undecided, so that a wrong setting is an error of the first use
_workers: list[_Worker] = []


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
    """Set the number of threads of CPU operations, like ``torch.set_num_threads``. Operations that
    other threads are running keep theirs.

    Results are bit-identical from run to run for the same number of threads, but not for different
    numbers: a sum split over more threads rounds differently.
    """
    global _threads
    if isinstance(threads, bool) or not isinstance(threads, int):
        raise TypeError(f"threads: expected a whole number, got {type(threads).__name__}")
    if not 1 <= threads <= MAX_THREADS:  # each is started, and uses memory
        raise ValueError(f"threads: expected a whole number from 1 to {MAX_THREADS}, got {threads}")
    with lock:
        _threads = threads
        while len(_workers) >= threads:
            _workers.pop().put(None)


_flushes = False  # what workers do


def set_flush_denormal(mode: bool) -> bool:
    """Let the CPU take subnormal numbers for zero, or not (the default), on the calling thread and
    on those that share its operations. Like ``torch.set_flush_denormal``.

    Float32 numbers below 1.2 · 10⁻³⁸ and float64 numbers below 2.2 · 10⁻³⁰⁸ are subnormal. Many
    processors take a hundred times as long for them. Weights become subnormal where a network that
    is trained with weight decay does not need them.

    Returns:
        Whether it is possible: on Linux, with x86-64 and AArch64 processors.
    """
    global _flushes
    if not isinstance(mode, bool):
        raise TypeError(f"mode: expected True or False, got {type(mode).__name__}")
    if not denormals.flush(mode):
        return False
    with lock:
        if mode != _flushes:
            _flushes = mode
            while _workers:  # which are replaced when they are needed
                _workers.pop().put(None)
    return True


# ---------------------------------------------------------------------------- waiting


def aligned(nbytes: int) -> np.ndarray:
    """Uninitialised bytes that begin a cache line, so that no vector straddles two lines."""
    raw = np.empty(nbytes + CACHE_LINE_BYTES, np.uint8)
    start = -raw.__array_interface__["data"][0] % CACHE_LINE_BYTES
    return raw[start : start + nbytes]


def _team_kernels() -> Any:
    return kernels("team", np.dtype(np.float64))


class _Words:
    """Numbers in memory that threads watch and change without the interpreter lock."""

    __slots__ = ("address", "words")

    def __init__(self, count: int = 8) -> None:  # a cache line
        self.words = aligned(8 * count).view(np.int64)
        self.words[:] = 0
        self.address: int = self.words.__array_interface__["data"][0]


_team = _Words(64)  # see minigrad.cpu.kernels.team
_arrivals = _Words()  # of workers at their queues
_rings = counting(1)  # next() on it is atomic under the interpreter lock


def _watch(number: _Words, seen: int) -> bool:
    """Whether the number becomes another than ``seen`` while this thread watches it. A thread does
    not watch where it would keep another from working, having no core of its own."""
    fast = _team_kernels() if get_num_threads() <= _cores() else None
    return fast is not None and bool(fast.wait(number.address, seen, LOOKS))


def _has_parts(fast: Any) -> bool:
    """Whether a launched kernel has parts that no thread has taken."""
    words = _team.words
    return bool(words[fast.OPEN] and words[fast.NEXT] < words[fast.COUNT])


class _Worker:
    """A thread that helps with the jobs in its queue, and with launched kernels; None ends it."""

    __slots__ = ("asleep", "bell", "jobs")

    def __init__(self) -> None:
        self.jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self.bell = _Words()
        self.asleep = False
        threading.Thread(target=self.serve, name="minigrad", daemon=True).start()

    def put(self, job: _Job | None) -> None:
        self.jobs.put(job)
        self.bell.words[0] = next(_rings)

    def wake(self) -> None:
        """Let it watch for launched kernels."""
        if self.asleep:
            self.asleep = False
            self.jobs.put(_nothing_to_do)

    def get(self) -> _Job | None:
        heard = int(self.bell.words[0])
        try:
            return self.jobs.get_nowait()
        except Empty:
            pass
        if (fast := _team_kernels()) is not None:
            looks = LOOKS if get_num_threads() <= _cores() else 0
            bell, arrivals = self.bell.address, _arrivals.address
            fast.serve(_team.address, bell, heard, looks, GRACE, arrivals)
            # While it waited for the interpreter lock, a caller may have launched a kernel, and
            # taken it for awake.
            while self.bell.words[0] == heard and _has_parts(fast):
                fast.serve(_team.address, bell, heard, looks, GRACE, arrivals)
        self.asleep = True
        job = self.jobs.get()
        self.asleep = False
        return job

    def serve(self) -> None:
        _local.job = _Job(iter, 0)  # never finished: whatever this thread runs is part of a job
        np.seterr(all="ignore")  # for this thread only
        denormals.flush(_flushes)
        while (job := self.get()) is not None:
            if job is not _nothing_to_do:
                job.help()


def _helpers(count: int) -> list[_Worker]:
    """``count`` workers, or all if there are fewer. Starts missing workers.

    If a worker has ended meanwhile, a job in its queue is simply never begun.
    """
    count = min(count, get_num_threads() - 1)
    if len(_workers) < count:
        if (fast := _team_kernels()) is not None:  # compiles them
            fast.wait(_arrivals.address, -1, 0)
            fast.serve(_team.address, _arrivals.address, -1, 0, 0, _arrivals.address)
        with lock:
            while len(_workers) < min(count, get_num_threads() - 1):
                _workers.append(_Worker())
    return _workers[: max(0, count)]


# ---------------------------------------------------------------------------- shared work


class _Job:
    """One call of :func:`parallel`, which workers may join.

    Ctrl-C may raise its exception in the main thread between any two of these steps. So no step
    undoes or consumes state that another relies on: each worker records its own joining, ``joined``
    and ``left`` only grow, and waiting compares them, which can be interrupted and begun again. A
    queue wakes the waiting thread, because its operations are atomic. Before it sleeps, it watches
    workers return to their queues, which they count after they have let go of the interpreter.
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
        """A worker's share: nothing, if the caller has finished everything already."""
        self.joined.append(None)  # before looking: `finish` takes the work away before it looks
        work = self.work
        try:
            if work is not None:
                work(self.numbers)
        except BaseException as error:
            self.errors.append(error)
        finally:
            del work  # which refers to the operation's arrays
            self.left.append(None)
            self.wake.put(None)

    def finish(self) -> None:
        """Let no more workers join, and wait for those that have, whatever is raised meanwhile."""
        try:
            self.work = None
            while True:
                arrived = int(_arrivals.words[0])
                if len(self.left) == len(self.joined):
                    break
                if not _watch(_arrivals, arrived):
                    self.wake.get()
        except BaseException:
            self.finish()
            raise


_nothing_to_do = _Job(iter, 0)  # wakes a worker


blas = Blas(lock)


def threads_for(elements: int) -> int:
    """How many threads share work on ``elements``: one, if they are so few that it has finished
    before another could begin."""
    return 1 if elements < MIN_PARALLEL_SIZE else get_num_threads()


def parallel(
    task: Callable[[int], Any], count: int, elements: int | None = None, *, calls_blas: bool = True
) -> None:
    """Run ``task(0) … task(count - 1)``, each once, in no fixed order, and wait for all of them.

    Tasks that call no BLAS pass ``elements``, the number of elements they process together, and
    :func:`threads_for` so many run them; or ``calls_blas=False``, for any number of threads.

    Tasks must write to separate memory. If several threads run them, a task that calls ``parallel``
    runs that part serially. Several threads may call this at once; a worker helps one of them at a
    time. The first exception of a task is raised here after the other threads have stopped.
    """

    def work(numbers: Iterable[int]) -> None:
        for i in numbers:
            task(i)

    if _is_within_task():
        work(range(count))
        return
    held = blas if calls_blas and elements is None else _nothing
    few = count == 1 or (elements is not None and elements < MIN_PARALLEL_SIZE)
    before = quiet.enter()  # NaN and infinity are values, not warnings, as in workers
    try:
        with held:
            if few:
                work(range(count))
            else:
                _share(work, count)
    finally:
        quiet.leave(before)


_nothing = contextlib.nullcontext()


def _is_within_task() -> bool:
    job = getattr(_local, "job", None)
    return job is not None and job.work is not None


def _share(work: Callable[[Iterable[int]], Any], count: int) -> None:
    """Call ``work(numbers)`` on this thread and on workers, where the iterator ``numbers`` hands
    out 0 … count - 1 one at a time."""
    job = _Job(work, count)
    try:
        try:
            try:
                _local.job = job
                for worker in _helpers(count - 1):
                    worker.put(job)
                work(job.numbers)
            finally:
                job.finish()
        finally:
            job.finish()  # again, in case Ctrl-C came before the first began
        if job.errors:
            raise job.errors[0]
    finally:
        job.errors.clear()  # which refer to this frame, its arrays, and so to each other


def parts_of(count: int, elements: int, least: int = GRAIN) -> int:
    """In how many parts :func:`launch` shares ``range(count)``, or fewer.

    Each thread gets one part, so it often finds in its cache what it wrote there before. Of many
    elements it gets two, so a thread that is late does not keep the others waiting for long.
    """
    if count < 2 or elements < 2 * least:
        return 1
    return min(count, elements // least, get_num_threads() * (1 if elements < MANY else 2))


def launch(
    kernel: Any,
    count: int,
    elements: int,
    *args: Any,
    align: int = 1,
    least: int = GRAIN,
    parts: int | None = None,
) -> None:
    """Run a kernel of :func:`minigrad.cpu.kernels.team.parallel_for` for ``range(count)``, in parts
    that the threads share without the interpreter lock, and wait for all of them.

    A part works on ``least`` of the ``elements`` or more, and inner borders are multiples of
    ``align``; or there are so many ``parts``, such as the kernel has memory for, if the elements
    suffice for two. Arguments that are :class:`Scratch` become memory. Within a task of
    :func:`parallel`, the kernel runs on the task's thread.
    """
    team, threads, cut = 0, 1, parts_of(count, elements, least)
    if cut > 1 and not _is_within_task():
        team, threads = _team.address, get_num_threads()
        cut = cut if parts is None else min(count, parts)
        for worker in _helpers(cut - 1):
            worker.wake()
    else:
        cut = align = 1
    if kernel.has_seats:
        args = tuple(one.of(threads) if isinstance(one, Scratch) else one for one in args)
    kernel.run(team, threads, 0, count, cut, align, *args)


class Scratch(NamedTuple):
    """Memory that a launched kernel needs on each of its threads: a row of ``size`` numbers for
    each seat, in the caller's :func:`workspace` called ``name``."""

    name: str
    size: int
    dtype: np.dtype[Any]

    def of(self, threads: int) -> np.ndarray:
        return workspace(self.name, (threads, self.size), self.dtype)


# ---------------------------------------------------------------------------- blocks, workspaces


@functools.lru_cache(maxsize=1024)  # the same few sizes in every training step
def split_range(size: int, pieces: int, align: int = 1) -> tuple[slice, ...]:
    """Cut ``range(size)`` into at most ``pieces`` slices, none empty, of near-equal length.

    Inner borders are multiples of ``align``, and lengths differ by at most ``align``.

    >>> split_range(10, 3)
    (slice(0, 3, None), slice(3, 6, None), slice(6, 10, None))
    """
    units = -(-size // align)
    pieces = max(1, min(pieces, units))
    cuts = [min(i * units // pieces * align, size) for i in range(pieces + 1)]
    return tuple(slice(low, high) for low, high in pairwise(cuts) if low < high)


@functools.lru_cache(maxsize=1024)
def table_of(size: int, pieces: int, align: int = 1) -> np.ndarray:
    """A row (start, stop) for each slice of :func:`split_range`, for kernels."""
    parts = [(part.start, part.stop) for part in split_range(size, pieces, align)]
    return np.array(parts, np.int64)


def workspace(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    """This thread's reused, uninitialised scratch array called ``name``.

    Unlike fresh large arrays, it costs no page faults and no cold cache lines. It is valid until
    the same thread asks for the same name again.
    """
    buffers = getattr(_local, "buffers", None)
    if buffers is None:
        buffers = _local.buffers = {}
    need = math.prod(shape) * dtype.itemsize
    raw = buffers.get(name)
    if raw is None or raw.nbytes < need:
        raw = buffers[name] = aligned(need)
    return np.ndarray(shape, dtype, raw)
