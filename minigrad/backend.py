"""NumPy or CuPy: the one door to arrays and devices, and the one place that knows memory layout.

**Devices.** Operations are written once against ``xp``, the array module of their operands
(:func:`get_xp`). This is the only file that imports CuPy.

**Layout: the batch is the innermost axis.** An image batch is (N, C, H, W) to everyone who uses
minigrad, but its memory runs (C, H, W, N), and a vector batch (N, F) runs (F, N): the arrays are
transposed views. With N innermost every slice that im2col, padding and pooling copy is a long
contiguous run, a convolution's matrix product lands in place without a transpose, and batch norm
is a sum along rows. :func:`inner` gives an operation that memory, :func:`outer` the view back.
``python -m benchmarks.layout`` measures the choice.
"""

from __future__ import annotations

import functools
import math
import re
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np

from .console import install
from .threads import aligned, distribute, get_num_threads, lock, parallel, spans, workspace

Array: TypeAlias = Any  # numpy.ndarray or cupy.ndarray: the latter cannot be named without CuPy


class DeviceError(RuntimeError):
    """A device that was asked for cannot be used, or operands live on different devices."""


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


# ---------------------------------------------------------------------------- devices


def cupy_module() -> ModuleType:
    """CuPy; raises DeviceError that says how to install it where it is missing."""
    try:
        import cupy
    except Exception as error:  # of a broken one, anything
        raise DeviceError(
            f"device 'gpu' needs CuPy, which cannot be imported ({error}); {install('gpu')}"
        ) from error
    return cupy


def _gpu_count() -> int:
    """Number of usable GPUs; raises DeviceError that says whether CuPy, driver or device lacks."""
    cupy = cupy_module()
    try:
        count = int(cupy.cuda.runtime.getDeviceCount())
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise DeviceError(
            f"device 'gpu': CuPy is installed but finds no usable GPU ({error}); "
            "check the driver with nvidia-smi, or use device 'cpu'"
        ) from error
    if count == 0:
        raise DeviceError("device 'gpu': CuPy and the driver work but there is no GPU; use 'cpu'")
    return count


def is_gpu_available() -> bool:
    """True if CuPy is installed and at least one CUDA device can be used."""
    try:
        return _gpu_count() > 0
    except DeviceError:
        return False


class device:
    """Where arrays live: ``device("cpu")``, ``device("gpu")`` or ``device("gpu:1")``.

    ``"cuda"`` is accepted for ``"gpu"``, ``"auto"`` is the first GPU if there is one, else the CPU.

    Raises:
        ValueError: the text names no device.
        DeviceError: a GPU is asked for and CuPy, the driver or the device is missing. Nothing
            falls back to the CPU in silence.
    """

    __slots__ = ("index", "type")

    def __init__(self, spec: str | device) -> None:
        if isinstance(spec, device):
            spec = str(spec)
        if not isinstance(spec, str):
            raise TypeError(f"device: expected a str or device, got {type(spec).__name__}")
        kind, colon, index = spec.partition(":")
        kind = {"cuda": "gpu"}.get(kind, kind)
        if spec == "auto":
            kind = "gpu" if is_gpu_available() else "cpu"
        if kind not in ("cpu", "gpu") or (colon and not index.isdecimal()):
            raise ValueError(f"device: expected 'cpu', 'gpu', 'gpu:N' or 'auto', got {spec!r}")
        self.type: str = kind
        self.index: int = int(index or 0)
        if kind == "cpu" and self.index != 0:
            raise ValueError(f"device: there is one CPU device, 'cpu', got {spec!r}")
        if kind == "gpu" and self.index >= (count := _gpu_count()):
            raise DeviceError(
                f"device: {spec!r} was asked for, but there are {count} GPUs (from 0)"
            )

    @property
    def xp(self) -> ModuleType:
        """The array module: NumPy or CuPy."""
        return np if self.type == "cpu" else cupy_module()

    def use(self) -> None:
        """Compute on this GPU from now on, in this thread, as ``torch.cuda.set_device`` does.

        Operations take tensors of the GPU in use, at first ``gpu:0``. The CPU is always in use.
        """
        if self.type == "gpu":
            self.xp.cuda.Device(self.index).use()

    def __repr__(self) -> str:
        return f"device({str(self)!r})"

    def __str__(self) -> str:
        return "cpu" if self.type == "cpu" else f"gpu:{self.index}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))


CPU = device("cpu")


def get_xp(array: Array) -> ModuleType:
    """The module whose functions take ``array``: NumPy or CuPy."""
    if isinstance(array, (np.ndarray, np.generic)):
        return np
    if not hasattr(type(array), "__cuda_array_interface__"):
        raise TypeError(f"array: expected an array of NumPy or CuPy, got {type(array).__name__}")
    return cupy_module()


def device_of(array: Array) -> device:
    """The device on which ``array`` lives."""
    return CPU if isinstance(array, np.ndarray) else device(f"gpu:{array.device.id}")


