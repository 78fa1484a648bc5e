"""Activations: what tests.ops.test_implementations draws."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from minigrad.ops import activation, arithmetic, elementwise, piecewise, rounding, scan, smooth
from tests.common import seeds
from tests.ops.driver import Arguments, Cases

SHAPES = st.sampled_from([(), (0, 3), (1,), (3, 5), (2, 3, 300)])
BLOCKS = {
    "minigrad.cpu.elementwise.BLOCK": (1, 64, 1 << 17),
    "minigrad.cpu.activation.LEAST": ({},),  # kernels run for any number of elements
}

STRIPS = {
    "minigrad.cpu.along.STRIP": (1, 100, 1 << 16),
    "minigrad.cpu.along.PIECE": (64, 1 << 18),
}


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


@st.composite
def prelu(draw: st.DrawFn) -> Arguments:
    x = draw(values(integers=False))
    slopes = draw(st.sampled_from([1, x.shape[1] if x.ndim > 1 else 1]))
    sizes = (slopes, *(1,) * (x.ndim - 2)) if slopes > 1 else (1,) * min(x.ndim, 1)
    return [x, np.random.default_rng(draw(seeds)).standard_normal(sizes)], {}


@st.composite
def smooth_values(draw: st.DrawFn, options: st.SearchStrategy[dict[str, float]]) -> Arguments:
    """Small and large."""
    x = np.random.default_rng(draw(seeds)).standard_normal(draw(SHAPES))
    return [x * draw(st.sampled_from([0.1, 1, 10]))], draw(options)


@st.composite
def softmax(draw: st.DrawFn) -> Arguments:
    shape = draw(st.sampled_from([(5,), (1, 4), (3, 5), (2, 30, 4), (40, 3, 2, 50)]))
    x = np.random.default_rng(draw(seeds)).standard_normal(shape)
    x *= draw(st.sampled_from([1, 100]))
    return [x], {"axis": draw(st.integers(0, len(shape) - 1))}


@st.composite
def sums_of_powers(draw: st.DrawFn) -> Arguments:
    (x,), options = draw(softmax())
    axes = draw(st.sampled_from([(options["axis"],), tuple(range(x.ndim))]))
    return [x], {"axes": axes, "keepdim": draw(st.booleans())}


def options(*choices: dict[str, float]) -> st.SearchStrategy[dict[str, float]]:
    return st.sampled_from(choices or ({},))


OPTIONS: dict[Any, Any] = {
    **dict.fromkeys((arithmetic.exp, elementwise._erf), options()),
    **dict.fromkeys((activation._sigmoid, activation._tanh), options()),
    **dict.fromkeys((activation._gelu, activation._gelu_tanh), options()),
    **dict.fromkeys((piecewise._hardsigmoid, piecewise._hardswish), options()),
    piecewise._hardtanh: options({"low": 0.0, "high": 6.0}, {"low": -0.5, "high": 0.3}),
    **dict.fromkeys((smooth._silu, smooth._mish, smooth._logsigmoid), options()),
    smooth._softplus: options(
        {"beta": 1.0, "threshold": 20.0},
        {"beta": 0.5, "threshold": -1.0},
        {"beta": -2.0, "threshold": 3.0},
    ),
    smooth._elu: options(
        {"alpha": 1.0, "scale": 1.0, "rate": 1.0},
        {"alpha": 1.67, "scale": 1.05, "rate": 1.0},
        {"alpha": -0.5, "scale": 1.0, "rate": -2.0},
    ),
}

# Loops as simple as these differ by nothing but their dtype: one is enough to compile.
SIMPLE: dict[Any, Any] = {
    **dict.fromkeys((arithmetic.abs, arithmetic.sqrt, elementwise._square), options()),
    **dict.fromkeys((elementwise._reciprocal, elementwise._rsqrt, rounding._sign), options()),
    elementwise._nan_to_num: options({"nan": 1.0, "high": 3.0, "low": -4.0}),
}

CASES = {
    scan._logsumexp: Cases(sums_of_powers(), limits=STRIPS, special=True, batch_last=False),
    activation._relu: Cases(relu(), limits=BLOCKS, special=True, exact=True),
    activation._leaky_relu: Cases(leaky_relu(), limits=BLOCKS, special=True),
    piecewise._prelu: Cases(prelu(), limits=BLOCKS | STRIPS, special=True),
    **dict.fromkeys(
        (activation._softmax, activation._log_softmax),
        Cases(
            softmax(),
            limits=STRIPS,
            special=True,
        ),
    ),
    **{
        operation: Cases(smooth_values(drawn), limits=BLOCKS, special=True)
        for operation, drawn in OPTIONS.items()
    },
    **{
        operation: Cases(
            smooth_values(drawn),
            limits=BLOCKS,
            special=True,
            dtypes=(np.float32, np.float16),
        )
        for operation, drawn in SIMPLE.items()
    },
}
