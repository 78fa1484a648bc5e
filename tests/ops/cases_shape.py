"""Indexing: what tests.ops.test_implementations draws."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from minigrad.ops import arithmetic, indexing, inplace, methods, pad, rearrange, shape
from tests.common import seeds
from tests.ops.driver import Arguments, Cases


@st.composite
def indices(draw: st.DrawFn) -> tuple[Any, ...]:
    """Parts of an index of (5, 3, 4): arrays, of which some say one thing often, among others."""
    count = draw(st.sampled_from([1, 2, 7, 300]))
    rng = np.random.default_rng(draw(seeds))

    def array(size: int) -> np.ndarray:
        return rng.integers(-size, size, count).astype(draw(st.sampled_from(["i4", "i8"])))

    along_one_axis = [
        (array(5),),
        (..., array(4)),
        (slice(None), array(3).reshape(1, -1), slice(None)),
    ]
    others = [
        (array(5).reshape(-1, 1), array(3)),
        (None, array(5), slice(1, None), None),
        (slice(None, None, 2), array(3), array(4)),
        (np.array([[True, False, True]] * 5), array(4)[:1]),
        (np.zeros((0, 2), np.int64),),
    ]
    return draw(st.sampled_from(along_one_axis if draw(st.booleans()) else others))


@st.composite
def getitem(draw: st.DrawFn) -> Arguments:
    x = np.random.default_rng(draw(seeds)).standard_normal((5, 3, 4))
    kind = draw(st.sampled_from(["mask", "slices", "arrays"]))
    if kind == "mask":
        mask = np.random.default_rng(draw(seeds)).random(x.shape) < 0.5
        return [x], {"index": (mask,), "unique": True}
    if kind == "slices":
        index = draw(st.sampled_from([(2,), (..., slice(1, 3)), (None, slice(None), 0), (1, 2, 3)]))
        return [x], {"index": index, "unique": True}
    return [x], {"index": draw(indices()), "unique": False}


@st.composite
def within(draw: st.DrawFn) -> Arguments:
    return [np.zeros((5, 3, 4)), draw(indices())], {}


def values(draw: st.DrawFn, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(draw(seeds)).standard_normal(shape)


SHAPES = st.sampled_from([(7,), (4, 5), (2, 3, 4), (3, 1, 5, 4), (2, 2, 3, 2, 3)])


@st.composite
def padding(draw: st.DrawFn) -> Arguments:
    shape = draw(SHAPES)
    ends = st.tuples(st.integers(0, 2), st.integers(0, 2))
    return [values(draw, shape)], {
        "widths": tuple(draw(ends) for _ in shape),
        "value": draw(st.sampled_from([0, -1.5])),
    }


@st.composite
def framing(draw: st.DrawFn) -> Arguments:
    """The last one or two axes, which are innermost in memory or not. None is empty."""
    (x,), options = draw(padding())
    axes = min(draw(st.integers(1, 2)), x.ndim - 1)
    widths = (((0, 0),) * x.ndim + options["widths"][-axes:])[-x.ndim :]
    most = {"reflect": 1, "replicate": 0, "circular": 0}
    mode = draw(st.sampled_from([*most]))
    limits = [n - most[mode] for n in x.shape]
    ends = ((min(a, n), min(b, n)) for (a, b), n in zip(widths, limits, strict=True))
    return [x], {"widths": tuple(ends), "mode": mode}


@st.composite
def joining(draw: st.DrawFn) -> Arguments:
    shape = draw(SHAPES)
    dim = draw(st.integers(0, len(shape) - 1))
    sizes = draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))
    return [values(draw, (*shape[:dim], n, *shape[dim + 1 :])) for n in sizes], {"dim": dim}


@st.composite
def flipping(draw: st.DrawFn) -> Arguments:
    shape = draw(SHAPES)
    ends = [(0,), (len(shape) - 1,)]  # one of which is innermost in memory, mostly
    both = tuple(sorted({0, len(shape) - 1}))
    return [values(draw, shape)], {"axes": draw(st.sampled_from([*ends, (), both]))}


@st.composite
def rolling(draw: st.DrawFn) -> Arguments:
    shape = draw(SHAPES)
    shift, axis = draw(st.integers(-9, 9)), draw(st.integers(0, len(shape) - 1))
    return [values(draw, shape)], {"shifts": (shift,), "axes": (axis,)}


@st.composite
def triangle(draw: st.DrawFn) -> Arguments:
    shape = draw(st.sampled_from([(4, 5), (7, 1), (2, 3, 4), (2, 2, 5, 3)]))
    return [values(draw, shape)], {"diagonal": draw(st.integers(-6, 6))}


@st.composite
def cloning(draw: st.DrawFn) -> Arguments:
    """Some repeat numbers."""
    x = values(draw, draw(SHAPES))
    return [np.broadcast_to(x, (3, *x.shape)) if draw(st.booleans()) else x], {}


@st.composite
def converting(draw: st.DrawFn) -> Arguments:
    return draw(cloning())[0], {"dtype": draw(st.sampled_from(["f2", "f4", "f8", "i8"]))}


@st.composite
def reshaping(draw: st.DrawFn) -> Arguments:
    shape = draw(SHAPES)
    x = values(draw, shape)
    if draw(st.booleans()):  # repeated, as by `repeat`
        x = np.broadcast_to(x[:, None], (shape[0], 3, *shape[1:]))
    n = draw(st.sampled_from([1, shape[0], shape[-1]]))
    return [x], {"shape": (n, x.size // n)}


@st.composite
def writing(draw: st.DrawFn) -> Arguments:
    shape = draw(SHAPES)
    index = draw(st.sampled_from([..., (slice(1, None),), (0,), (..., slice(2, 4)), (None,)]))
    place = np.zeros(shape)[index].shape
    value = draw(st.sampled_from([2, values(draw, place), values(draw, place[-1:])]))
    return [values(draw, shape), value], {"index": index}


COPIES = {
    "minigrad.cpu.copy.FEW": (1,),
    "minigrad.cpu.copy.PIECE": (1, 20),
    "minigrad.cpu.copy.TURNED": (1, 1 << 17),
    "minigrad.cpu.copy.SHORT": (1, 1 << 17),
}
FRAMES = {"minigrad.cpu.shape.FRAMED": (1, 1 << 20), "minigrad.cpu.along.PIECE": (1, 1 << 18)}
LIMITS = {
    "minigrad.cpu.copy.TURNED": (1,),
    "minigrad.cpu.indexing.FEW": (0,),
    "minigrad.cpu.indexing.LARGE": (0,),
    "minigrad.cpu.indexing.PIECE": (7, 1 << 16),
    "minigrad.cpu.indexing.MAX_RUN": (0, 2),  # with more terms, other bits
    "minigrad.cpu.along.PIECE": (1, 1 << 18),
}
CASES = {
    shape._getitem: Cases(getitem(), limits=LIMITS, batch_last=False, exact=True, examples=40),
    shape.check_within: Cases(within()),
    shape._reshape: Cases(reshaping(), limits=COPIES, batch_last=False, exact=True),
    shape._cat: Cases(joining(), limits=COPIES, batch_last=False, exact=True),
    pad._pad: Cases(padding(), limits=COPIES | FRAMES, exact=True),
    pad._pad_by_copies: Cases(framing(), limits=COPIES | FRAMES),
    rearrange._flip: Cases(flipping(), limits=COPIES, exact=True),
    inplace._in_place: Cases(writing(), written=(0,), limits=COPIES, exact=True, derivable=False),
    rearrange._roll: Cases(rolling(), limits=COPIES, exact=True),
    **{
        operation: Cases(
            triangle(),
            limits={"minigrad.cpu.along.PIECE": (1, 1 << 18)},
            special=True,
            batch_last=False,
            exact=True,
        )
        for operation in (indexing._tril, indexing._triu)
    },
    methods._clone: Cases(cloning(), limits=COPIES, special=True, exact=True),
    arithmetic.to_dtype: Cases(converting(), limits=COPIES, exact=True),
}
