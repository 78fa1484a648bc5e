"""Memory of arrays: where it comes from, how much of it is used, and what fits where it ran out."""

from __future__ import annotations

import math
import re
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np

from .cpu.threads import aligned, lock
from .device import Array, cupy_module, device, on

__all__ = ["advice", "fitting", "held", "used"]  # to users; the engine takes arrays from here too


class OutOfMemoryError(MemoryError):
    """An array does not fit into memory: what was being done, what was asked for, what is free.

    Attributes:
        asked, used, free: on a GPU, bytes asked for, of arrays that are there, and that are left;
            None where that is not known.
    """

    def __init__(
        self,
        text: str = "",
        asked: int | None = None,
        used: int | None = None,
        free: int | None = None,
    ) -> None:
        super().__init__(*([text] if text else []))
        self.asked, self.used, self.free = asked, used, free


class _Block:
    """Memory of one pooled array: alive while any view of it is, then back in the pool."""

    __slots__ = ("__array_interface__", "raw")

    def __init__(self, raw: np.ndarray) -> None:
        self.raw = raw
        self.__array_interface__ = raw.__array_interface__

    def __del__(self) -> None:
        _pool.returned.append(self.raw)  # atomic: any thread may drop a last view, at any moment


class _Pool:
    """Freed arrays kept for the next one of the same size.

    A training step asks for the same large arrays as the step before. Handing freed ones back to
    the system costs a page fault per 4 KiB when they return, much of a small network's time.
    Arrays in use and kept ones together never exceed the most that was in use at once; the sizes
    longest not freed go first.
    """

    def __init__(self) -> None:
        self.free: dict[int, list[np.ndarray]] = {}
        self.returned: deque[np.ndarray] = deque()
        self.used = self.kept = self.peak = 0

    def take(self, nbytes: int) -> np.ndarray:
        with lock:
            try:
                return self._take(nbytes)
            except BaseException:  # Ctrl-C half-way through, or too little memory
                self.free.clear()
                self.kept = 0
                raise

    def _take(self, nbytes: int) -> np.ndarray:
        while self.returned:
            raw = self.returned.popleft()
            self.used -= raw.nbytes
            self.kept += raw.nbytes
            # Put in anew, the size moves to the recent end of the dict.
            self.free[raw.nbytes] = [*self.free.pop(raw.nbytes, ()), raw]
        used = self.used + nbytes
        peak = max(self.peak, used)
        found = self._drop(nbytes) if nbytes in self.free else None
        while self.free and used + self.kept > peak:
            self._drop(next(iter(self.free)))
        raw = aligned(nbytes) if found is None else found
        self.used, self.peak = used, peak  # not before: there may be no such memory
        return raw

    def _drop(self, nbytes: int) -> np.ndarray:
        """Take one array of a size that is there out of those kept."""
        arrays = self.free[nbytes]
        self.kept -= nbytes
        if len(arrays) == 1:
            del self.free[nbytes]
        return arrays.pop()


_pool = _Pool()
POOLED = 1 << 16  # bytes: smaller arrays come from the allocator's own free lists at once


def empty(
    shape: tuple[int, ...], dtype: Any, xp: ModuleType = np, order: Sequence[int] | None = None
) -> Array:
    """An uninitialised array; large ones on the CPU reuse freed memory.

    Args:
        order: its axes from the outermost to the innermost in memory, as :func:`memory_order` gives
            them; C order unless given.
    """
    if order is not None:
        memory = empty(tuple(shape[i] for i in order), dtype, xp)
        return memory.transpose([order.index(i) for i in range(len(shape))])
    dtype = np.dtype(dtype)
    nbytes = math.prod(shape) * dtype.itemsize
    if xp is not np or nbytes < POOLED:
        return xp.empty(shape, dtype)
    return np.asarray(_Block(_pool.take(nbytes))).view(dtype).reshape(shape)


def zeros(
    shape: tuple[int, ...], dtype: Any, xp: ModuleType = np, order: Sequence[int] | None = None
) -> Array:
    """:func:`empty` filled with zeros."""
    array = empty(shape, dtype, xp, order)
    array[...] = 0
    return array


def out_of_memory(doing: str, error: MemoryError) -> OutOfMemoryError:
    """``error``, ours, NumPy's or CuPy's, as one that says where, and how much of a GPU is free."""
    text = f"{doing}: {error}"
    if isinstance(error, OutOfMemoryError):
        return OutOfMemoryError(text, error.asked, error.used, error.free)
    if type(error).__module__.partition(".")[0] != "cupy":
        return OutOfMemoryError(text)
    free, total = cupy_module().cuda.runtime.memGetInfo()
    pool = _gpu_pool()
    if limit := pool.get_limit():
        free, total = min(free, limit - pool.total_bytes()), min(total, limit)
    free += pool.free_bytes()  # ours, in pieces that were too small
    text += f"; {free / 2**30:.2f} of {total / 2**30:.2f} GiB are free"
    asked = re.search(r"allocating ([\d,]+) bytes", str(error))
    number = int(asked[1].replace(",", "")) if asked else None
    return OutOfMemoryError(text, number, sum(p.used_bytes() for p in _gpu_pools()), free)


def _gpu_pool() -> Any:
    """The pool that gives memory to CuPy's arrays: of a captured step, within it, its own."""
    cupy = cupy_module()
    return getattr(cupy.cuda.get_allocator(), "__self__", None) or cupy.get_default_memory_pool()


# Pools beside CuPy's own, by who has them, as long as that lives.
own_pools: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


def _gpu_pools() -> list[Any]:
    return [cupy_module().get_default_memory_pool(), *own_pools.values()]


def used(where: device | str) -> int:
    """Bytes of the arrays on ``where``; on the CPU of those that the pool made."""
    where = device(where)
    if where.type == "cpu":
        return _pool.used
    with on(where):
        return sum(int(pool.used_bytes()) for pool in _gpu_pools())


def held(where: device | str) -> int:
    """Bytes that minigrad holds on ``where``: of arrays, and of freed ones kept for the next.

    It does not fall until memory runs out, so it is what the most that was ever in use took.
    """
    where = device(where)
    if where.type == "cpu":
        return _pool.used + _pool.kept
    with on(where):
        return sum(int(pool.total_bytes()) for pool in _gpu_pools())


def fitting(batch: int, before: int, used: int, asked: int, free: int) -> int:
    """About how many images fit, at most, where a step of ``batch`` images did not.

    The step took ``used + asked - before`` bytes at least: it had not come to its end. What it
    takes grows in proportion to the batch, and ``used + free - before`` bytes were there for it.

    Args:
        before: bytes of arrays before the step: weights, moments, data.
        used, asked, free: bytes of arrays at the failure, asked for then, and left.
    """
    took, room = used + asked - before, used + free - before
    most = batch * room // took if took > 0 else batch
    return max(0, min(batch - 1, most))  # what is left may be enough, but in pieces


@contextmanager
def advice(batch: int, where: device) -> Iterator[None]:
    """Within it, steps of ``batch`` images that run out of a GPU's memory say how many would fit.

    Raises:
        OutOfMemoryError: in place of any MemoryError.
    """
    before = used(where)
    try:
        yield
    except MemoryError as error:
        known = error if isinstance(error, OutOfMemoryError) else out_of_memory("a step", error)
        if known.asked is None or known.used is None or known.free is None:
            raise known from error
        count = fitting(batch, before, known.used, known.asked, known.free)
        text = f"{known}; of the {batch} images of a batch at most about {count} fit"
        raise OutOfMemoryError(text, known.asked, known.used, known.free) from error
