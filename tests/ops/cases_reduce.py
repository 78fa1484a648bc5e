"""Sums, means, variances, norms, extremes, products: what tests.ops.test_implementations draws."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from minigrad import tape
from minigrad.ops import extreme, reduce, scan
from tests.common import seeds
from tests.ops.driver import Arguments, Cases


@st.composite
def reductions(draw: st.DrawFn) -> Arguments:
    shape = draw(st.sampled_from([(), (1,), (5,), (3, 5), (2, 3, 40), (3, 2, 5, 4)]))
    x = np.random.default_rng(draw(seeds)).standard_normal(shape)
    axes = tuple(range(len(shape)))
    if len(shape) > 1 and draw(st.booleans()):
        axes = tuple(sorted(draw(st.sets(st.sampled_from(axes), min_size=1))))
    return [x], {"axes": axes, "keepdim": draw(st.booleans())}


@st.composite
def sums(draw: st.DrawFn) -> Arguments:
    (x,), options = draw(reductions())
    return [x > 0 if draw(st.booleans()) else x], options


@st.composite
def moments(draw: st.DrawFn) -> Arguments:
    (x,), options = draw(reductions())
    x = x * 0 + 3 if draw(st.integers(0, 4)) == 0 else x
    return [x], {**options, "correction": draw(st.sampled_from([0, 1, 2.5]))}


@st.composite
def norms(draw: st.DrawFn) -> Arguments:
    (x,), options = draw(moments())
    del options["correction"]
    return [x - 3 if x.size and (x == 3).all() else x], {**options, "p": 2.0}


@st.composite
def broadcast(draw: st.DrawFn) -> Arguments:
    (g,), options = draw(reductions())
    return [g, options["axes"]], {}


@st.composite
def extremes(draw: st.DrawFn) -> Arguments:
    (x,), options = draw(reductions())
    x = np.round(x) if draw(st.booleans()) else x  # some are equal
    which = {"name": draw(st.sampled_from(["max", "min"])), "nan": draw(st.booleans())}
    return [x], options | which


@st.composite
def places(draw: st.DrawFn) -> Arguments:
    (x,), options = draw(extremes())
    axis = draw(st.sampled_from([None, *range(x.ndim)]))
    keepdim = axis is not None and options["keepdim"]
    return [x], {"name": f"arg{options['name']}", "axis": axis, "keepdim": keepdim}


@st.composite
def products(draw: st.DrawFn) -> Arguments:
    (x,), options = draw(reductions())
    axis = draw(st.sampled_from([None, *range(x.ndim)]))
    x = np.round(x) if draw(st.booleans()) else x  # some are 0
    return [x], {"axis": axis, "keepdim": options["keepdim"]}


LIMITS = {
    "minigrad.cpu.reduce.FEW": (1, 1 << 12),
    "minigrad.cpu.reduce.MANY": (1,),
    "minigrad.cpu.reduce.SHORTEST": (1, 2, 64),
    "minigrad.cpu.reduce.NARROWEST": (2, 2, 8),
    "minigrad.cpu.along.PIECE": (7, 1 << 18),
}
CASES = {
    operation: Cases(drawn, limits=LIMITS, special=True, batch_last=False, examples=60)
    for operation, drawn in (
        (reduce._sum, sums()),
        (reduce._mean, reductions()),
        (reduce._var, moments()),
        (reduce._std, moments()),
        (scan._norm, norms()),
        (tape.add_along, broadcast()),
        (extreme._extreme_over, extremes()),
        (extreme._place, places()),
        (scan._prod, products()),
    )
}
