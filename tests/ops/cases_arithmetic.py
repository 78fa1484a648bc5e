"""Sums, differences and products: what tests.ops.test_implementations draws."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from minigrad import tape
from minigrad.ops import arithmetic
from tests.common import seeds
from tests.ops.driver import Arguments, Cases

SHAPES = [(), (0, 3), (1,), (3, 5), (2, 3, 4), (2, 3, 300)]
BLOCKS = {"minigrad.cpu.elementwise.BLOCK": (1, 64, 1 << 17)}


@st.composite
def operands(draw: st.DrawFn) -> Arguments:
    shape = draw(st.sampled_from(SHAPES))
    other = draw(st.sampled_from([shape, shape[1:], tuple(1 for _ in shape), (7, *shape)]))
    shapes = [shape, other] if draw(st.booleans()) else [other, shape]
    generator = np.random.default_rng(draw(seeds))
    return [generator.standard_normal(shape) for shape in shapes], {}


@st.composite
def gradients(draw: st.DrawFn) -> Arguments:
    generator, shape = np.random.default_rng(draw(seeds)), draw(st.sampled_from(SHAPES[1:]))
    return [*generator.standard_normal((2, *shape))], {}


CASES = {
    operation: Cases(operands(), limits=BLOCKS, special=True, batch_last=False)
    for operation in (arithmetic.add, arithmetic.sub, arithmetic.mul)
} | {
    tape.add: Cases(gradients(), limits=BLOCKS, special=True, exact=True),
    tape.add_into: Cases(gradients(), limits=BLOCKS, special=True, exact=True, written=(0,)),
}
