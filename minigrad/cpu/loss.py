"""Losses of a prediction and a target on the CPU: a compiled pass forward and one backward, shared
among the cores."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..device import Array
from ..layout import memory_order
from ..ops import pair_loss
from ..tape import Backward, Operation
from .compiled import kernels
from .elementwise import contiguous, elementwise
from .threads import parallel, split_range, workspace

FEW = 1 << 12  # elements; below, NumPy is as fast, and nothing has to be compiled
PIECE = 1 << 18  # elements of a task: few of them, because handing one over takes time

# The parabola's limit, factor and divisor, the straight lines' slope and shift, and the slope at a
# NaN; see :func:`minigrad.cpu.kernels.loss.difference`.
Line = tuple[float, ...]
DIFFERENCES: dict[Operation, Callable[..., Line]] = {
    pair_loss._mse_loss: lambda: (math.inf, 1.0, 1.0, math.inf, 0.0, math.nan),
    pair_loss._l1_loss: lambda: (0.0, 0.5, 1.0, 1.0, 0.0, 0.0),
    pair_loss._smooth_l1_loss: lambda beta: (beta, 0.5, beta, 1.0, 0.5 * beta, math.nan),
    pair_loss._huber_loss: lambda delta: (delta, 0.5, 1.0, delta, 0.5 * delta, math.nan),
}


class _Loss:
    """The kernels ``name`` with ``numbers``, as an operation of ``a`` and ``b`` runs them."""

    def __init__(self, name: str, a: Array, b: Array, numbers: Line, reduction: str) -> None:
        fast = kernels("loss", a.dtype)
        assert fast is not None  # see `when`
        self.passes = fast.passes(name, a.dtype)
        self.run = fast.RUN
        self.arrays, self.numbers = (a, b), tuple(map(a.dtype.type, numbers))
        self.reduction, self.count = reduction, a.dtype.type(a.size if reduction == "mean" else 1)

    def value(self) -> Array:
        a = self.arrays[0]
        if self.reduction == "none":
            return elementwise(
                lambda out, a, b: self.passes.value(out, a, b, self.numbers), *self.arrays
            )
        return np.asarray(a.dtype.type(self._sum()) / self.count)

    def _sum(self) -> float:
        a, b = self.arrays
        if not (a.flags.c_contiguous and b.flags.c_contiguous):
            order = memory_order(a)
            a, b = (contiguous(x.transpose(order)) for x in self.arrays)
        a, b = a.reshape(-1), b.reshape(-1)
        parts = split_range(a.size, -(-a.size // PIECE), align=self.run)
        sums = np.empty(len(parts))

        def task(i: int) -> None:
            losses = workspace("losses", (self.run,), a.dtype)
            sums[i] = self.passes.value(losses, a[parts[i]], b[parts[i]], self.numbers)

        parallel(task, len(parts), a.size)
        return float(sums.sum())

    def gradient(self, g: Array) -> Array:
        """dL/da, for g = dL/dy of the reduced loss y."""
        return _gradient(self.passes.gradient, *self.arrays, g, self.numbers, self.reduction)


def _gradient(
    kernel: Callable[..., None], a: Array, b: Array, g: Array, numbers: Line, reduction: str
) -> Array:
    """dL/da of a loss, for g = dL/dy of the reduced loss y."""
    count, dtype = a.size if reduction == "mean" else 1, a.dtype

    def at_one(out: Array, a: Array, b: Array) -> None:
        kernel(out, a, b, factor, numbers)

    def at_each(out: Array, a: Array, b: Array, g: Array) -> None:
        at_one(out, a, b)
        out *= g

    if reduction == "none":
        factor = dtype.type(1)
        return elementwise(at_each, a, b, g)
    factor = dtype.type(g / dtype.type(count))
    return elementwise(at_one, a, b)


def _serves(a: Array, b: Array, **_: Any) -> bool:
    return a.size >= FEW and a.shape == b.shape and kernels("loss", a.dtype) is not None


def register(operation: Operation, line: Callable[..., Line]) -> None:
    """Let the kernels of a difference run ``operation``, whose options ``line`` turns into their
    numbers."""

    def compiled(a: Array, b: Array, *, reduction: str, **options: float) -> tuple[Array, Backward]:
        loss = _Loss("difference", a, b, line(**options), reduction)

        def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array, Array | None]:
            by_a = loss.gradient(g)
            return by_a, elementwise(_negate, by_a) if needs[1] else None

        return loss.value(), backward

    compiled.__name__ = f"compiled_{operation.name}"
    operation.on("cpu", when=_serves)(compiled)


def _negate(out: Array, x: Array) -> None:
    np.negative(x, out=out)


for _operation, _line in DIFFERENCES.items():
    register(_operation, _line)


def _is_unweighted(p: Array, t: Array, w: Any, **_: Any) -> bool:
    return w is None and _serves(p, t)


@pair_loss._binary_cross_entropy.on("cpu", when=_is_unweighted)
def binary_cross_entropy(p: Array, t: Array, w: None, *, reduction: str) -> tuple[Array, Backward]:
    """Only the gradient by p, which needs no logarithm, is compiled."""
    definition, fast = pair_loss._binary_cross_entropy.definition, kernels("loss", p.dtype)
    assert fast is not None  # see `_serves`
    kernel = fast.gradient("binary_cross_entropy", p.dtype)
    y, plain = definition(p, t, w, reduction=reduction)
    least = (p.dtype.type(np.float32(1e-12)),)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        if needs[1]:  # seldom: a target that is learned
            return plain(g, needs)
        return _gradient(kernel, p, t, g, least, reduction), None, None

    return y, backward


def _is_weighted_alike(x: Array, t: Array, w: Any, positive: Any, **_: Any) -> bool:
    return w is None and (positive is None or positive.size == 1) and _serves(x, t)


@pair_loss._bce_with_logits.on("cpu", when=_is_weighted_alike)
def bce_with_logits(
    x: Array, t: Array, w: None, positive: Array | None, *, reduction: str
) -> tuple[Array, Backward]:
    """Without weights, or with one for all positives."""
    more = 0.0 if positive is None else positive.item() - 1
    loss = _Loss("bce_with_logits", x, t, (more,), reduction)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        by_t = None
        if needs[1]:  # seldom: a target that is learned
            definition = pair_loss._bce_with_logits.definition
            by_t = definition(x, t, w, positive, reduction=reduction)[1](g, needs)[1]
        return loss.gradient(g), by_t, None, None

    return loss.value(), backward
