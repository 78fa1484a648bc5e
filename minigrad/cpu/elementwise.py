"""Element-wise passes and copies in blocks that fit the cores' caches."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import writes
from ..device import Array, get_xp
from ..layout import memory_order, memory_order_and_back
from ..memory import MIN_POOLED_BYTES, empty
from .copy import copied
from .threads import get_num_threads, launch, parallel, split_range, workspace

# Elements per block of an element-wise pass. Smaller blocks would fit the second-level cache
# better, but handing over the interpreter lock after each of them would then cost more than it
# saves.
BLOCK = 1 << 18
PIECE = 1 << 20  # elements that are copied at a time, of a larger array with gaps in memory

_ravel = operator.methodcaller("ravel")  # of an array, or of a number that a ufunc has made


def elementwise(
    function: Callable[..., Any],
    first: Array,
    *others: Array,
    options: tuple[Any, ...] = (),
    dtype: Any = None,
    cost: int = 1,
    once: bool = True,
) -> Array:
    """Apply ``function(out, *blocks)`` to arrays, broadcast, block by block; or a kernel
    ``(out, *arrays, *options, first, last)`` (:func:`minigrad.cpu.kernels.team.parallel_for`) to
    arrays of one shape.

    ``function`` must treat every element alike and fill its first argument. The result has the
    dtype of the first array (or of a kernel ``dtype``) and the memory order of the first array of
    full shape that repeats no numbers, so the batch-innermost layout is kept. The cores share the
    blocks, which stay in their caches, so a function of several passes reads memory once. Blocks
    are flat unless an array is broadcast.

    The result may be ``first`` itself (:func:`minigrad.writes.takes`), unless ``function``
    reads an array again after it has begun to fill its first argument: then ``once`` is False.

    ``cost`` is the time for an element, beside that of a sum: blocks are as much smaller.
    """
    shape, plain = first.shape, first.flags.c_contiguous
    for a in others:
        if a.shape != shape:
            return _broadcast(function, (first, *others), cost, once)
        plain = plain and a.flags.c_contiguous
    given = first
    if not plain:
        if not others and 0 in first.strides:
            once_each = tuple([slice(1 if step == 0 else None) for step in first.strides])
            if (different := first[once_each]).size < first.size:
                y = elementwise(function, different, options=options, dtype=dtype, cost=cost)
                return copied(np.broadcast_to(y, shape))
        order, back = _orders(first, others)
        first = given.transpose(order)
        others = tuple([contiguous(a.transpose(order)) for a in others])
        if not first.flags.c_contiguous:
            if first.size > PIECE:
                to = first.dtype if dtype is None else dtype
                return _with_gaps(function, first, others, options, to, cost).transpose(back)
            once, first = False, contiguous(first)
    if once and dtype is None and writes.takes(given):
        result = first
    elif first.nbytes < MIN_POOLED_BYTES:  # a shortcut
        result = np.empty(first.shape, first.dtype if dtype is None else dtype)
    else:
        result = empty(first.shape, first.dtype if dtype is None else dtype)
    out, arrays = result.ravel(), (first.ravel(), *map(_ravel, others))
    _run(function, out, arrays, options, cost)
    return result if plain else result.transpose(back)


def _orders(first: Array, others: Sequence[Array]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The memory order of the first array that repeats no numbers, and the order that undoes it."""
    for a in (first, *others):
        if 0 not in a.strides:
            return memory_order_and_back(a)
    every = tuple(range(first.ndim))  # so that rows repeat, and not single numbers
    return every, every


def _run(
    function: Callable[..., Any],
    out: Array,
    arrays: Sequence[Array],
    options: tuple[Any, ...],
    cost: int,
) -> None:
    """Apply ``function`` to flat arrays."""
    if hasattr(function, "run"):
        launch(function, out.size, cost * out.size, out, *arrays, *options, align=16)
    else:
        _by_blocks(function, out, arrays, 16, cost)


def _with_gaps(
    function: Callable[..., Any],
    first: Array,
    others: Sequence[Array],
    options: tuple[Any, ...],
    dtype: Any,
    cost: int,
) -> Array:
    """:func:`elementwise` of a large array that has gaps in memory, and others in C order. Some of
    its numbers are copied at a time, so they are still in a cache when the function reads them."""
    result = empty(first.shape, dtype)
    for part in split_range(len(first), -(-first.size // PIECE)):
        arrays = contiguous(first[part]).ravel(), *[a[part].ravel() for a in others]
        _run(function, result[part].ravel(), arrays, options, cost)
    return result


def _broadcast(
    function: Callable[..., Any], arrays: Sequence[Array], cost: int, once: bool
) -> Array:
    """:func:`elementwise` of arrays whose shapes differ."""
    shape = np.broadcast_shapes(*[a.shape for a in arrays])
    full = [a for a in arrays if a.shape == shape]
    order = memory_order(full[0]) if full else list(range(len(shape)))
    if once and arrays[0].shape == shape and writes.takes(arrays[0]):
        result = arrays[0].transpose(order)
    else:
        result = empty(tuple([shape[i] for i in order]), arrays[0].dtype)
    memory = [np.broadcast_to(a, shape).transpose(order) for a in arrays]
    _by_blocks(function, result, memory, 1, cost)
    return result.transpose([order.index(i) for i in range(len(shape))])


def _by_blocks(
    function: Callable[..., Any], out: Array, arrays: Sequence[Array], align: int, cost: int
) -> None:
    """Call ``function(out, *arrays)`` for blocks along the first axis."""
    if cost * out.size <= BLOCK:
        function(out, *arrays)
        return
    count = -(-cost * out.size // BLOCK)
    if cost > 1:  # a kernel that reads memory once: its blocks need not fit a cache
        count = min(count, 4 * get_num_threads())
    blocks = split_range(len(out), count, align)

    def task(i: int) -> None:
        part = blocks[i]
        function(out[part], *[a[part] for a in arrays])

    parallel(task, len(blocks), cost * out.size)


def contiguous(x: Array) -> Array:
    """``x`` in C order: itself, or a copy."""
    return x if x.flags.c_contiguous else copied(x)


def to_batch_last(x: Array) -> Array:
    """:func:`minigrad.layout.to_batch_last`, faster."""
    return contiguous(x.transpose(*range(1, x.ndim), 0))


def scratch(name: str, like: Array) -> Array:
    """An uninitialised array like ``like``; on the CPU, one that this thread reuses."""
    if isinstance(like, np.ndarray):
        return workspace(name, like.shape, like.dtype)
    return get_xp(like).empty_like(like)
