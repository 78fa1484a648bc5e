"""Arrays seen along one axis, in whatever order they lie in memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..device import Array
from ..layout import memory_order
from ..memory import empty
from .threads import parallel, split_range

PIECE = 1 << 16  # numbers of a task


class Middle:
    """The memory of ``x`` as (outer, n, inner), where n is the size of ``axis``."""

    def __init__(self, x: Array, axis: int) -> None:
        self.order, self.dtype, self.axis = memory_order(x), x.dtype, axis
        self.shape = tuple(x.shape[i] for i in self.order)
        self.at, self.n = self.order.index(axis), x.shape[axis]
        self.outer = math.prod(self.shape[: self.at])
        self.inner = math.prod(self.shape[self.at + 1 :])

    def flat(self, a: Array) -> Array:
        """The memory of ``a``, whose size along the axis may be another."""
        return np.ascontiguousarray(a.transpose(self.order)).reshape(-1)

    def filled(
        self, n: int, count: int, fill: Callable[[Array, int, int], object], start: Any = None
    ) -> Array:
        """A new array of n numbers along the axis, by ``fill(flat, first, last)`` of ``count``
        parts.

        Args:
            start: what the parts, which lie one behind the other, hold before: a flat array or a
                number.
        """
        memory = empty((*self.shape[: self.at], n, *self.shape[self.at + 1 :]), self.dtype)
        flat = memory.reshape(-1)
        parts = split_range(count, -(-flat.size // PIECE))

        def task(i: int) -> None:
            first, last = parts[i].start, parts[i].stop
            if start is not None:
                here = slice(first * flat.size // count, last * flat.size // count)
                flat[here] = start if isinstance(start, int) else start[here]
            fill(flat, first, last)

        if len(parts) == 1:
            task(0)
        else:
            parallel(task, len(parts), flat.size)
        return memory.transpose([self.order.index(i) for i in range(len(self.shape))])
