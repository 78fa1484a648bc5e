"""Resizing: what tests.ops.test_implementations draws."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from minigrad.ops import resize
from tests.common import seeds
from tests.ops.driver import Arguments, Cases

SHAPES = st.sampled_from([(2, 3, 4), (2, 3, 1), (3, 1, 5, 4), (2, 3, 3, 7), (1, 2, 3, 2, 4)])


@st.composite
def resizing(draw: st.DrawFn) -> Arguments:
    shape = draw(SHAPES)
    doubled = draw(st.booleans())
    linear = {3: "linear", 4: "bilinear", 5: "trilinear"}[len(shape)]
    return [np.random.default_rng(draw(seeds)).standard_normal(shape)], {
        "size": tuple(2 * n if doubled else draw(st.integers(1, 2 * n + 1)) for n in shape[2:]),
        "scales": (None,) * (len(shape) - 2),
        "mode": draw(st.sampled_from(["nearest", "nearest-exact", linear])),
        "align": draw(st.booleans()),
    }


CASES = {
    resize._interpolate: Cases(
        resizing(),
        dtypes=(np.float32, np.float64),
        limits={
            "minigrad.cpu.resize.FEW": (0,),
            "minigrad.cpu.resize.IMAGE": (1, 1 << 18),
            "minigrad.cpu.along.PIECE": (1, 1 << 18),
        },
        special=True,
    )
}
