"""Element-wise passes and copies in blocks that fit the cores' caches, and matrix products."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..device import Array, get_xp
from ..layout import memory_order
from ..memory import empty
from .compiled import kernels
from .copy import copied
from .threads import get_num_threads, parallel, split_range, workspace

# Elements per block of an element-wise pass. Smaller blocks would fit the second-level cache
# better, but handing over the interpreter lock after each of them would then cost more than it
# saves.
BLOCK = 1 << 18

TURNED = 1 << 17  # elements; smaller matrices are turned as a whole
TILE = 256, 64  # rows and columns of a turned matrix


def elementwise(function: Callable[..., Any], *arrays: Array, cost: int = 1) -> Array:
    """Apply ``function(out, *blocks)`` to ``arrays``, broadcast, block by block.

    ``function`` must treat every element alike and fill its first argument. The result has the
    dtype of the first array and the memory order of the first array of full shape, so the
    batch-innermost layout is kept. The cores share the blocks, which stay in their caches, so a
    function of several passes reads memory once. Blocks are flat unless an array is broadcast.

    ``cost`` is the time for an element, beside that of a sum: blocks are as much smaller.
    """
    shape = arrays[0].shape
    plain = [a.shape == shape and a.flags.c_contiguous for a in arrays]
    if cost * arrays[0].size <= BLOCK and False not in plain:  # a shortcut for small arrays
        result = empty(shape, arrays[0].dtype)
        function(result.reshape(-1), *[a.reshape(-1) for a in arrays])
        return result
    shape = np.broadcast_shapes(*(a.shape for a in arrays))
    full = [a for a in arrays if a.shape == shape]
    order = memory_order(full[0]) if full else list(range(len(shape)))
    result = empty(tuple(shape[i] for i in order), arrays[0].dtype)
    alike = len(full) == len(arrays)
    memory = [(a if alike else np.broadcast_to(a, shape)).transpose(order) for a in arrays]
    if alike:
        memory = [contiguous(m).reshape(-1) for m in memory]
    flat = result.reshape(-1) if alike else result
    if cost * flat.size <= BLOCK:
        function(flat, *memory)
    else:
        blocks = split_range(len(flat), -(-cost * flat.size // BLOCK), align=16 if alike else 1)

        def task(i: int) -> None:
            part = blocks[i]
            function(flat[part], *(m[part] for m in memory))

        parallel(task, len(blocks), cost * flat.size)
    return result.transpose([order.index(i) for i in range(len(shape))])


def contiguous(x: Array) -> Array:
    """``x`` in C order: itself, or a copy.

    Where this turns a matrix, which NumPy does line by line over distant memory, the cores share
    tiles of it, that are copied as they lie in memory and turned in a cache.
    """
    if x.flags.c_contiguous:
        return x
    for i in range(1, x.ndim if x.size >= TURNED else 1):
        memory = x.transpose(*range(i, x.ndim), *range(i))
        if memory.flags.c_contiguous:
            break
    else:
        return copied(x)
    result = empty(x.shape, x.dtype)
    to = result.reshape(math.prod(x.shape[:i]), -1)
    turned = memory.reshape(-1, len(to))
    fast: Any = kernels("turn", x.dtype)
    if fast is not None:
        _turn(fast.turn, to, turned)
        return result
    rows, columns = (split_range(n, -(-n // t)) for n, t in zip(to.shape, TILE, strict=True))

    def task(i: int) -> None:
        for part in columns:
            to[rows[i], part] = turned[part, rows[i]].copy().T

    parallel(task, len(rows), x.size)
    return result


def _turn(turn: Callable[..., None], to: Array, turned: Array) -> None:
    """Write the transpose of ``turned`` to ``to``."""
    parts = [slice(0, n) for n in to.shape]
    longer, few = int(to.shape[1] > to.shape[0]), -(-to.size // BLOCK)
    cut = split_range(to.shape[longer], min(few, 4 * get_num_threads()), align=64)

    def task(i: int) -> None:
        rows, columns = (cut[i] if k == longer else part for k, part in enumerate(parts))
        borders = rows.start, rows.stop, columns.start, columns.stop
        turn(to.reshape(-1), turned.reshape(-1), *to.shape, *borders)

    parallel(task, len(cut), to.size)


def to_batch_last(x: Array) -> Array:
    """:func:`minigrad.layout.to_batch_last`, faster."""
    return contiguous(x.transpose(*range(1, x.ndim), 0))


def scratch(name: str, like: Array) -> Array:
    """An uninitialised array like ``like``; on the CPU, one that this thread reuses."""
    if isinstance(like, np.ndarray):
        return workspace(name, like.shape, like.dtype)
    return get_xp(like).empty_like(like)


# ---------------------------------------------------------------------------- matrix product

# Multiply-adds; fewer take some 5 µs, as much as it takes to hold BLAS to one thread.
_MIN_PARALLEL_PRODUCT = (1 << 18) + 1


def matmul2d(a: Array, b: Array, out: Array | None = None) -> Array:
    """(M, K) @ (K, N) -> (M, N), C order, split over cores along the longer of M and N.

    BLAS takes transposed views without a copy. Inside :func:`parallel` this is one single-threaded
    BLAS call.
    """
    xp = get_xp(a)
    m, n = a.shape[0], b.shape[1]
    if xp is not np or m * n * a.shape[1] < _MIN_PARALLEL_PRODUCT:
        return xp.matmul(a, b) if out is None else xp.matmul(a, b, out=out)
    if out is None:
        out = empty((m, n), a.dtype)
    if m >= n:
        rows = split_range(m, get_num_threads(), align=16)
        parallel(lambda i: np.matmul(a[rows[i]], b, out=out[rows[i]]), len(rows))
    else:
        columns = split_range(n, get_num_threads(), align=16)
        parallel(lambda i: np.matmul(a, b[:, columns[i]], out=out[:, columns[i]]), len(columns))
    return out
