"""Pooling against PyTorch and finite differences."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from tests.common import REFUSALS, compare, grid, layouts, leaf, refuses, seeds

pytestmark = pytest.mark.usefixtures("each_way")

F, T = mg.functional, torch.nn.functional


@st.composite
def cases(draw: Any, dilated: bool) -> tuple[np.ndarray, dict[str, Any]]:
    """An image batch (or one image) and parameters, not all of which PyTorch accepts."""
    pairs = lambda low, high: st.tuples(*[st.integers(low, high)] * 2)  # noqa: E731
    # Below the dilation a window may see no pixel at all, where PyTorch's backward crashes.
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 2)), *draw(pairs(3 if dilated else 1, 8)))
    params = {
        "kernel_size": draw(st.integers(1, 3) | pairs(1, 4)),
        "stride": draw(st.none() | st.integers(1, 3) | pairs(1, 4)),
        "padding": draw(st.integers(0, 1) | pairs(0, 2)),
        "ceil_mode": draw(st.booleans()),
    }
    if dilated:
        params["dilation"] = draw(st.integers(1, 2) | pairs(1, 3))
    x = grid(shape, draw(seeds))
    return x[0] if draw(st.booleans()) else x, params


def agree(name: str, x: np.ndarray, params: dict[str, Any], **options: Any) -> None:
    """The same result and gradient, or a refusal by both."""
    ours, theirs = getattr(F, name), getattr(T, name)
    try:
        theirs(torch.from_numpy(x), **params)
    except REFUSALS:
        with pytest.raises(ValueError, match=r"kernel_size|padding"):
            ours(leaf(x), **params)
    else:
        compare(ours, theirs, [x], params, **options)


@given(cases(dilated=True), layouts)
def test_max_pool2d(device, case, layout):
    agree("max_pool2d", *case, device=device, layout=layout, numerical=case[0].size < 60)


@given(
    cases(dilated=False),
    st.booleans(),
    st.none() | st.integers(1, 5),
    layouts,
)
def test_avg_pool2d(device, case, count_include_pad, divisor, layout):
    x, params = case
    params |= {"count_include_pad": count_include_pad, "divisor_override": divisor}
    agree("avg_pool2d", x, params, device=device, layout=layout, numerical=x.size < 60)


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("size", range(1, 7))
def test_every_small_geometry(ceil_mode, size):
    """Which windows exist and what they see; the last one in ceil mode is the hard case."""
    x = grid((1, 1, size, size))
    for kernel, stride, padding in itertools.product(range(1, 5), range(1, 5), range(3)):
        params = {"stride": stride, "padding": padding, "ceil_mode": ceil_mode}
        params["kernel_size"] = kernel
        agree("max_pool2d", x, params, numerical=False)
        for include in (True, False):
            agree("avg_pool2d", x, params | {"count_include_pad": include}, numerical=False)


sizes = st.integers(1, 5)


@given(
    st.tuples(sizes, sizes, sizes, sizes),
    sizes | st.tuples(st.none() | sizes, st.none() | sizes),
    st.booleans(),
    seeds,
    layouts,
)
def test_adaptive_avg_pool2d(device, shape, output_size, single, seed, layout):
    x = grid(shape[1:] if single else shape, seed)
    compare(
        F.adaptive_avg_pool2d,
        T.adaptive_avg_pool2d,
        [x],
        {"output_size": output_size},
        device=device,
        layout=layout,
        numerical=x.size < 60,
    )


@given(seeds, layouts)
def test_ties_and_nan_in_max_pool2d(device, seed, layout):
    """The first of equal elements takes the gradient; a NaN wins its window."""
    params = {"kernel_size": 3, "stride": 2, "padding": 1}
    for values, fixed in (([0.0, 1.0], ()), ([0.0, 1.0, np.nan, np.inf, -np.inf], (0,))):
        x = np.random.default_rng(seed).choice(values, (2, 2, 5, 5))
        options = {"device": device, "layout": layout, "fixed": fixed, "numerical": False}
        compare(F.max_pool2d, T.max_pool2d, [x], params, **options)


def test_max_pool2d_of_integers():
    x = np.random.default_rng(0).integers(-9, 9, (2, 3, 5, 5))
    compare(F.max_pool2d, T.max_pool2d, [x], {"kernel_size": 2, "padding": 1})


@pytest.mark.parametrize("kernel", [(17, 17), (1, 300)])
def test_windows_of_more_than_256_places(kernel):
    x = grid((1, 2, kernel[0] + 2, kernel[1] + 2))
    compare(F.max_pool2d, T.max_pool2d, [x], {"kernel_size": kernel, "stride": 1}, numerical=False)


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d", "adaptive_avg_pool2d"])
@pytest.mark.parametrize("shape", [(16, 64, 32, 32), (0, 3, 4, 4)])
def test_large_and_empty_batches(name, shape):
    """The first is large enough for threads."""
    compare(
        getattr(F, name), getattr(T, name), [grid(shape)], {POSITIONAL[name]: 2}, numerical=False
    )


POSITIONAL = {
    "max_pool2d": "kernel_size",
    "avg_pool2d": "kernel_size",
    "adaptive_avg_pool2d": "output_size",
}


@pytest.mark.parametrize(
    ("name", "args", "error", "match"),
    [
        ("max_pool2d", (0,), ValueError, "kernel_size: expected a whole number from 1, got 0"),
        ("max_pool2d", ("2",), TypeError, "kernel_size: expected a whole number, got '2'"),
        ("max_pool2d", ((1, 2, 3),), ValueError, "kernel_size: expected an int or a pair of ints"),
        ("max_pool2d", (2, 0), ValueError, "stride: expected a whole number from 1, got 0"),
        ("max_pool2d", (2, 2, 2), ValueError, "padding: expected at most half of kernel_size"),
        ("max_pool2d", (2, 2, -1), ValueError, "padding: expected a whole number from 0, got -1"),
        ("max_pool2d", (2, 2, 0, 0), ValueError, "dilation: expected a whole number from 1, got 0"),
        ("avg_pool2d", (5,), ValueError, "the window (5, 5) is larger than the input (4, 4)"),
        ("avg_pool2d", (2, 2, 0, False, True, 0), ValueError, "divisor_override: expected"),
        ("adaptive_avg_pool2d", ((1, 2, 3),), ValueError, "output_size: expected an int or a pair"),
        ("adaptive_avg_pool2d", (-1,), ValueError, "output_size: expected a whole number from"),
        ("adaptive_avg_pool2d", (1.5,), TypeError, "output_size: expected a whole number, got 1.5"),
    ],
)
def test_errors(name, args, error, match):
    ours, theirs = getattr(F, name), getattr(T, name)
    refuses(
        error,
        match,
        lambda: ours(mg.ones(1, 2, 4, 4), *args),
        lambda: theirs(torch.ones(1, 2, 4, 4), *args),
    )


@pytest.mark.parametrize("name", POSITIONAL)
def test_input_errors(name):
    function = getattr(F, name)
    refuses(
        ValueError,
        "input: expected shape (N, C, H, W) or (C, H, W), got (2, 3)",
        lambda: function(mg.ones(2, 3), 1),
    )
    refuses(TypeError, "input: expected a Tensor, got list", lambda: function([[1.0]], 1))
    if name != "max_pool2d":
        integers = mg.ones(1, 2, 4, 4, dtype="int64")
        refuses(
            TypeError, "input: expected a floating dtype, got int64", lambda: function(integers, 2)
        )


def test_return_indices_is_not_supported():
    text = "return_indices=True is not supported"
    refuses(
        NotImplementedError, text, lambda: F.max_pool2d(mg.ones(1, 1, 2, 2), 2, return_indices=True)
    )
