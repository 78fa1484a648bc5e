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
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import threadpoolctl

FEW = 1 << 19  # elements: one thread passes over them in little more than handing over costs

MOST = 4096  # threads

LINE = 64  # bytes of a cache line

_local = threading.local()  # .busy: inside a task; .buffers: this thread's workspaces
_lock = threading.Lock()


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
_team: _Team | None = None


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
    """Set the number of threads of CPU operations, as ``torch.set_num_threads`` does.

    Results are bit-identical from run to run for a given number, not across numbers: a sum split
    over more threads rounds differently.
    """
    global _threads, _team
    if isinstance(threads, bool) or not isinstance(threads, int):
        raise TypeError(f"threads: expected a whole number, got {type(threads).__name__}")
    if not 1 <= threads <= MOST:  # each is started, and has memory of its own
        raise ValueError(f"threads: expected a whole number from 1 to {MOST}, got {threads}")
    with _lock:
        if _team is not None:
            _team.stop()
        _threads, _team = threads, None


class _Worker:
    """A thread that waits for a job, does it, and waits again: two raw locks, because the way there
    and back is most of what a small operation costs on two cores (a future costs twice as much)."""

    def __init__(self) -> None:
        self._go, self._done = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._done.acquire()
        self._job: Callable[[], None] | None = None
        self._error: BaseException | None = None
        threading.Thread(target=self._serve, name="minigrad", daemon=True).start()

    def _serve(self) -> None:
        while True:
            self._go.acquire()
            if self._job is None:
                return
            try:
                self._job()
            except BaseException as error:  # raised again by `wait`
                self._error = error
            self._job = None  # before waiting: it holds the arrays of the operation
            self._done.release()

    def start(self, job: Callable[[], None]) -> None:
        self._job = job
        self._go.release()

    def wait(self) -> None:
        """Until the job is done, whatever happens (Ctrl-C comes after); raises what it raised."""
        error: BaseException | None = None
        while True:
            try:
                self._done.acquire()
                break
            except BaseException as interrupt:
                error = interrupt
        error, self._error = self._error or error, None
        if error is not None:
            raise error

    def stop(self) -> None:
        self._go.release()  # with no job


class _Team:
    """All workers, and BLAS, which has one thread while they run."""

    def __init__(self, workers: int) -> None:
        self.workers = [_Worker() for _ in range(workers)]
        self.free = threading.Lock()
        self.blas = threadpoolctl.ThreadpoolController().select(user_api="blas").lib_controllers

    @contextlib.contextmanager
    def one_blas_thread(self) -> Iterator[None]:
        before = [library.get_num_threads() for library in self.blas]
        for library in self.blas:
            library.set_num_threads(1)
        try:
            yield
        finally:
            for library, threads in zip(self.blas, before, strict=True):
                library.set_num_threads(threads)

    def stop(self) -> None:
        for worker in self.workers:
            worker.stop()


def _get_team() -> _Team:
    global _team
    with _lock:
        if _team is None:
            _team = _Team(get_num_threads() - 1)
        return _team


def _forget_team() -> None:
    """After a fork the parent's threads are gone: the child starts its own."""
    global _team, _lock
    _team, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_team)


def parallel(task: Callable[[int], Any], count: int, elements: int | None = None) -> None:
    """Run ``task(0) … task(count - 1)``, each once, in no fixed order, and wait for all.

    ``elements`` is given by tasks that call no BLAS: how many all of them together pass over. That
    may be so few that one thread is done before another would have begun.

    Tasks must write to separate memory. A task that calls ``parallel`` runs that part serially, and
    so does a thread that finds the workers busy for another. The first exception of a task is
    raised here once the other threads have stopped.
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
    if getattr(_local, "busy", False):
        work(range(count))
        return
    numbers = iter(range(count))  # next() on it is atomic under the interpreter lock

    def share() -> None:
        _local.busy = True
        try:
            # Like operations on the calling thread: NaN and infinity are values, not warnings.
            with np.errstate(all="ignore"):
                work(numbers)
        finally:
            _local.busy = False

    few = elements is not None and elements < FEW
    team = _get_team()
    if few or not team.free.acquire(blocking=False):
        share()
        return
    blas = team.one_blas_thread() if elements is None else contextlib.nullcontext()
    try:
        with blas, contextlib.ExitStack() as waiting:
            for worker in team.workers[: count - 1]:
                worker.start(share)
                waiting.callback(worker.wait)
            share()
    finally:
        team.free.release()


@functools.lru_cache(maxsize=1024)  # the same few sizes in every training step
def spans(size: int, pieces: int, align: int = 1) -> tuple[slice, ...]:
    """Cut ``range(size)`` into at most ``pieces`` slices, none empty, of near-equal length.

    Inner borders fall on multiples of ``align``, and lengths differ by at most one of them.

    >>> spans(10, 3)
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
