"""Memory between margins, for kernels that write through pointers, which nothing else checks."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from minigrad import memory
from minigrad.cpu import threads

MARGIN = 1 << 10  # bytes before and behind each array
NOTHING = 0xA5


@contextmanager
def guarded() -> Iterator[None]:
    """Within it, arrays of ``memory.empty`` and ``threads.workspace`` lie between margins.

    Raises:
        AssertionError: a margin was written to.
    """
    blocks: list[np.ndarray] = []

    def empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        dtype = np.dtype(dtype)
        size = math.prod(shape) * dtype.itemsize
        block = np.full(size + 2 * MARGIN, NOTHING, np.uint8)
        blocks.append(block)
        return block[MARGIN : MARGIN + size].view(dtype).reshape(shape)

    def new(shape: Any, dtype: Any, xp: Any = np, order: Any = None) -> np.ndarray:
        if order is None:
            return empty(shape, dtype)
        return of_any_order(shape, dtype, xp, order)  # which calls this without an order

    of_any_order = memory.empty
    ours = {
        of_any_order: new,
        threads.workspace: lambda name, shape, dtype: empty(shape, dtype),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, module in list(sys.modules.items()):
            if name == memory.__name__ or name.startswith("minigrad.cpu."):
                for function, other in ours.items():
                    if getattr(module, function.__name__, None) is function:
                        patch.setattr(module, function.__name__, other)
        yield
    for block in blocks:
        margins = np.concatenate((block[:MARGIN], block[-MARGIN:]))
        assert (margins == NOTHING).all(), f"wrote beside {block.size - 2 * MARGIN} bytes"
