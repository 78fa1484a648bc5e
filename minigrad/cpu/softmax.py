"""Softmax and its logarithm on the CPU: rows, or strips of columns, that stay in a core's cache."""

from __future__ import annotations

import functools

from ..device import Array
from ..memory import empty
from ..ops.activation import Pair, _log_softmax, _softmax
from ..tape import Operation
from .along import along
from .compiled import kernels


def _serves(x: Array, *, axis: int) -> bool:
    return x.size > 0 and kernels("softmax", x.dtype) is not None


def register(operation: Operation, logarithm: bool) -> None:
    """Let the kernels of :mod:`minigrad.cpu.kernels.softmax` run ``operation``."""

    def compiled(x: Array, *, axis: int) -> Pair:
        fast = kernels("softmax", x.dtype)
        assert fast is not None  # see `when`
        view, kernel = along(x, axis), functools.partial(fast.kernel, dtype=x.dtype)
        y = empty((x.size,), x.dtype)
        view.run(kernel, "value", logarithm, y, view.flat(x))

        def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
            out = empty((g.size,), g.dtype)
            view.run(kernel, "gradient", logarithm, out, y, view.flat(g))
            return (view.array(out),)

        return view.array(y), backward

    compiled.__name__ = f"compiled_{operation.name}"
    operation.on("cpu", when=_serves)(compiled)


register(_softmax, False)
register(_log_softmax, True)