def move(array: Array, to: device) -> Array:
    """``array`` on the device ``to``, in the same layout; itself if it is there already."""
    if device_of(array) == to:
        return array
    # A transposed view is sent as the memory it is a view of, so that the layout survives.
    order = memory_order(array)
    memory, back = array.transpose(order), np.argsort(order).tolist()
    if not isinstance(array, np.ndarray):
        with array.device:
            memory = memory.get()
        raise_alarms()
    if to.type == "cpu":
        return memory.transpose(back)
    with on(to):
        if to.xp.cuda.get_current_stream().is_capturing():  # its address here would be replayed
            raise RuntimeError("an array of the CPU is moved to the GPU: do so before the step")
        return to.xp.asarray(memory).transpose(back)


def on(where: device) -> AbstractContextManager[Any]:
    """Within it new arrays lie on that device."""
    return where.xp.cuda.Device(where.index) if where.type == "gpu" else nullcontext()


def check_current(name: str, array: Array) -> None:
    """On a GPU, kernels run on the current device; raise if ``array`` is on another."""
    if isinstance(array, np.ndarray):
        return
    here, current = array.device.id, cupy_module().cuda.runtime.getDevice()
    if here != current:
        raise DeviceError(
            f"{name}: a tensor is on gpu:{here} while gpu:{current} is in use; "
            f'call minigrad.device("gpu:{here}").use() first'
        )


# ---------------------------------------------------------------------------- late errors


class Alarm:
    """A word by which kernels say that their input is wrong, since they cannot raise.

    It lies in the CPU's memory, to which GPUs can write (CUDA C++ Programming Guide, "Unified
    Virtual Address Space"), so it costs nothing to look at it. That is done whenever values have
    come from a GPU, as the kernels that made them are over by then.

    Attributes:
        word: int64 (1,) for the kernels: 0 as long as all is well.
    """

    def __init__(self, xp: ModuleType, error: Callable[[int], Exception]) -> None:
        self.error = error
        self.seen = self.word = np.zeros(1, np.int64)
        if xp is not np:
            pinned = xp.cuda.alloc_pinned_memory(self.seen.nbytes)
            self.seen = np.frombuffer(pinned, np.int64, 1)
            self.seen[0] = 0
            here = xp.cuda.Device().id
            memory = xp.cuda.UnownedMemory(pinned.ptr, self.seen.nbytes, pinned, here)
            self.word = xp.ndarray((1,), np.int64, xp.cuda.MemoryPointer(memory, 0))


_alarms: list[Alarm] = []


@functools.cache  # kernels write to it as long as the process lives
def alarm(xp: ModuleType, error: Callable[..., Exception], *about: Any) -> Alarm:
    """The alarm of kernels on ``xp``'s arrays whose exception is ``error(*about, word)``."""
    _alarms.append(Alarm(xp, functools.partial(error, *about)))
    return _alarms[-1]


def raise_alarms() -> None:
    """Raise, once, what a kernel has found wrong."""
    for alarm in _alarms:
        if value := int(alarm.seen[0]):
            alarm.seen[0] = 0
            raise alarm.error(value)


# ---------------------------------------------------------------------------- memory


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
    """``error``, NumPy's or CuPy's, as one that says where, and how much of a GPU is free."""
    text = f"{doing}: {error}"
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


def memory_used(where: device) -> int:
    """Bytes of the arrays on ``where``; on the CPU of those that the pool made."""
    if where.type == "cpu":
        return _pool.used
    with on(where):
        return sum(int(pool.used_bytes()) for pool in _gpu_pools())


def memory_held(where: device) -> int:
    """Bytes that minigrad holds on ``where``: of arrays, and of freed ones kept for the next.

    It does not fall until memory runs out, so it is what the most that was ever in use took.
    """
    if where.type == "cpu":
        return _pool.used + _pool.kept
    with on(where):
        return sum(int(pool.total_bytes()) for pool in _gpu_pools())


# ---------------------------------------------------------------------------- layout


def inner(x: Array) -> Array:
    """(N, ...) as a contiguous (..., N) array: a view where memory already runs that way."""
    return get_xp(x).ascontiguousarray(x.transpose(*range(1, x.ndim), 0))


def outer(x: Array) -> Array:
    """The inverse view of :func:`inner`: (..., N) memory seen as (N, ...)."""
    return x.transpose(x.ndim - 1, *range(x.ndim - 1))


def memory_order(x: Array) -> list[int]:
    """Axes of ``x`` from the outermost to the innermost in memory."""
    return sorted(range(x.ndim), key=lambda axis: (-x.strides[axis], axis))


# Elements per block of an element-wise pass. Smaller ones would fit the second-level cache better,
# but the hand-over of the interpreter lock after every NumPy call then costs more than it saves.
BLOCK = 1 << 17


