"""Softmax, its logarithm, and that of sums of exponentials on the CPU: rows, or strips of columns,
that stay in a core's cache."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ..device import Array
from ..memory import empty
from ..ops import scan
from ..ops.activation import Pair, _log_softmax, _softmax
from ..tape import Operation
from .along import COST, columns
from .compiled import kernels
from .elementwise import elementwise


def _serves(x: Array, *, axis: int) -> bool:
    return x.size > 0 and kernels("softmax", x.dtype) is not None


def register(operation: Operation, logarithm: bool) -> None:
    """Let the kernels of :mod:`minigrad.cpu.kernels.softmax` run ``operation``."""

    def compiled(x: Array, *, axis: int) -> Pair:
        fast = kernels("softmax", x.dtype)
        assert fast is not None  # see `when`
        view, kernel = columns(x, axis), functools.partial(fast.kernel, dtype=x.dtype)
        found = empty((x.size,), x.dtype)
        view.run(kernel, "value", logarithm, found, view.flat(x))
        y = view.array(found)

        def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
            out = empty((g.size,), g.dtype)
            view.run(kernel, "gradient", logarithm, out, view.flat(y), view.flat(g))
            return (view.array(out),)

        return y, backward

    compiled.__name__ = f"compiled_{operation.name}"
    operation.on("cpu", when=_serves)(compiled)


def _can_sum(x: Array, *, axes: tuple[int, ...], **_: Any) -> bool:
    return x.size > 0 and len(axes) > 0 and kernels("softmax", x.dtype) is not None


@scan._logsumexp.on("cpu", when=_can_sum)
def logsumexp(x: Array, *, axes: tuple[int, ...], keepdim: bool) -> Pair:
    fast = kernels("softmax", x.dtype)
    assert fast is not None  # see `when`
    view, kernel = columns(x, *axes), functools.partial(fast.kernel, dtype=x.dtype)
    found, memory = np.empty(view.outer * view.inner, x.dtype), view.flat(x)
    view.run(kernel, "sum", found, memory)
    y = view.array(found, *(1,) * len(axes))

    def gradient(out: Array, x: Array, y: Array, g: Array) -> None:
        np.subtract(x, y, out=out)
        np.exp(out, out=out)
        np.multiply(out, g, out=out)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        return (elementwise(gradient, x, y, g.reshape(y.shape), cost=COST),)

    kept = [n for i, n in enumerate(x.shape) if i not in axes]
    return y if keepdim else y.reshape(kept), backward


register(_softmax, False)
register(_log_softmax, True)
