"""Collective calls on GPU arrays, by NCCL through CuPy, with one rank for each GPU."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..device import Array, cupy_module, get_xp
from .group import ReduceOp, Work

TYPES = {  # names of NCCL's constants
    "float16": "FLOAT16",
    "float32": "FLOAT32",
    "float64": "FLOAT64",
    "int8": "INT8",
    "uint8": "UINT8",
    "int32": "INT32",
    "int64": "INT64",
}


def nccl() -> Any:
    """``cupy.cuda.nccl``."""
    return cupy_module().cuda.nccl


def unique_id() -> Any:
    """The ID by which ranks find each other; one rank creates it."""
    return nccl().get_unique_id()


class NcclRanks:
    """The ranks of a group, each on its current GPU.

    Calls run on a separate stream. They start after all work launched before them, and work that is
    launched after ``wait`` starts when they have ended.
    """

    def __init__(self, rank: int, size: int, name: Any, library: Any = None) -> None:
        self._library = library or nccl()
        self._ranks = self._library.NcclCommunicator(size, name, rank)
        self._stream: Any = None

    def all_reduce(self, array: Array, op: ReduceOp = ReduceOp.SUM) -> Work:
        """Combine ``array`` over the ranks, in place."""
        kind = getattr(self._library, f"NCCL_{op.value}")
        return self._started(
            array, lambda at, n, t, s: self._ranks.allReduce(at, at, n, t, kind, s)
        )

    def broadcast(self, array: Array, src: int = 0) -> Work:
        """Set ``array`` to its values on rank ``src``, in place."""
        return self._started(array, lambda at, n, t, s: self._ranks.bcast(at, n, t, src, s))

    def _started(self, array: Array, call: Any) -> Work:
        if array.dtype.name not in TYPES:
            raise TypeError(f"tensor: expected one of {', '.join(TYPES)}, got {array.dtype}")
        xp: Any = get_xp(array)
        cuda = xp.cuda
        if self._stream is None:
            self._stream = cuda.Stream(non_blocking=True)
        piece = xp.ascontiguousarray(array)
        self._stream.wait_event(cuda.get_current_stream().record())
        kind = getattr(self._library, f"NCCL_{TYPES[array.dtype.name]}")
        call(piece.data.ptr, int(np.prod(piece.shape)), kind, self._stream.ptr)
        ended = self._stream.record()

        def wait() -> None:
            cuda.get_current_stream().wait_event(ended)
            if piece is not array:
                array[...] = piece.reshape(array.shape)

        return Work(wait, lambda: bool(ended.done))

    def close(self) -> None:
        """Release NCCL's resources."""
        self._ranks.destroy()
