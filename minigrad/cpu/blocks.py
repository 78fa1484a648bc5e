"""Elementwise functions without a kernel, by their definitions or NumPy, block by block.

The cores share the blocks. No formula stands here: the derivative of a block is the definition's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import writes
from ..device import Array
from ..layout import memory_order_and_back
from ..memory import empty
from ..ops import arithmetic, extreme, logic, pair_loss, rounding
from ..ops import elementwise as functions
from ..ops.arithmetic import Pair
from ..tape import Operation
from . import elementwise
from .along import COST
from .compiled import is_compiled, kernels
from .threads import GRAIN, MIN_PARALLEL_SIZE, launch, parallel, split_range

LARGE = 4 * MIN_PARALLEL_SIZE  # bytes; of a smaller array the definition is as fast
SHARED = 2 * GRAIN  # elements, from which threads share a kernel


class Blocks:
    """The memory of arrays like ``x``, in blocks.

    Args:
        cost: the time for four bytes, beside that of a sum.
        bare: whether what is done with a block makes no arrays. Otherwise blocks are larger: the
            system provides and takes memory for one thread at a time.
    """

    def __init__(self, x: Array, cost: int, bare: bool) -> None:
        self.order, self.back = memory_order_and_back(x)
        self.shape, self.size, self.work = [x.shape[i] for i in self.order], x.size, cost * x.nbytes
        block = elementwise.BLOCK * (4 if bare else 16)  # bytes
        self.parts = split_range(x.size, -(-x.nbytes // block), 16)

    def flat(self, a: Any) -> Any:
        """The memory of an array. A number stays as it is."""
        if not hasattr(a, "dtype"):
            return a
        return elementwise.contiguous(a.transpose(self.order)).reshape(-1)

    def filled(
        self,
        dtypes: Sequence[Any],
        fill: Callable[..., object],
        args: Sequence[Any],
        here: bool = False,
    ) -> tuple[Any, ...]:
        """New arrays of ``dtypes``, None for None; or the first of ``args`` if it shall be
        ``here``. ``fill(i, outs, parts)`` writes block i, from that of ``args``."""
        flat = [self.flat(a) for a in args]
        if here:
            made = flat[:1]
        else:
            made = [None if dtype is None else empty((self.size,), dtype) for dtype in dtypes]

        def task(i: int) -> None:
            fill(i, cut(made, self.parts[i]), cut(flat, self.parts[i]))

        parallel(task, len(self.parts), self.work // 4)
        return tuple(a if a is None else a.reshape(self.shape).transpose(self.back) for a in made)


def cut(args: Sequence[Any], part: slice) -> list[Any]:
    """That part of flat arrays. Other arguments stay as they are."""
    return [a[part] if hasattr(a, "dtype") else a for a in args]


def register(
    operation: Operation,
    cost: int = COST,
    value: Callable[..., Any] | None = None,
    *,
    kinds: str = "f",
    dtype: Any = None,
    depends: bool = True,
    shared: bool = False,
) -> None:
    """Run the definition of ``operation`` block by block.

    Args:
        cost: the time for an element, beside that of a sum.
        value: ``value(*blocks, out=)`` with the same result, if all options are 0. The definition
            then runs on the way back only, if its derivative ``depends`` on the operands.
        kinds: of the operands' dtype.
        dtype: the result's, if it is not the operands'.
        shared: whether a kernel of :mod:`minigrad.cpu.kernels.steps` has the operation's name and
            the same result as ``value``.
    """
    definition = operation.definition
    at_once = value is None or isinstance(value, np.ufunc)  # its block is read before it is written

    def serves(*args: Any, **params: Any) -> bool:
        x = args[0]
        large = cost * getattr(x, "nbytes", 0) >= LARGE or (shared and _serves(x))
        if not large or x.dtype.kind not in kinds:
            return False
        if value is not None and any(params.values()):
            return False
        return all(
            x.dtype.kind == "f"
            if type(a) in (int, float)
            else (getattr(a, "shape", None), getattr(a, "dtype", None)) == (x.shape, x.dtype)
            for a in args[1:]
        )

    def in_blocks(*args: Any, **params: Any) -> Pair:
        x = args[0]
        blocks, slopes = Blocks(x, cost, value is not None), {}

        def forward(i: int, outs: list[Any], parts: list[Any]) -> None:
            if value is not None:
                value(*parts, out=outs[0])
            else:
                outs[0][...], slopes[i] = definition(*parts, **params)

        if shared and _serves(x):
            y = _by_kernel(operation.name, args, dtype)
        else:
            dense = dtype is None and x.transpose(blocks.order).flags.c_contiguous
            here = at_once and dense and writes.takes(x)
            (y,) = blocks.filled([dtype or x.dtype], forward, args, here)
        if not depends:
            return y, definition(*cut([blocks.flat(a) for a in args], slice(0)), **params)[1]
        kept = () if value is None else args

        def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
            def back(i: int, outs: list[Any], parts: list[Any]) -> None:
                slope = slopes[i] if value is None else definition(*parts[1:], **params)[1]
                for out, d in zip(outs, slope(parts[0], needs), strict=True):
                    if out is not None:
                        out[...] = d

            return blocks.filled([g.dtype if n else None for n in needs], back, (g, *kept))

        return y, backward

    in_blocks.__name__ = f"{operation.name}_in_blocks"
    operation.on("cpu", when=serves)(in_blocks)


def _serves(x: Any) -> bool:
    return getattr(x, "size", 0) >= SHARED and is_compiled() and x.dtype.char != "e"


def _by_kernel(name: str, args: Sequence[Any], dtype: Any) -> Array:
    """The kernel ``name`` of one operand, of two of one shape, or of one and a number."""
    x, *others = args
    steps: Any = kernels("steps", np.dtype(np.float64))
    if others and not hasattr(others[0], "dtype"):
        number = x.dtype.type(others[0])
        kernel = steps.loop(name, "one and a number")
        return elementwise.elementwise(kernel, x, options=(number,), dtype=dtype)
    if x.dtype.kind == "b":  # bytes 0 and 1
        args, dtype = [a.view(np.uint8) for a in args], np.uint8
        name = name.replace("bitwise_not", "logical_not")
    kernel = steps.loop(name, "two" if others else "one")
    y = elementwise.elementwise(kernel, *args, dtype=dtype)
    return y.view(bool) if x.dtype.kind == "b" else y


for _operation in (arithmetic._pow, functions._power, functions._atan2):
    register(_operation)
register(extreme._maximum, 1, np.maximum, shared=True)
register(extreme._minimum, 1, np.minimum, shared=True)

STEPS: dict[Operation, np.ufunc] = {
    rounding._floor: np.floor,
    rounding._ceil: np.ceil,
    rounding._trunc: np.trunc,
    rounding._round: np.rint,
    **{operation: getattr(np, operation.name) for operation in logic.BITS.values()},
    logic._bitwise_not: np.invert,
}
for _operation, _value in STEPS.items():
    _kinds = "f" if _operation.definition.__module__ == rounding.__name__ else "biu"
    register(_operation, 1, _value, kinds=_kinds, depends=False, shared=True)
for _operation in logic.TRUTH.values():
    _value = getattr(np, _operation.name)
    register(_operation, 1, _value, kinds="b", depends=False, shared=True)
for _operation in logic._COMPARED.values():
    _value = getattr(np, _operation.name)
    register(_operation, 1, _value, dtype=np.dtype(bool), depends=False, shared=True)


def _have_kernel(a: Array, b: Array, **_: Any) -> bool:
    return a.shape == b.shape and kernels("activation", a.dtype) is not None


@logic._close.on("cpu", when=_have_kernel)
def close(a: Array, b: Array, *, rtol: float, atol: float, equal_nan: bool) -> Array:
    fast: Any = kernels("activation", a.dtype)
    blocks, y = Blocks(a, 1, True), empty((a.size,), bool)
    numbers = float(rtol), float(atol), equal_nan
    launch(fast.close, a.size, a.size, y, blocks.flat(a), blocks.flat(b), *numbers, align=16)
    return y.reshape(blocks.shape).transpose(blocks.back)


@pair_loss._kl_div.on("cpu", when=lambda a, p, **_: COST * a.nbytes >= LARGE)
def kl_div(a: Array, p: Array, *, reduction: str, log_target: bool) -> Pair:
    """The definition block by block, whose logarithms and products stay in a cache."""
    definition, blocks = pair_loss._kl_div.definition, Blocks(a, COST, True)
    each = reduction == "none"
    options = {"reduction": "none" if each else "sum", "log_target": log_target}
    sums, slopes = np.empty(len(blocks.parts)), {}
    count = a.dtype.type(a.size if reduction == "mean" else 1)

    def forward(i: int, outs: list[Any], parts: list[Any]) -> None:
        y, slopes[i] = definition(*parts, **options)
        if each:
            outs[0][...] = y
        else:
            sums[i] = y

    (losses,) = blocks.filled([a.dtype if each else None], forward, (a, p))
    y = losses if each else np.asarray(a.dtype.type(sums.sum()) / count)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        def back(i: int, outs: list[Any], parts: list[Any]) -> None:
            for out, d in zip(outs, slopes[i](parts[0] if each else g / count, needs), strict=True):
                if out is not None:
                    out[...] = d

        return blocks.filled([a.dtype if n else None for n in needs], back, (g,) if each else ())

    return y, backward
