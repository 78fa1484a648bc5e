"""Pooling: what tests.ops.test_implementations draws."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from minigrad.ops import adaptive_pool, pool
from minigrad.ops.conv import Pair, Window
from tests.common import seeds
from tests.ops.driver import Arguments, Cases

VALUES = np.array([0, 1, -1, 2, np.nan, np.inf, -np.inf])  # ties; any of the last for some draws
BATCHES = st.sampled_from([0, 1, 2, 5, 9, 33])
SIZES = st.sampled_from([(7, 8), (4, 36)])  # of less than a vector, and of some and a rest


def pairs(low: int, high: int) -> st.SearchStrategy[Pair]:
    return st.tuples(*[st.integers(low, high)] * 2)


@st.composite
def geometry(draw: st.DrawFn, size: Pair, max_dilation: int) -> tuple[Window, Pair, Pair]:
    # (6, 6) is a window that many pixels share: sums of more than RUN terms.
    kernel = draw(st.one_of(pairs(1, 4), st.just((2, 2)), st.just((6, 6)), st.just((2, 8))))
    stride, dilation = draw(pairs(1, 3)), draw(pairs(1, max_dilation))
    if kernel in ((6, 6), (2, 8)):
        stride = dilation = (1, 1)
    window = Window(kernel, stride, dilation)
    pads = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    ceil_mode = draw(st.booleans())
    sizes = zip(size, window.reach, stride, pads, strict=True)
    out = tuple(max(1, pool._output(n, r, s, p, ceil_mode)) for n, r, s, p in sizes)
    return window, pads, out


@st.composite
def max_pool2d(draw: st.DrawFn) -> Arguments:
    generator = np.random.default_rng(draw(seeds))
    count = draw(st.integers(2, len(VALUES)))
    x = generator.choice(VALUES[:count], (draw(BATCHES), 2, *draw(SIZES)))
    if count < 5 and draw(st.booleans()):
        x = x.astype(draw(st.sampled_from([np.int64, np.int8])))
    window, pads, out = draw(geometry(x.shape[2:], 2))
    return [x], {"window": window, "pads": pads, "out": out}


@st.composite
def avg_pool2d(draw: st.DrawFn) -> Arguments:
    generator = np.random.default_rng(draw(seeds))
    x = generator.standard_normal((draw(BATCHES), 2, *draw(SIZES)))
    window, pads, out = draw(geometry(x.shape[2:], 1))
    divisor = generator.integers(1, 9, out)
    return [x], {"window": window, "pads": pads, "out": out, "divisor": divisor}


@st.composite
def adaptive_avg_pool2d(draw: st.DrawFn) -> Arguments:
    generator = np.random.default_rng(draw(seeds))
    even = st.sampled_from([(7, 4), (4, 4)])  # some are even cells
    out = draw(st.just((1, 1)) | even | pairs(1, 9))
    return [generator.standard_normal((draw(BATCHES), 2, *draw(SIZES)))], {"out": out}


@st.composite
def adaptive_max_pool2d(draw: st.DrawFn) -> Arguments:
    (x,), _ = draw(max_pool2d())
    return [x.astype(np.float64)], {"out": draw(pairs(1, 9) | st.just((2, 4)))}


CASES = {
    adaptive_pool._adaptive_max_pool2d: Cases(adaptive_max_pool2d()),
    pool._max_pool2d: Cases(max_pool2d()),
    pool._avg_pool2d: Cases(avg_pool2d()),
    pool._adaptive_avg_pool2d: Cases(adaptive_avg_pool2d()),
}
