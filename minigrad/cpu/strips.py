"""Work along one axis, shared among the cores: rows where it is innermost in memory, else strips of
columns that stay in a core's cache."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..layout import Array, memory_order
from .threads import parallel, split_range

STRIP = 1 << 16  # elements of a strip
PIECE = 1 << 17  # elements of a task
COST = 4  # of an exponential, beside a plain pass over one element


class Strips:
    """The memory of an array as (outer, n, inner), n along ``axis``, and the rows or the strips of
    columns in it that kernels take (see :mod:`minigrad.cpu.kernels.softmax`)."""

    def __init__(self, shape: tuple[int, ...], order: tuple[int, ...], axis: int) -> None:
        self.axis, self.order = axis, order
        self.back = [order.index(i) for i in range(len(order))]
        self.shape = tuple(shape[i] for i in order)
        self.beside = [i - (i > axis) for i in order if i != axis]
        self.size, at, self.n = math.prod(shape), self.back[axis], shape[axis]
        outer, self.inner = math.prod(self.shape[:at]), math.prod(self.shape[at + 1 :])
        self.width = max(16, min(self.inner, STRIP // self.n))
        self.form = "rows" if self.inner == 1 else "strips"
        strips = outer * -(-self.inner // self.width)  # or rows
        self.parts = split_range(strips, -(-self.size // PIECE))

    def flat(self, a: Array) -> Array:
        """The memory of an array of that shape."""
        return np.ascontiguousarray(a.transpose(self.order)).reshape(-1)

    def array(self, flat: Array) -> Array:
        """The inverse of :meth:`flat`."""
        return flat.reshape(self.shape).transpose(self.back)

    def flat_beside(self, a: Array) -> Array:
        """The memory of an array of that shape without the axis, in the order of the columns."""
        return np.ascontiguousarray(a.transpose(self.beside)).reshape(-1)

    def array_beside(self, flat: Array) -> Array:
        """The inverse of :meth:`flat_beside`."""
        shape = [n for i, n in zip(self.order, self.shape, strict=True) if i != self.axis]
        return flat.reshape(shape).transpose(np.argsort(self.beside))

    def run(self, kernel: Callable[..., Any], name: str, *args: Any) -> Array:
        """Run the kernel ``name`` for rows or strips, ``kernel(*args, n, inner, width, first,
        last)`` for each task. The result holds the two sums that each returns, if it does."""
        run, sums = kernel(f"{name}_in_{self.form}"), np.empty((len(self.parts), 2))

        def task(i: int) -> None:
            part = self.parts[i]
            sums[i] = run(*args, self.n, self.inner, self.width, part.start, part.stop)

        if len(sums) == 1:  # a shortcut
            task(0)
        else:
            parallel(task, len(sums), COST * self.size)
        return sums


def strips_of(x: Array, axis: int) -> Strips:
    return _strips(x.shape, tuple(memory_order(x)), axis, (STRIP, PIECE))


@functools.lru_cache(maxsize=1024)  # the same few shapes in every training step
def _strips(
    shape: tuple[int, ...], order: tuple[int, ...], axis: int, limits: tuple[int, ...]
) -> Strips:
    return Strips(shape, order, axis)
