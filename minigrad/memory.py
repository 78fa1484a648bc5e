"""Memory of arrays: the pool, the amount in use, and the batch size that fits."""

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

from .cpu.compiled import kernels
from .cpu.threads import MIN_PARALLEL_SIZE, aligned, launch, lock, parallel, split_range
from .device import Array, cupy_module, device, on

__all__ = ["advice", "fitting", "held", "used"]  # for users; the engine also allocates here


class OutOfMemoryError(MemoryError):
    """An array does not fit into memory.

    Attributes:
        asked, used, free: on a GPU, the bytes requested, used by arrays, and free; None if unknown.
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
    """Memory of one pooled array, which returns to the pool when its last view is deleted."""

    __slots__ = ("__array_struct__", "raw")

    def __init__(self, raw: np.ndarray) -> None:
        self.raw = raw
        self.__array_struct__ = raw.__array_struct__  # 1 µs less than the dict takes

    def __del__(self) -> None:
        _pool.returned.append(self.raw)  # atomic: any thread may delete the last view


class _Pool:
    """Keeps freed arrays for the next request of the same size.

    Each training step needs the same large arrays as the step before. Returning freed ones to the
    system would cost a page fault per 4 KiB when they are allocated again, which takes much of a
    small network's time. Used and kept arrays together never exceed the peak of used ones; the
    sizes that were freed least recently are dropped first.
    """

    def __init__(self) -> None:
        self.free: dict[int, list[np.ndarray]] = {}
        self.returned: deque[np.ndarray] = deque()
        self.used = self.kept = self.peak = 0

    def take(self, nbytes: int) -> np.ndarray:
        with lock:
            try:
                return self._take(nbytes)
            except BaseException:  # Ctrl-C half-way through, or out of memory
                self.free.clear()
                self.kept = 0
                raise

    def _take(self, nbytes: int) -> np.ndarray:
        last = self.returned.pop() if self.returned else None
        if last is not None and last.nbytes != nbytes:
            self.returned.append(last)
            last = None
        while self.returned:
            raw = self.returned.popleft()
            size = raw.nbytes
            self.used -= size
            self.kept += size
            # Inserted again, the size moves to the recent end of the dict.
            self.free[size] = [*self.free.pop(size, ()), raw]
        if last is not None:
            return last  # a shortcut: it stays in use, and is still in a cache
        used = self.used + nbytes
        peak = max(self.peak, used)
        block = self._drop(nbytes) if nbytes in self.free else None
        while self.free and used + self.kept > peak:
            self._drop(next(iter(self.free)))
        raw = aligned(nbytes) if block is None else block
        self.used, self.peak = used, peak  # only now, because the allocation may fail
        return raw

    def _drop(self, nbytes: int) -> np.ndarray:
        """Remove and return one kept array of ``nbytes``."""
        arrays = self.free[nbytes]
        self.kept -= nbytes
        if len(arrays) == 1:
            del self.free[nbytes]
        return arrays.pop()


_pool = _Pool()
MIN_POOLED_BYTES = 1 << 16  # the allocator's own free lists serve smaller arrays


def empty(
    shape: tuple[int, ...], dtype: Any, xp: ModuleType = np, order: Sequence[int] | None = None
) -> Array:
    """An uninitialised array; large ones on the CPU reuse freed memory.

    Args:
        order: axes from outermost to innermost in memory, like the result of :func:`memory_order`.
            Default: C order.
    """
    if order is not None:
        memory = empty(tuple(shape[i] for i in order), dtype, xp)
        return memory.transpose([order.index(i) for i in range(len(shape))])
    if not isinstance(dtype, np.dtype):
        dtype = np.dtype(dtype)
    nbytes = math.prod(shape) * dtype.itemsize
    if xp is not np or nbytes < MIN_POOLED_BYTES:
        return xp.empty(shape, dtype)
    return np.ndarray(shape, dtype, np.asarray(_Block(_pool.take(nbytes))))


def zeros(
    shape: tuple[int, ...], dtype: Any, xp: ModuleType = np, order: Sequence[int] | None = None
) -> Array:
    """:func:`empty` filled with zeros."""
    if order is not None:
        memory = zeros(tuple(shape[i] for i in order), dtype, xp)
        return memory.transpose([order.index(i) for i in range(len(shape))])
    return filled(shape, dtype, 0, xp)


def filled(shape: tuple[int, ...], dtype: Any, number: Any, xp: ModuleType = np) -> Array:
    """:func:`empty` filled with one number."""
    array = empty(shape, dtype, xp)
    fill(array, number)
    return array


PIECE = 1 << 18  # elements of a task that fills them
FEW = 1 << 14  # elements; NumPy is as fast with fewer


def fill(array: Array, number: Any) -> None:
    """Write one number into all of an array in C order, by all cores if it is large."""
    fast: Any = None
    if isinstance(array, np.ndarray) and array.size >= FEW:
        if array.dtype == np.int64:  # the same bytes
            number = np.array(number, np.int64).view(np.float64)[()]
            array = array.view(np.float64)
        fast = kernels("copy", array.dtype)
    if fast is None and (array.size < MIN_PARALLEL_SIZE or not isinstance(array, np.ndarray)):
        array.fill(number)
        return
    flat, number = array.reshape(-1), array.dtype.type(number)
    if fast is not None:
        launch(fast.fill, flat.size, flat.size, flat, number, align=16)
        return
    parts = split_range(flat.size, -(-flat.size // PIECE), 16)

    def task(i: int) -> None:
        flat[parts[i]] = number

    parallel(task, len(parts), flat.size)


def out_of_memory(doing: str, error: MemoryError) -> OutOfMemoryError:
    """``error`` of minigrad, NumPy or CuPy as an OutOfMemoryError that adds ``doing`` and, for a
    GPU, the free memory."""
    text = f"{doing}: {error}"
    if isinstance(error, OutOfMemoryError):
        return OutOfMemoryError(text, error.asked, error.used, error.free)
    if type(error).__module__.partition(".")[0] != "cupy":
        return OutOfMemoryError(text)
    free, total = cupy_module().cuda.runtime.memGetInfo()
    pool = _gpu_pool()
    if limit := pool.get_limit():
        free, total = min(free, limit - pool.total_bytes()), min(total, limit)
    free += pool.free_bytes()  # in the pool, in pieces that were too small
    text += f"; {free / 2**30:.2f} of {total / 2**30:.2f} GiB are free"
    asked = re.search(r"allocating ([\d,]+) bytes", str(error))
    number = int(asked[1].replace(",", "")) if asked else None
    return OutOfMemoryError(text, number, sum(p.used_bytes() for p in _gpu_pools()), free)


def _gpu_pool() -> Any:
    """The pool that allocates CuPy's arrays: inside a captured step, the step's own."""
    cupy = cupy_module()
    return getattr(cupy.cuda.get_allocator(), "__self__", None) or cupy.get_default_memory_pool()


# Pools other than CuPy's default, by their owners, for as long as these live.
own_pools: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


def _gpu_pools() -> list[Any]:
    return [cupy_module().get_default_memory_pool(), *own_pools.values()]


def used(where: device | str) -> int:
    """Bytes in use by arrays on ``where``; on the CPU, by arrays from the pool."""
    where = device(where)
    if where.type == "cpu":
        return _pool.used
    with on(where):
        return sum(int(pool.used_bytes()) for pool in _gpu_pools())


def held(where: device | str) -> int:
    """Bytes that minigrad holds on ``where``: arrays in use, and freed ones kept for reuse.

    This does not shrink until memory runs out, so it reflects the peak use.
    """
    where = device(where)
    if where.type == "cpu":
        return _pool.used + _pool.kept
    with on(where):
        return sum(int(pool.total_bytes()) for pool in _gpu_pools())


def fitting(batch: int, before: int, used: int, asked: int, free: int) -> int:
    """Roughly the largest batch that fits, after a step of ``batch`` images ran out of memory.

    The step needed at least ``used + asked - before`` bytes, as it did not finish. Its need grows
    in proportion to the batch, and ``used + free - before`` bytes were available.

    Args:
        before: bytes in use before the step (weights, moments, data).
        used, asked, free: bytes in use at the failure, requested, and free.
    """
    took, room = used + asked - before, used + free - before
    most = batch * room // took if took > 0 else batch
    return max(0, min(batch - 1, most))  # free memory may suffice, but be fragmented


@contextmanager
def advice(batch: int, where: device) -> Iterator[None]:
    """Context for steps of ``batch`` images: if a GPU's memory runs out, the error says how many
    images would fit.

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
