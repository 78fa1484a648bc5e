"""Resizing on the CPU: along each axis, numbers are weighted sums of numbers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..device import Array
from ..ops import resize
from ..tape import Backward
from .along import along
from .compiled import kernels

FEW = 1 << 10  # numbers; below, NumPy is as fast, and nothing has to be compiled


class _Sums(NamedTuple):
    """Of ``many`` numbers along ``axis``, number ``to[e]`` is the sum of ``weights[e]`` times
    number ``source[e]`` of n."""

    axis: int
    n: int
    many: int
    to: Array
    source: Array
    weights: Array

    def of(self, x: Array) -> Array:
        view, fast = along(x, self.axis), kernels("resize", x.dtype)
        assert fast is not None  # see `when`
        order = np.argsort(self.to, kind="stable")
        begins = np.searchsorted(self.to[order], np.arange(self.many + 1))
        parts, count = (begins, self.source[order], self.weights[order]), view.outer * self.many
        flat, inner = view.flat(x), view.inner

        def rows(out: Array, first: int, last: int) -> None:
            fast.rows(out, flat, *parts, self.n, inner, first, last)

        def numbers(out: Array, first: int, last: int) -> None:
            fast.numbers(out, flat, *parts, self.n, first, last)

        if inner > 1:
            return view.filled(x.dtype, count, rows, self.many)
        return view.filled(x.dtype, -(-view.outer // 4), numbers, self.many)

    def transposed(self) -> _Sums:
        return _Sums(self.axis, self.many, self.n, self.source, self.to, self.weights)


def _serves(x: Array, **_: Any) -> bool:
    return x.size > FEW and kernels("resize", x.dtype) is not None


@resize._interpolate.on("cpu", when=_serves)
def interpolate(
    x: Array,
    *,
    size: tuple[int, ...],
    scales: tuple[float | None, ...],
    mode: str,
    align: bool,
) -> tuple[Array, Backward]:
    """The last axis comes first, because sums of rows are faster, and there are more then."""
    passes, join = [], np.concatenate
    for axis, many, scale in zip(range(2, x.ndim), size, scales, strict=True):
        n, to = x.shape[axis], np.arange(many)
        i, j, t = resize._places(n, many, scale, mode, align, x.ndim == 4)
        if j is None:
            passes.append(_Sums(axis, n, many, to, i, np.ones(many, x.dtype)))
        else:
            far = np.asarray(t, x.dtype)
            weights = join([1 - far, far])
            passes.append(_Sums(axis, n, many, join([to, to]), join([i, j]), weights))
    y = x
    for sums in reversed(passes):
        y = sums.of(y)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        for sums in passes:
            g = sums.transposed().of(g)
        return (g,)

    return y, backward