def elementwise(function: Callable[..., Any], *arrays: Array) -> Array:
    """Apply ``function(out, *blocks)`` to ``arrays``, broadcast, block by block.

    ``function`` must treat every element alike and fill its first argument. The result has the
    dtype of the first array, and the memory order of the first of full shape, whatever the
    library's own habit (CuPy's ufuncs return C order), so batch-innermost layout passes through.
    On the CPU the blocks are shared over cores and stay in their caches, so that a function of
    several passes reads memory once. Where no array is broadcast, blocks are flat.
    """
    xp = get_xp(arrays[0])
    shape = np.broadcast_shapes(*(a.shape for a in arrays))
    full = [a for a in arrays if a.shape == shape]
    order = memory_order(full[0]) if full else list(range(len(shape)))
    result = empty(tuple(shape[i] for i in order), arrays[0].dtype, xp)
    alike = len(full) == len(arrays)
    memory = [(a if alike else xp.broadcast_to(a, shape)).transpose(order) for a in arrays]
    if alike:
        memory = [xp.ascontiguousarray(m).reshape(-1) for m in memory]
    flat = result.reshape(-1) if alike else result
    if xp is not np or flat.size <= BLOCK:
        function(flat, *memory)
    else:
        blocks = spans(len(flat), -(-flat.size // BLOCK), align=16 if alike else 1)

        def task(i: int) -> None:
            part = blocks[i]
            function(flat[part], *(m[part] for m in memory))

        parallel(task, len(blocks), flat.size)
    return result.transpose([order.index(i) for i in range(len(shape))])


def add(a: Array, b: Array) -> Array:
    """a + b, of one shape; a large one is shared over cores and keeps a's memory order."""
    xp = get_xp(a)
    if xp is np and a.size <= BLOCK:
        return np.asarray(a + b)
    return elementwise(lambda out, a, b: xp.add(a, b, out=out), a, b)


def add_into(a: Array, b: Array) -> None:
    """a += b, of one shape, likewise; ``a`` may be a view of any strides."""
    if a.size <= BLOCK or not isinstance(a, np.ndarray):
        a += b
        return
    order = memory_order(a)
    a, b = a.transpose(order), b.transpose(order)
    parts = spans(len(a), -(-a.size // BLOCK))
    parallel(lambda i: np.add(a[parts[i]], b[parts[i]], out=a[parts[i]]), len(parts), a.size)


def update(jobs: list[tuple[Callable[..., Any], tuple[Array, ...]]]) -> None:
    """Run ``function(*blocks)`` over the arrays of every job, block by block, in one parallel pass.

    For optimisers: each function changes its blocks in place, all arrays of a job have one shape,
    and all but the second (the gradient, which is only read) must be dense in one memory order.
    """
    work: list[tuple[Callable[..., Any], list[Array]]] = []
    for function, arrays in jobs:
        if not all(a.flags.c_contiguous for a in arrays):
            order = memory_order(arrays[0])
            arrays = tuple(get_xp(a).ascontiguousarray(a.transpose(order)) for a in arrays)
        flat = [a.reshape(-1) for a in arrays]
        if not isinstance(flat[0], np.ndarray):
            function(*flat)
            continue
        for part in spans(flat[0].size, -(-flat[0].size // BLOCK), align=16):
            work.append((function, [a[part] for a in flat]))
    parallel(lambda i: work[i][0](*work[i][1]), len(work), sum(len(a[0]) for _, a in work))


def scratch(name: str, like: Array) -> Array:
    """An uninitialised array like ``like``: this thread's reused one on the CPU."""
    if isinstance(like, np.ndarray):
        return workspace(name, like.shape, like.dtype)
    return get_xp(like).empty_like(like)


# ---------------------------------------------------------------------------- matrix product

_SMALL_PRODUCT = 1 << 17  # multiply-adds below which starting threads costs more than it saves


def matmul2d(a: Array, b: Array, out: Array | None = None) -> Array:
    """(M, K) @ (K, N) -> (M, N), C order, split over cores along the longer of M and N.

    Transposed views cost nothing: BLAS takes them as they are. Inside :func:`parallel` this is one
    single-threaded BLAS call.
    """
    xp = get_xp(a)
    m, n = a.shape[0], b.shape[1]
    if xp is not np or m * n * a.shape[1] < _SMALL_PRODUCT:
        return xp.matmul(a, b) if out is None else xp.matmul(a, b, out=out)
    if out is None:
        out = empty((m, n), a.dtype)
    if m >= n:
        rows = spans(m, get_num_threads(), align=16)
        parallel(lambda i: np.matmul(a[rows[i]], b, out=out[rows[i]]), len(rows))
    else:
        columns = spans(n, get_num_threads(), align=16)
        parallel(lambda i: np.matmul(a, b[:, columns[i]], out=out[:, columns[i]]), len(columns))
    return out


__all__ = [
    "CPU",
    "Array",
    "DeviceError",
    "OutOfMemoryError",
    "alarm",
    "check_current",
    "cupy_module",
    "device",
    "device_of",
    "distribute",
    "elementwise",
    "empty",
    "get_num_threads",
    "get_xp",
    "inner",
    "is_gpu_available",
    "matmul2d",
    "memory_held",
    "memory_used",
    "move",
    "on",
    "out_of_memory",
    "outer",
    "own_pools",
    "parallel",
    "raise_alarms",
    "scratch",
    "spans",
    "update",
    "workspace",
    "zeros",
]
