"""Detection of failed ranks: a thread of each rank sends signs of life, and ends the job when
another rank stops sending them.

Every rank sends to rank 0, and rank 0 to every rank, by MPI on a separate communicator, so no
further set-up is needed.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from .guard import end_launcher

ALIVE, LEAVING, GONE = range(3)  # what a sign of life says
MOST_PENDING = 50  # signs that were sent and have not arrived; then the link is down


# Held around each call of MPI. Open MPI allows calls of several threads at once, but its
# non-blocking sums have been seen to stand still then.
calling = threading.RLock()


def turns(stop: threading.Event, interval: float) -> Iterator[float]:
    """Yield the seconds so far about every ``interval``, until ``stop`` is set.

    A turn counts as at most two intervals, so that a process that was itself stopped, or a machine
    that slept, does not consider the others silent.
    """
    seconds, last = 0.0, time.monotonic()
    while not stop.wait(interval):
        now = time.monotonic()
        seconds += min(now - last, 2 * interval)
        last = now
        yield seconds


class Watch(threading.Thread):
    """Sends signs of life and listens for those of others.

    Args:
        comm: a communicator for the signs only.
        names: names of the processes, by rank, for messages.
        silence: seconds without a sign after which the job ends.

    Attributes:
        leaving: a communicator on which ranks that leave or fail wait for each other.
        is_leaving: whether this rank waits there.
        left: whether all ranks have arrived there.
        voice: a copy of the process's original stderr.
    """

    def __init__(self, MPI: Any, comm: Any, names: list[str], silence: float) -> None:
        super().__init__(name="minigrad watch", daemon=True)
        self._MPI, self._comm, self._names, self._silence = MPI, comm, names, silence
        self.voice = os.dup(2)
        self.leaving = comm.Dup()
        self.is_leaving = self.left = False
        self._done = threading.Event()
        self._rank, size = comm.Get_rank(), comm.Get_size()
        self._others = [r for r in range(size) if r != self._rank and 0 in (r, self._rank)]
        self._interval = min(0.5, silence / 10)
        self._now = 0.0
        self._heard = dict.fromkeys(self._others, 0.0)
        self._since_leaving: dict[int, float] = {}
        self._pending: list[Any] = []

    def run(self) -> None:
        for now in turns(self._done, self._interval):
            self._now = now
            if calling.acquire(timeout=self._interval):
                try:
                    self._send(LEAVING if self.is_leaving else ALIVE)
                    self._receive()
                finally:
                    calling.release()
            self._judge()

    def stop(self) -> None:
        """End the thread; the others no longer wait for signs of this rank."""
        self._done.set()
        self.join()
        self._send(GONE)
        self._receive()

    def _send(self, what: int) -> None:
        self._pending = [one for one in self._pending if not one[0].Test()]
        for rank in self._others:
            if sum(one[2] == rank for one in self._pending) < MOST_PENDING:
                sign = np.array([what], np.uint8)
                self._pending.append((self._comm.Isend(sign, rank), sign, rank))

    def _receive(self) -> None:
        status, sign = self._MPI.Status(), np.empty(1, np.uint8)
        while self._comm.Iprobe(status=status):
            source = status.Get_source()
            self._comm.Recv(sign, source)
            self._heard[source] = self._now
            if sign[0] == GONE:
                del self._heard[source]
                self._others.remove(source)
            if sign[0] == LEAVING:
                self._since_leaving.setdefault(source, self._now)

    def _judge(self) -> None:
        """End the job if a rank is silent, or waits long to leave while others continue."""
        silent = [r for r, when in self._heard.items() if self._now - when > self._silence]
        if silent:
            self._end(silent, f"silent for {self._silence:g} s: stopped, or its link is down")
        early = [r for r, when in self._since_leaving.items() if self._now - when > self._silence]
        if early and not self.is_leaving:
            self._end(early, "done, while other ranks wait for it")

    def _end(self, ranks: list[int], what: str) -> None:
        who = " and ".join(map(self.describe, ranks[:4]))
        self.abort(f"{who}: {what}")

    def describe(self, rank: int) -> str:
        """A rank in words."""
        return f"rank {rank} of {len(self._names)} ({self._names[rank]})"

    def say(self, message: str) -> None:
        """Print a line on ``voice``."""
        os.write(self.voice, f"error: {message}\n".encode(errors="replace"))

    def abort(self, message: str) -> None:
        """Print ``message`` and end all ranks; this one in any case."""
        self.say(f"{message}; the job ends")
        end_launcher()

        def end() -> None:
            time.sleep(2)  # MPI_Abort does not return if the launcher cannot be reached
            os.kill(os.getpid(), signal.SIGKILL)

        threading.Thread(target=end, daemon=True).start()
        self._MPI.COMM_WORLD.Abort(1)
        os._exit(1)
