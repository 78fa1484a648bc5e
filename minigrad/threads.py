"""Threads on the CPU: blocks of work shared over cores, with BLAS held to one thread.

NumPy releases the interpreter lock inside its loops and BLAS calls, so plain Python threads scale
as long as one call does enough work. minigrad splits every heavy operation into blocks that fit a
core's cache and runs them here; BLAS threads of its own would only fight for the same cores.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import threadpoolctl

_local = threading.local()  # .busy: inside a task; .buffers: this thread's workspaces
_lock = threading.Lock()


def _default_threads() -> int:
    asked = os.environ.get("MINIGRAD_NUM_THREADS", "")
    if asked:
        if not asked.isdecimal() or int(asked) < 1:
            raise ValueError(f"MINIGRAD_NUM_THREADS={asked!r}: expected a whole number from 1")
        return int(asked)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_threads = _default_threads()
_pool: ThreadPoolExecutor | None = None
_blas: threadpoolctl.ThreadpoolController | None = None


def get_num_threads() -> int:
    """Number of threads that CPU operations use (default: the cores this process may run on)."""
    return _threads


def set_num_threads(threads: int) -> None:
    """Set the number of threads of CPU operations, as ``torch.set_num_threads`` does.

    Results are bit-identical from run to run for a given number, not across numbers: a sum split
    over more threads rounds differently.
    """
    global _threads, _pool
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise ValueError(f"threads: expected a whole number from 1, got {threads!r}")
    with _lock:
        if _pool is not None:
            _pool.shutdown()
        _threads, _pool = threads, None


def _workers() -> tuple[ThreadPoolExecutor, threadpoolctl.ThreadpoolController]:
    global _pool, _blas
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(max(1, _threads - 1), thread_name_prefix="minigrad")
        if _blas is None:
            _blas = threadpoolctl.ThreadpoolController().select(user_api="blas")
        return _pool, _blas


def _forget_pool() -> None:
    """After a fork the parent's threads are gone: the child starts its own."""
    global _pool, _lock
    _pool, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


def parallel(task: Callable[[int], Any], count: int) -> None:
    """Run ``task(0) … task(count - 1)``, each once, in no fixed order, and wait for all.

    Tasks must write to separate memory. A task that calls ``parallel`` runs that part serially.
    The first exception of a task is raised here once the other threads have stopped.
    """
    pool, blas = _workers()
    numbers = iter(range(count))  # next() on it is atomic under the interpreter lock

    def work() -> None:
        _local.busy = True
        try:
            # Like operations on the calling thread: NaN and infinity are values, not warnings.
            with np.errstate(all="ignore"):
                for i in numbers:
                    task(i)
        finally:
            _local.busy = False

    if getattr(_local, "busy", False):
        for i in numbers:
            task(i)
        return
    with blas.limit(limits=1):
        others = [pool.submit(work) for _ in range(min(_threads, count) - 1)]
        try:
            work()
        finally:
            for other in others:
                other.exception()  # waits
        for other in others:
            other.result()


def spans(size: int, pieces: int, align: int = 1) -> list[slice]:
    """Cut ``range(size)`` into at most ``pieces`` slices, none empty, of near-equal length.

    Inner borders fall on multiples of ``align``, and lengths differ by at most one of them.

    >>> spans(10, 3)
    [slice(0, 3, None), slice(3, 6, None), slice(6, 10, None)]
    """
    units = -(-size // align)
    pieces = max(1, min(pieces, units))
    cuts = [min(i * units // pieces * align, size) for i in range(pieces + 1)]
    return [slice(low, high) for low, high in pairwise(cuts) if low < high]


def workspace(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    """This thread's reused, uninitialised scratch array called ``name``.

    Fresh large arrays cost page faults and cold cache lines; scratch that lives for one block
    does not have to. It is valid until the same thread asks for the same name again.
    """
    buffers = getattr(_local, "buffers", None)
    if buffers is None:
        buffers = _local.buffers = {}
    need = int(np.prod(shape)) * dtype.itemsize
    raw = buffers.get(name)
    if raw is None or raw.nbytes < need:
        raw = buffers[name] = np.empty(need, np.uint8)
    return raw[:need].view(dtype).reshape(shape)
