"""Picking and placing along an axis: what tests.ops.test_implementations draws."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from minigrad.ops import indexing
from tests.common import seeds
from tests.ops.driver import Arguments, Cases

SHAPES = st.sampled_from([(5,), (1, 4), (3, 50), (5, 3, 4), (2, 0), (4, 2, 30)])


@st.composite
def gather(draw: st.DrawFn) -> Arguments:
    """Indices as many as x has beside the axis, or fewer; or a vector, expanded."""
    rng, shape = np.random.default_rng(draw(seeds)), draw(SHAPES)
    axis = draw(st.integers(0, len(shape) - 1))
    sizes = [max(n - draw(st.integers(0, 1)), 0) for n in shape] if draw(st.booleans()) else shape
    many = draw(st.sampled_from([0, 1, 7, 40])) if shape[axis] else 0
    sizes = [many if i == axis else n for i, n in enumerate(sizes)]
    index = rng.integers(0, max(1, shape[axis]), sizes).astype(draw(st.sampled_from(["i4", "i8"])))
    return [rng.standard_normal(shape), index], {"axis": axis}


@st.composite
def unlike(draw: st.DrawFn) -> Arguments:
    """Indices of which none comes twice."""
    rng, shape = np.random.default_rng(draw(seeds)), draw(SHAPES)
    axis = draw(st.integers(0, len(shape) - 1))
    index = rng.random(shape).argsort(axis)[(slice(None),) * axis + (slice(1),)]
    return [rng.standard_normal(shape), index], {"axis": axis}


@st.composite
def scatter(draw: st.DrawFn) -> Arguments:
    (x, index), options = draw(gather())
    source = np.random.default_rng(draw(seeds)).standard_normal(index.shape)
    if add := draw(st.booleans()):
        return [x, index, source], {**options, "add": add}
    return [x, index, draw(st.sampled_from([source, -2]))], {**options, "add": add}


@st.composite
def some(draw: st.DrawFn) -> Arguments:
    x = np.random.default_rng(draw(seeds)).integers(-1, 2, draw(SHAPES))
    return [x.astype(draw(st.sampled_from([bool, np.int64, np.float64])))], {}


@st.composite
def diagonal(draw: st.DrawFn) -> Arguments:
    shape = draw(st.sampled_from([(4, 5), (7, 1), (2, 0, 4), (2, 3, 5, 3)]))
    axes = draw(st.permutations(range(len(shape))))[:2]
    x = np.random.default_rng(draw(seeds)).standard_normal(shape)
    return [x], {"offset": draw(st.integers(-6, 6)), "axes": tuple(axes)}


@st.composite
def integers(draw: st.DrawFn) -> Arguments:
    shape = draw(st.sampled_from([(1,), (40,), (3, 50)]))
    return [np.random.default_rng(draw(seeds)).integers(-300, 300, shape)], {}


FLOATS = (np.float32, np.float64)  # which kernels serve
LIMITS = {
    "minigrad.cpu.indexing.FEW": (0,),
    "minigrad.cpu.along.PIECE": (1, 1 << 18),
    "minigrad.cpu.indexing.STRIP": (1, 1 << 15),
    "minigrad.cpu.indexing.MAX_RUN": (0, 32),
}
CASES = {
    operation: Cases(drawn, dtypes=FLOATS, limits=LIMITS, special=True, batch_last=False)
    for operation, drawn in (
        (indexing.take_along, unlike()),
        (indexing._gather, gather()),
        (indexing._scatter, scatter()),
    )
} | {
    indexing._diagonal: Cases(diagonal(), batch_last=False, exact=True),
    indexing.extent: Cases(integers(), limits={"minigrad.cpu.indexing.LARGE": (0,)}),
    indexing._nonzero: Cases(
        some(),
        limits={"minigrad.cpu.indexing.LARGE": (0,), "minigrad.cpu.indexing.PIECE": (7, 1 << 16)},
    ),
}
