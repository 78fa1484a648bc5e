"""Sorting: what tests.ops.test_implementations draws."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from minigrad.ops import sort
from tests.common import seeds
from tests.ops.driver import Arguments, Cases


@st.composite
def sorting(draw: st.DrawFn) -> Arguments:
    """Few or many ties, zeros of both signs, and integers too."""
    shape = draw(st.sampled_from([(1,), (40,), (3, 50), (4, 2, 30), (0, 3)]))
    x = np.random.default_rng(draw(seeds)).standard_normal(shape) * draw(st.sampled_from([1, 99]))
    x = x.round() if draw(st.booleans()) else x
    x = x.astype(draw(st.sampled_from(["i4", "i8"]))) if draw(st.booleans()) else x
    axis = draw(st.integers(0, len(shape) - 1))
    part = slice(*sorted(draw(st.tuples(*[st.integers(0, shape[axis])] * 2))))
    if draw(st.booleans()):
        part = draw(st.sampled_from([slice(None), slice(5)]))
    return [x], {"axis": axis, "descending": draw(st.booleans()), "part": part}


@st.composite
def repeated(draw: st.DrawFn) -> Arguments:
    shape, most = draw(st.sampled_from([(1,), (40,), (3, 50)])), draw(st.sampled_from([3, 30, 900]))
    x = np.random.default_rng(draw(seeds)).integers(-most, most, shape)
    x = x.astype(draw(st.sampled_from(["i1", "u1", "i8", "f8"])))
    return [x], {"inverse": draw(st.booleans()), "counts": draw(st.booleans())}


CASES = {
    sort._unique: Cases(repeated(), limits={"minigrad.cpu.sort.FEW": (0,)}),
    sort._argsort: Cases(
        sorting(),
        limits={"minigrad.cpu.sort.FEW": (0,), "minigrad.cpu.sort.PIECE": (1, 1 << 15)},
        special=True,
        batch_last=False,
    ),
}
