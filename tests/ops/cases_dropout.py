"""Dropout: what tests.ops.test_implementations draws."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from minigrad import rng
from minigrad.ops import dropout
from tests.common import seeds
from tests.ops.driver import Arguments, Cases

WORDS = st.integers(0, 2**64 - 1)
SHAPES = st.sampled_from([(), (0, 3), (1,), (7,), (3, 5), (2, 3, 347)])


@st.composite
def dropped(draw: st.DrawFn) -> Arguments:
    x = np.random.default_rng(draw(seeds)).standard_normal(draw(SHAPES))
    kept = rng.Draw((draw(WORDS), draw(WORDS)), draw(WORDS))
    return [x], {"draw": lambda: kept, "p": draw(st.sampled_from([0.1, 0.5, 1.0]))}


CASES = {
    dropout._dropout: Cases(
        dropped(),
        limits={"minigrad.cpu.elementwise.BLOCK": (1, 64, 1 << 17)},
        special=True,
        exact=True,
    ),
}
