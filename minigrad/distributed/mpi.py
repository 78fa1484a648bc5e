"""The ranks that ``mpirun`` started: MPI for arrays on the CPU, and for the start of NCCL.

All calls are non-blocking, and a loop polls for their completion, because a blocking call never
returns if another rank has ended. The loop yields to other processes, so that more ranks than cores
also make progress.
"""

from __future__ import annotations

import os
import pickle
import socket
import time
import traceback
from typing import Any

import numpy as np

from ..console import install, one_line
from ..device import Array
from .group import GRACE, DistributedError, Group, ReduceOp, Work
from .guard import joining
from .watch import Watch, calling

OURS = "started by minigrad"  # name of a communicator
DEBIAN = "apt-get install openmpi-bin libopenmpi-dev"


def load() -> Any:
    """mpi4py's MPI, without starting it.

    Raises:
        ImportError: it or the MPI library is missing.
    """
    try:
        import mpi4py

        mpi4py.rc.initialize, mpi4py.rc.finalize = False, True
        from mpi4py import MPI
    except ImportError:
        raise ImportError(f"distributed: mpi4py is missing: {install('mpi')}") from None
    except RuntimeError as error:  # it found no library
        why = one_line(error)
        raise ImportError(
            f"distributed: mpi4py finds no MPI library ({why}): on Debian, {DEBIAN}"
        ) from None
    return MPI


def started() -> Any:
    """mpi4py's MPI, started.

    Raises:
        ImportError: it or the MPI library is missing.
        RuntimeError: the library does not let several threads call it.
    """
    MPI = load()
    if MPI.Is_finalized():
        raise RuntimeError("init_process_group: a process that has left the ranks cannot return")
    if not MPI.Is_initialized():
        MPI.Init_thread(MPI.THREAD_MULTIPLE)
        MPI.COMM_WORLD.Set_name(OURS)
    if MPI.Query_thread() < MPI.THREAD_MULTIPLE:
        library = one_line(MPI.Get_library_version())[:40]
        raise RuntimeError(f"distributed: {library} was built without MPI_THREAD_MULTIPLE")
    return MPI


