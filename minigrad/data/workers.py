"""Batches made by other processes, in the order of the requests.

Worker i modulo the number of workers makes batch i, which is read from its pipe when it is due, so
no reordering is needed. A worker ends when its pipe closes, and therefore with its parent.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import pickle
import random
import signal
import threading
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from queue import SimpleQueue
from typing import Any, NamedTuple

import numpy as np

from .. import check
from ..cpu.threads import set_num_threads
from ..rng import manual_seed, replayable

Key = tuple[int, int, int]  # seed, epoch and batch
Request = tuple[Key, list[int]]
Fetch = Callable[[Key, list[int]], Any]

PATIENCE = 5.0  # seconds for a worker that is done to end


class WorkerInfo(NamedTuple):
    """The result of :func:`get_worker_info`.

    Attributes:
        id: number of the worker, from 0.
        num_workers: number of workers.
        seed: seed of the loader.
        dataset: the worker's copy of the dataset.
    """

    id: int
    num_workers: int
    seed: int
    dataset: Any


_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """The worker of a ``DataLoader`` that calls this; None in the main process."""
    return _info


class WorkerError(Exception):
    """The cause of an error from a worker, with the traceback there."""

    def __str__(self) -> str:
        return f"\n\n{self.args[0]}"


# ---------------------------------------------------------------------------- in a worker


def _serve(
    fetch: Fetch,
    pipe: Connection,
    other_end: Connection,
    info: WorkerInfo,
    init: Callable[[int], Any] | None,
) -> None:
    """Answer requests from ``pipe`` until None or the end of the pipe."""
    global _info
    other_end.close()  # the parent's, of which a fork has a copy; else the pipe would never end
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which ends its workers
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    set_num_threads(1)
    _info = info
    # A thread sends, so that requests are taken from the pipe also while a batch waits to be read.
    answers: SimpleQueue[Any] = SimpleQueue()
    sender = threading.Thread(target=_send, args=(answers, pipe), daemon=True)
    sender.start()
    try:
        broken = _failure(init, info.id) if init is not None else None
        while (request := pipe.recv()) is not None:
            answers.put(broken or _answer(fetch, *request))
    except (EOFError, OSError):
        return  # the parent has ended
    answers.put(None)
    sender.join()


def _send(answers: SimpleQueue[Any], pipe: Connection) -> None:
    with contextlib.suppress(OSError):  # the parent has ended
        while (answer := answers.get()) is not None:
            pipe.send_bytes(answer)


def _answer(fetch: Fetch, key: Key, indices: list[int]) -> Any:
    """A pickled answer: a batch, or an error with its traceback."""
    manual_seed(key[0], 2, *key[1:])
    number = int(replayable(key[0], 3, *key[1:]).integers(2**32))
    random.seed(number)
    np.random.seed(number)  # noqa: NPY002  # datasets draw from it
    try:
        return ForkingPickler.dumps((fetch(key, indices), None))
    except BaseException as error:
        return _told(error)


def _failure(init: Callable[[int], Any], number: int) -> Any:
    """The answer if ``worker_init_fn`` fails."""
    try:
        init(number)
    except BaseException as error:
        return _told(error)
    return None


def _told(error: BaseException) -> Any:
    text = "".join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # one that pickle cannot make again
        error = RuntimeError(f"{type(error).__name__}: {error}")
    return ForkingPickler.dumps((error, text))


# ---------------------------------------------------------------------------- in the parent


class Pool:
    """Worker processes.

    Args:
        fetch: makes a batch; each worker has a copy.
        count: number of workers.
        context: context of ``multiprocessing``.
        prefetch: number of batches requested from each worker in advance.
        timeout: seconds to wait for a batch; 0 for no limit.
        seed, dataset: for :func:`get_worker_info`.
        init: called in each worker with its number.
    """

    def __init__(
        self,
        fetch: Fetch,
        count: int,
        context: Any,
        prefetch: int,
        timeout: float,
        seed: int,
        dataset: Any,
        init: Callable[[int], Any] | None,
    ) -> None:
        self._prefetch, self._timeout, self._process = prefetch, timeout, os.getpid()
        self._workers: list[tuple[Any, Connection]] = []
        try:
            for number in range(count):
                info = WorkerInfo(number, count, seed, dataset)
                ours, theirs = context.Pipe()
                arguments = (fetch, theirs, ours, info, init)
                process = context.Process(target=_serve, args=arguments, daemon=True)
                with warnings.catch_warnings():
                    # The threads of minigrad may be forked (see minigrad.cpu.threads).
                    warnings.filterwarnings("ignore", ".*multi-threaded", DeprecationWarning)
                    process.start()
                self._workers.append((process, ours))
                theirs.close()  # so that the end of one process is the end of the pipe
        except BaseException:
            self.close(at_once=True)
            raise

    @property
    def is_own(self) -> bool:
        """Whether this process created the pool; one that was forked later has a copy."""
        return self._process == os.getpid()

    def run(self, requests: Iterator[Request]) -> Iterator[Any]:
        """The batches for ``requests``, in their order."""
        turns = itertools.cycle(enumerate(self._workers))
        due: deque[int] = deque()

        def ask() -> None:
            for request in itertools.islice(requests, 1):
                number, (_, pipe) = next(turns)
                try:
                    pipe.send(request)
                except OSError:
                    self._report_dead(number)
                due.append(number)

        for _ in range(self._prefetch * len(self._workers)):
            ask()
        while due:
            batch = self._receive(due.popleft())
            ask()
            yield batch

    def _receive(self, number: int) -> Any:
        _, pipe = self._workers[number]
        try:
            if self._timeout and not pipe.poll(self._timeout):
                what = f"no batch from worker {number} within {self._timeout} seconds"
                raise RuntimeError(f"DataLoader: {what}")
            batch, text = pipe.recv()
        except (EOFError, OSError):
            self._report_dead(number)
        if text is not None:
            raise batch from WorkerError(text)
        return batch

    def _report_dead(self, number: int) -> None:
        process, _ = self._workers[number]
        process.join(PATIENCE)
        code = process.exitcode
        how = f"by signal {-code}" if code is not None and code < 0 else f"with exit code {code}"
        raise RuntimeError(f"DataLoader: worker {number} ended {how} before its batch was made")

    def close(self, at_once: bool = False) -> None:
        """End the workers. Busy ones finish their batch unless ``at_once``."""
        if not self.is_own:
            return
        for process, pipe in self._workers:
            if not at_once:
                with contextlib.suppress(OSError):
                    pipe.send(None)
                process.join(PATIENCE)
            process.kill()
        for process, pipe in self._workers:
            process.join()
            process.close()
            pipe.close()
        self._workers = []


def context_of(value: Any) -> Any:
    """The context of ``multiprocessing`` given directly or by name; Python's default for None."""
    known = multiprocessing.get_all_start_methods()
    if value is None or (isinstance(value, str) and value in known):
        return multiprocessing.get_context(value)
    if not hasattr(value, "Process") or not hasattr(value, "Pipe"):
        what = f"{', '.join(map(repr, known))} or a context"
        raise ValueError(f"multiprocessing_context: expected {what}, got {check.shown(value)}")
    return value
