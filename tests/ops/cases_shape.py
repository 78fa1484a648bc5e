"""Indexing: what tests.ops.test_implementations draws."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from minigrad.ops import shape
from tests.common import seeds
from tests.ops.driver import Arguments, Cases


@st.composite
def indices(draw: st.DrawFn) -> tuple[Any, ...]:
    """Parts of an index of (5, 3, 4): arrays, of which some say one thing often, among others."""
    count = draw(st.sampled_from([1, 2, 7, 300]))
    rng = np.random.default_rng(draw(seeds))

    def array(size: int) -> np.ndarray:
        return rng.integers(-size, size, count).astype(draw(st.sampled_from(["i4", "i8"])))

    return draw(
        st.sampled_from(
            [
                (array(5),),
                (array(5).reshape(-1, 1), array(3)),
                (..., array(4)),
                (slice(None), array(3).reshape(1, -1), slice(None)),
                (None, array(5), slice(1, None), None),
                (slice(None, None, 2), array(3), array(4)),
                (np.array([[True, False, True]] * 5), array(4)[:1]),
                (np.zeros((0, 2), np.int64),),
            ]
        )
    )


@st.composite
def getitem(draw: st.DrawFn) -> Arguments:
    x = np.random.default_rng(draw(seeds)).standard_normal((5, 3, 4))
    if draw(st.sampled_from([False, False, False, True])):
        index = draw(st.sampled_from([(2,), (..., slice(1, 3)), (None, slice(None), 0)]))
        return [x], {"index": index, "unique": True}
    return [x], {"index": draw(indices()), "unique": False}


@st.composite
def within(draw: st.DrawFn) -> Arguments:
    return [np.zeros((5, 3, 4)), draw(indices())], {}


LIMITS = {
    "minigrad.cpu.indexing.FEW": (0,),
    "minigrad.cpu.indexing.MAX_RUN": (0, 2),  # with more terms, other bits
    "minigrad.cpu.along.PIECE": (1, 1 << 18),
}
CASES = {
    shape._getitem: Cases(getitem(), limits=LIMITS, batch_last=False, exact=True),
    shape.check_within: Cases(within()),
}