class MPIGroup(Group):
    """The ranks of a job.

    Args:
        timeout, silence, start: see :func:`minigrad.distributed.init_process_group`.
        comm: the communicator of mpi4py (default: that of all ranks).
        watch: the watch of the parent group.
    """

    def __init__(
        self,
        timeout: float,
        silence: float,
        start: float = 60.0,
        backend: str = "mpi",
        comm: Any = None,
        watch: Watch | None = None,
    ) -> None:
        self._MPI = started()
        self.timeout, self.silence, self.backend = timeout, silence, backend
        self._comm, request = (comm or self._MPI.COMM_WORLD).Idup()
        self._work("channel", lambda: request).wait()
        self.rank, self.size = self._comm.Get_rank(), self._comm.Get_size()
        self._nccl: Any = None
        self._start = start
        self._owns_watch = watch is None
        if watch is None:
            local = self._comm.Split_type(self._MPI.COMM_TYPE_SHARED)
            self.local_rank, self.local_size = local.Get_rank(), local.Get_size()
            local.Free()
            names = self._comm.allgather(f"process {os.getpid()} on {socket.gethostname()}")
            watch = Watch(self._MPI, self._comm.Dup(), names, silence)
            watch.start()
        self._watch = watch

    def channel(self) -> Group:
        options = {"backend": self.backend, "comm": self._comm, "watch": self._watch}
        made = MPIGroup(self.timeout, self.silence, **options)
        made.local_rank, made.local_size = self.local_rank, self.local_size
        return made

    def subgroup(self, size: int) -> MPIGroup | None:
        """The first ``size`` ranks as a group; None on the others."""
        colour = 0 if self.rank < size else self._MPI.UNDEFINED
        comm = self._comm.Split(colour, self.rank)
        if comm == self._MPI.COMM_NULL:
            return None
        options = {"backend": self.backend, "comm": comm, "watch": self._watch}
        return MPIGroup(self.timeout, self.silence, **options)

    # ------------------------------------------------------------------------ calls

    def all_reduce(self, array: Array, op: ReduceOp = ReduceOp.SUM) -> Work:
        if not isinstance(array, np.ndarray):
            return self._on_gpu().all_reduce(array, op)
        return self._started(
            "all_reduce",
            array,
            lambda a: self._comm.Iallreduce(self._MPI.IN_PLACE, a, getattr(self._MPI, op.value)),
        )

    def broadcast(self, array: Array, src: int = 0) -> Work:
        if not isinstance(array, np.ndarray):
            return self._on_gpu().broadcast(array, src)
        return self._started("broadcast", array, lambda a: self._comm.Ibcast(a, src))

    def barrier(self) -> Work:
        return self._work("barrier", self._comm.Ibarrier)

    def broadcast_object(self, value: Any, src: int = 0) -> Any:
        text = pickle.dumps(value) if self.rank == src else b""
        size = np.array(len(text))
        self.broadcast(size, src).wait()
        content = np.empty(int(size), np.uint8)
        if self.rank == src:
            content[:] = np.frombuffer(text, np.uint8)
        self.broadcast(content, src).wait()
        return pickle.loads(content.tobytes())

    def _on_gpu(self) -> Any:
        if "nccl" not in self.backend:
            raise ValueError("tensor: backend 'mpi' carries tensors on the CPU, got one on a GPU")
        if self._nccl is None:
            from .nccl import NcclRanks, unique_id

            name = self.broadcast_object(unique_id() if self.rank == 0 else None)
            self._nccl = NcclRanks(self.rank, self.size, name)
        return self._nccl

    def _started(self, name: str, array: np.ndarray, call: Any) -> Work:
        """Start the call on ``array``, or on a contiguous copy that is written back at the end."""
        if array.dtype == np.float16:
            raise TypeError("tensor: MPI cannot add float16; expected float32 or float64")
        piece = np.ascontiguousarray(array)
        work = self._work(f"{name} of {array.nbytes} bytes", lambda: call(piece))
        return work if piece is array else _Copied(work, piece, array)

    def _work(self, name: str, start: Any) -> Work:
        with calling:
            request = start()

        def ended() -> bool:
            with calling:
                return bool(request.Test())

        return Work(lambda: self._wait(name, ended), ended)

    def _wait(self, name: str, ended: Any) -> None:
        turns, started = 0, time.monotonic()
        while not ended():
            turns += 1
            # The first looks come at once; a rank that waits long leaves the core to others.
            time.sleep(0 if turns < 200 else min(1e-3, 1e-5 * (turns - 199)))
            if turns % 100 == 0 and time.monotonic() - started > self.timeout:
                raise DistributedError(
                    f"{name}: no answer for {self.timeout:g} s: another rank never called it"
                )

    # ------------------------------------------------------------------------ the end

    def fail(self, error: BaseException, mistakes: tuple[type[Exception], ...] = ()) -> None:
        what = _in_words(error)
        this = self._watch.describe(self.rank)
        deadline = time.monotonic() + GRACE
        failed = np.ones(1, np.int64)
        together = self._meet("leaving", failed)
        while not together.is_completed() and time.monotonic() <= deadline:
            time.sleep(0.01)
        if not together.is_completed() or failed[0] < self.size:  # the others go on, or have left
            if not isinstance(error, mistakes):
                self._watch.say("".join(traceback.format_exception(error)))
            self._watch.abort(f"{this} failed: {what}")
        self._watch.left = True
        with calling:
            texts = self._comm.allgather(what)
        if self.rank and what != texts[0]:
            self._watch.say(f"{this} failed: {what}")

    def _meet(self, name: str, failed: np.ndarray) -> Work:
        """Wait for all ranks, which leave or fail. ``failed`` is 1 for a rank that fails, and
        becomes the number of these."""
        leaving = self._watch.leaving
        return self._work(name, lambda: leaving.Iallreduce(self._MPI.IN_PLACE, failed))

    def close(self, patient: bool = True) -> None:
        if self._owns_watch:
            try:
                if not self._watch.left:
                    self._watch.is_leaving = not patient
                    self._meet("destroy_process_group", np.zeros(1, np.int64)).wait()
                self._watch.stop()
            except Exception as error:
                self._watch.say(f"{self._watch.describe(self.rank)} failed: {_in_words(error)}")
                raise
        if self._nccl is not None:
            self._nccl.close()
        world = self._MPI.COMM_WORLD
        if self._owns_watch and self.size > 1 and world.Get_name() == OURS:
            with joining(self._start, "left", self._watch.voice):
                self._MPI.Finalize()


def _in_words(error: BaseException) -> str:
    return one_line(f"{type(error).__name__}: {error}").removesuffix(": ")


class _Copied(Work):
    """A call on a copy ``piece`` of ``array``."""

    def __init__(self, work: Work, piece: np.ndarray, array: np.ndarray) -> None:
        self._work, self._piece, self._array = work, piece, array

    def wait(self) -> None:
        self._work.wait()
        self._array[...] = self._piece.reshape(self._array.shape)

    def is_completed(self) -> bool:
        return self._work.is_completed()
