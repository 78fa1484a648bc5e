"""Sums and means of few numbers on the CPU.

Their gradients are written out. The view that repeats one number takes longer to make, and whatever
reads it has to copy it first.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..device import Array
from ..ops import reduce
from ..ops.reduce import Pair
from ..sums import total

FEW = 1 << 12  # numbers


def _are_few(x: Array, *, axes: tuple[int, ...], **_: Any) -> bool:
    return x.size <= FEW and len(axes) == x.ndim and x.dtype.kind == "f"


@reduce._sum.on("cpu", when=_are_few)
def sum_of_few(x: Array, *, axes: tuple[int, ...], keepdim: bool) -> Pair:
    shape = x.shape
    return total(x, axes, keepdim), lambda g, needs: (np.full(shape, g.reshape(())),)


@reduce._mean.on("cpu", when=_are_few)
def mean_of_few(x: Array, *, axes: tuple[int, ...], keepdim: bool) -> Pair:
    shape, count = x.shape, x.dtype.type(x.size)
    y = np.asarray(total(x, axes, keepdim) / count)
    return y, lambda g, needs: (np.full(shape, g.reshape(()) / count),)
