"""Activations: what tests.ops.test_implementations draws."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from minigrad.ops import activation
from tests.common import seeds
from tests.ops.driver import Arguments, Cases

SHAPES = st.sampled_from([(), (0, 3), (1,), (3, 5), (2, 3, 300)])
BLOCKS = {"minigrad.cpu.elementwise.BLOCK": (1, 64, 1 << 17)}


@st.composite
def values(draw: st.DrawFn, integers: bool) -> np.ndarray:
    """Zeros among others, and NaN."""
    x = np.random.default_rng(draw(seeds)).standard_normal(draw(SHAPES))
    x = np.where(abs(x) < 0.2, 0, x)
    if integers and draw(st.booleans()):
        return (3 * x).astype(draw(st.sampled_from([np.int64, np.int8])))
    return np.where(x > 2, np.nan, x)


@st.composite
def relu(draw: st.DrawFn) -> Arguments:
    return [draw(values(integers=True))], {}


@st.composite
def leaky_relu(draw: st.DrawFn) -> Arguments:
    slope = draw(st.sampled_from([0.01, 0.5, 0.0, -0.3]))
    return [draw(values(integers=False))], {"slope": slope}


CASES = {
    activation._relu: Cases(relu(), limits=BLOCKS, special=True, exact=True),
    activation._leaky_relu: Cases(leaky_relu(), limits=BLOCKS, special=True),
}
