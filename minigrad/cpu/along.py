"""Arrays as they lie in memory along some of their axes: (outer, n, inner)."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from ..device import Array
from ..layout import memory_order
from ..memory import empty
from .elementwise import contiguous
from .threads import get_num_threads, launch, parallel, parts_of, split_range

PIECE = 1 << 18  # numbers of a task, at least
EACH = 4  # tasks for each thread, at most
STRIP = 1 << 16  # numbers of a strip of columns, so that it stays in a core's cache
TURNED = 1 << 13  # the same of turned rows, which are few numbers
COST = 8  # of an exponential, beside a plain pass over one number
SHORT_ROW = 32  # numbers of a row, at most, that :func:`columns` turns


class Along:
    """The memory of arrays like one of ``shape`` whose axes lie in ``order``, from outermost to
    innermost, as (outer, n, inner): n numbers along ``axes``, each of which is followed by the
    numbers of the axes inside.

    If the axes are apart in memory, or in another order, arrays are copied: the axes come last.

    Where inner is 1, memory consists of ``outer`` rows of n numbers. Otherwise kernels take strips:
    some columns, side by side, of one outer index.
    """

    strip = STRIP

    def __init__(
        self, shape: tuple[int, ...], order: tuple[int, ...], axes: tuple[int, ...]
    ) -> None:
        begin = order.index(axes[0]) if axes else len(order)
        if order[begin : begin + len(axes)] != axes:
            begin = len(shape) - len(axes)
            order = (*(i for i in order if i not in axes), *axes)
        self.axes, self.order, self.back = axes, order, [order.index(i) for i in range(len(shape))]
        self.at, self.size = slice(begin, begin + len(axes)), math.prod(shape)
        self.shape = [shape[i] for i in order]
        self.outer, self.n = math.prod(self.shape[:begin]), math.prod(self.shape[self.at])
        self.inner = math.prod(self.shape[self.at.stop :])

    def flat(self, a: Array) -> Array:
        """The memory of an array like these, whose sizes along the axes may be others."""
        return contiguous(a.transpose(self.order)).reshape(-1)

    def array(self, flat: Array, *sizes: int) -> Array:
        """The inverse of :meth:`flat`, with those sizes along the axes if any are given."""
        shape = self.shape.copy()
        if sizes:
            shape[self.at] = sizes
        return flat.reshape(shape).transpose(self.back)

    def filled(
        self, dtype: Any, count: int, fill: Callable[[Array, int, int], object], *sizes: int
    ) -> Array:
        """A new :meth:`array` of ``sizes``, by ``fill(flat, first, last)`` of ``count`` parts."""
        n = math.prod(sizes) if sizes else self.n
        flat = empty((self.outer * n * self.inner,), dtype)
        share(lambda _, first, last: fill(flat, first, last), count, flat.size)
        return self.array(flat, *sizes)

    def strips(self, least: int, numbers: int) -> tuple[int, int]:
        """How wide strips of about so many numbers are, but of at least so many columns, if there
        are as many; and how many strips there are."""
        width = min(self.inner, max(least, numbers // self.n))
        return width, self.outer * -(-self.inner // width)

    def run(
        self,
        kernel: Callable[[str], Any],
        name: str,
        *args: Any,
        numbers: int | None = None,
        parts: int | None = None,
    ) -> None:
        """Launch the kernel ``name`` for rows or strips: ``kernel(*args, n, inner, width, first,
        last)``; see :mod:`minigrad.cpu.kernels.softmax`. ``numbers`` says how many are read, if not
        all, and ``parts`` how many :meth:`parts` there were."""
        found = kernel(f"{name}_in_{'rows' if self.inner == 1 else 'strips'}")
        width, count = self.strips(16, self.strip)
        work = COST * (self.size if numbers is None else numbers)
        launch(found, count, work, *args, self.n, self.inner, width, parts=parts)

    def parts(self, numbers: int | None = None) -> int:
        """In how many parts :meth:`run` shares them."""
        work = COST * (self.size if numbers is None else numbers)
        return parts_of(self.strips(16, self.strip)[1], work)


def along(x: Array, *axes: int) -> Along:
    """How ``x`` lies in memory along ``axes``."""
    order = range(x.ndim) if x.flags.c_contiguous else memory_order(x)
    return _along(x.shape, tuple(order), axes)


class Turned(Along):
    """Rows in C's order, copied so that the numbers of each lie apart, as columns."""

    strip = TURNED

    def array(self, flat: Array, *sizes: int) -> Array:
        return contiguous(super().array(flat, *sizes))


def columns(x: Array, *axes: int) -> Along:
    """:func:`along`, but with short rows :class:`Turned`. A kernel's vector then holds one number
    of each of many rows, instead of the few of one and a rest."""
    view = along(x, *axes)
    if view.inner > 1 or view.n > SHORT_ROW or view.outer < 16 or not x.flags.c_contiguous:
        return view
    return _turned(x.shape, axes)


@functools.lru_cache(maxsize=1024)
def _turned(shape: tuple[int, ...], axes: tuple[int, ...]) -> Turned:
    rest = (i for i in range(len(shape)) if i not in axes)
    return Turned(shape, (*axes, *rest), axes)


@functools.lru_cache(maxsize=1024)  # the same few shapes in every training step
def _along(shape: tuple[int, ...], order: tuple[int, ...], axes: tuple[int, ...]) -> Along:
    return Along(shape, order, axes)


def pieces(count: int, numbers: int) -> tuple[slice, ...]:
    """How ``count`` parts of some work on so many numbers are cut: into pieces of at least PIECE
    numbers, and few for each thread, because handing one over takes time."""
    return split_range(count, min(-(-numbers // PIECE), EACH * get_num_threads()))


def share(
    task: Callable[[int, int, int], object],
    count: int,
    numbers: int,
    cut: tuple[slice, ...] | None = None,
) -> None:
    """Share ``count`` parts of some work on so many numbers among the cores: ``task(i, first,
    last)`` for each piece i of ``cut`` (default: :func:`pieces`), the parts from ``first`` to
    ``last``."""
    cut = pieces(count, numbers) if cut is None else cut
    parallel(lambda i: task(i, cut[i].start, cut[i].stop), len(cut), numbers)
