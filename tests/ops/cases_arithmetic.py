"""Sums, differences and products: what tests.ops.test_implementations draws."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from minigrad import tape
from minigrad.ops import arithmetic, elementwise, rounding
from tests.common import seeds
from tests.ops.driver import Arguments, Cases

SHAPES = [(), (0, 3), (1,), (3, 5), (2, 3, 4), (2, 3, 300)]
BLOCKS = {
    "minigrad.cpu.elementwise.BLOCK": (1, 64, 1 << 17),
    "minigrad.cpu.along.PIECE": (1, 1 << 18),
}


FEW = {"minigrad.cpu.elementwise.BLOCK": (1, 64)}  # with which most arrays are large
LARGE = {"minigrad.cpu.arithmetic.LARGE": (1,)}


@st.composite
def operands(draw: st.DrawFn) -> Arguments:
    shape = draw(st.sampled_from(SHAPES))
    one = tuple(1 for _ in shape)
    others = [shape, shape[1:], one, (7, *shape), (*shape[:-1], *one[-1:])]
    others.append((*shape[:1], *one[1:-1], *shape[-1:]) if len(shape) > 1 else one)
    other = draw(st.sampled_from([*others, (*one[:1], *shape[1:2], *one[2:])]))
    shapes = [shape, other] if draw(st.booleans()) else [other, shape]
    generator = np.random.default_rng(draw(seeds))
    return [generator.standard_normal(shape) for shape in shapes], {}


@st.composite
def operands_and_numbers(draw: st.DrawFn) -> Arguments:
    (a, b), _ = draw(operands())
    number = draw(st.sampled_from([2, -0.7]))
    return draw(st.sampled_from([[a, b], [a, b], [a, number], [number, a]])), {}


@st.composite
def gradients(draw: st.DrawFn) -> Arguments:
    generator, shape = np.random.default_rng(draw(seeds)), draw(st.sampled_from(SHAPES[1:]))
    return [*generator.standard_normal((2, *shape))], {}


@st.composite
def one(draw: st.DrawFn) -> Arguments:
    return [
        10 * np.random.default_rng(draw(seeds)).standard_normal(draw(st.sampled_from(SHAPES)))
    ], {}


@st.composite
def quotients(draw: st.DrawFn) -> Arguments:
    """Some are whole, and some have lost bits."""
    generator, shape = np.random.default_rng(draw(seeds)), draw(st.sampled_from(SHAPES))
    a, b = generator.integers(-9, 9, (2, *shape)) / 4
    a = np.where(generator.random(shape) < draw(st.sampled_from([0, 0.1])), 1e9 * a, a)
    return [a, draw(st.sampled_from([np.asarray(b), 0.25, -3]))], {}


@st.composite
def clamped(draw: st.DrawFn) -> Arguments:
    (x,), _ = draw(one())
    limits = st.sampled_from([None, 2, -1.5, 4.0])
    return [x, draw(limits), draw(limits)], {}


@st.composite
def blended(draw: st.DrawFn, by_number: bool = False, **options: Any) -> Arguments:
    """Some are broadcast; the third may be a number."""
    generator, shape = np.random.default_rng(draw(seeds)), draw(st.sampled_from(SHAPES))
    arrays = list(generator.uniform(0.5, 2, (3, *shape)))
    if draw(st.sampled_from([False, False, True])):
        arrays[draw(st.integers(0, 2))] = generator.uniform(0.5, 2, shape[1:])
    if by_number and draw(st.booleans()):
        arrays[2] = draw(st.sampled_from([0, 0.25, -0.75, 1, -2]))
    return arrays, {name: draw(st.sampled_from(values)) for name, values in options.items()}


@st.composite
def selected(draw: st.DrawFn) -> Arguments:
    """One may be a number, or broadcast."""
    (a, b), _ = draw(operands())
    condition = np.random.default_rng(draw(seeds)).random(a.shape) < 0.5
    number = draw(st.sampled_from([2, -0.7, True]))
    return [condition, *draw(st.sampled_from([[a, b], [a, number], [number, a]]))], {}


CASES = {
    operation: Cases(
        operands_and_numbers(),
        gpu=operands(),
        limits={
            **BLOCKS,
            **LARGE,
            "minigrad.cpu.arithmetic.FEW": (1, 1 << 12),
        },
        special=True,
        batch_last=False,
    )
    for operation in (arithmetic.add, arithmetic.sub, arithmetic.mul, arithmetic.div)
} | {
    **{
        operation: Cases(
            quotients(),
            limits=BLOCKS,
            special=True,
            dtypes=(np.float32, np.float64),
            derivable=operation is not rounding._floor_divide,
        )
        for operation in (rounding._floor_divide, rounding._remainder, rounding._fmod)
    },
    arithmetic._clamp: Cases(clamped(), limits=BLOCKS, special=True),
    arithmetic._where: Cases(selected(), limits=BLOCKS, special=True, batch_last=False),
    elementwise._lerp: Cases(
        blended(by_number=True), limits=BLOCKS, special=True, batch_last=False
    ),
    **{
        operation: Cases(blended(value=(1, -0.5)), limits=BLOCKS, special=True, batch_last=False)
        for operation in (elementwise._addcmul, elementwise._addcdiv)
    },
    arithmetic.neg: Cases(one(), limits={**BLOCKS, **LARGE}, special=True, exact=True, examples=10),
    tape.add: Cases(gradients(), limits=FEW, special=True, exact=True),
    tape.copy: Cases(
        gradients().map(lambda drawn: (drawn[0][:1], {})),
        limits={**LARGE, "minigrad.cpu.copy.FEW": (1,)},
        special=True,
        exact=True,
    ),
    tape.add_into: Cases(gradients(), limits=FEW, special=True, exact=True, written=(0,)),
}
