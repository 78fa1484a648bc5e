"""Cases to time: a call that both libraries accept, with operands of several sizes."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

Shape = tuple[int, ...]


class Sizes(NamedTuple):
    """The shapes that a case is timed on."""

    small: Shape
    usual: Shape
    large: Shape

    def of(self, name: str) -> Shape:
        """The shape of that size."""
        return self[self._fields.index(name)]


MATRIX = Sizes((32, 256), (1024, 1024), (4096, 1024))
IMAGES = Sizes((8, 16, 16, 16), (64, 16, 32, 32), (64, 64, 32, 32))


class Variant(NamedTuple):
    """Size, dtype and memory order of the operands.

    "transposed" operands have the first axis innermost, the order of batches in minigrad.
    Four-dimensional operands of PyTorch are in NCHW or channels_last instead.
    """

    size: str
    dtype: str
    layout: str


VARIANTS = (
    Variant("small", "float32", "contiguous"),
    Variant("usual", "float32", "contiguous"),
    Variant("large", "float32", "contiguous"),
    Variant("usual", "float32", "transposed"),
    Variant("usual", "float64", "contiguous"),
)


@dataclass(frozen=True)
class Operand:
    """A tensor argument.

    Attributes:
        kind: "normal", "positive", "unit" (between 0 and 1), "classes" (integers below ``most``),
            "bools".
        shape: the operand's shape as a function of the case's shape.
        constant: whether it needs no gradient.
        parameter: whether it is contiguous in every layout, as parameters are.
        most: the number of classes as a function of the case's shape.
    """

    kind: str = "normal"
    shape: Callable[[Shape], Shape] = lambda shape: shape
    constant: bool = False
    parameter: bool = False
    most: Callable[[Shape], int] = lambda shape: 10

    def of(self, shape: Callable[[Shape], Shape], **changes: Any) -> Operand:
        """A copy of this operand with another shape."""
        return replace(self, shape=shape, **changes)

    @property
    def floating(self) -> bool:
        return self.kind not in ("classes", "bools")

    def draw(self, shape: Shape, variant: Variant, channels_last: bool) -> np.ndarray:
        """Values for a case of ``shape``, in the memory order of ``variant``."""
        own = self.shape(shape)
        flat = np.resize(_pool(self.kind, self.most(shape)), math.prod(own))
        flat = flat.astype(variant.dtype) if self.floating else flat
        order = list(range(len(own)))
        if channels_last and len(own) == 4:
            order = [0, 2, 3, 1]
        elif variant.layout == "transposed" and len(own) > 1 and not self.parameter:
            order = [*order[1:], 0]
        memory = flat.reshape([own[i] for i in order])
        return memory.transpose([order.index(i) for i in range(len(own))])


@functools.cache
def _pool(kind: str, most: int) -> np.ndarray:
    generator, count = np.random.default_rng(0), (1 << 20) + 1  # odd: rows differ
    if kind == "classes":
        return generator.integers(0, most, count)
    if kind == "bools":
        return generator.random(count) < 0.5
    if kind == "unit":
        return generator.uniform(0.01, 0.99, count)
    values = generator.standard_normal(count)
    return np.abs(values) + 0.1 if kind == "positive" else values


x = normal = Operand()
positive, unit = Operand("positive"), Operand("unit")
classes, bools = Operand("classes"), Operand("bools")
parameter = Operand(parameter=True)


@dataclass(frozen=True)
class Case:
    """A call to time in each of :data:`VARIANTS`.

    Attributes:
        label: a unique name.
        names: the public names that the case measures.
        call: ``call(engine, *tensors)``, or ``call(engine, layer, *tensors)`` with ``build``.
        operands: the tensors.
        sizes: a shape for each size.
        build: ``build(engine, shape)`` makes a layer once.
        multiply_adds: of the forward pass, if arithmetic and not memory limits the speed.
        gradient: whether the backward pass is timed, if the result has a gradient.
        step: the name of an optimiser whose step is timed instead of a call.
    """

    label: str
    names: tuple[str, ...]
    call: Callable[..., Any]
    operands: tuple[Operand, ...]
    sizes: Sizes = MATRIX
    build: Callable[[Any, Shape], Any] | None = None
    multiply_adds: Callable[[Shape], int] | None = None
    gradient: bool = True
    step: str = ""


def case(
    label: str, call: Callable[..., Any], *operands: Operand, also: str = "", **given: Any
) -> Case:
    """A case whose public names are the first word of ``label`` and the words of ``also``."""
    names = (label.split(",")[0].split(" ")[0], *also.split())
    return Case(label, names, call, operands, **given)


def named(name: str, *operands: Operand, label: str = "", where: str = "", **given: Any) -> Case:
    """A case of the library's function ``name``, or that of its module ``where``, called with
    ``operands`` only."""

    def call(engine: Any, *tensors: Any) -> Any:
        home = getattr(engine, where) if where else engine.library
        return getattr(home, name)(*tensors)

    return case(label or name, call, *operands, **given)


def each(names: str, *operands: Operand, where: str = "", **given: Any) -> list[Case]:
    """A :func:`named` case for each of ``names``, separated by spaces."""
    return [named(name, *operands, where=where, **given) for name in names.split()]
