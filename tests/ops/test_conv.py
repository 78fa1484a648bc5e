"""conv2d: finite differences, realistic sizes and errors; tests/parity compares it with PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from tests.common import compare, grid, seeds

pytestmark = pytest.mark.usefixtures("each_way")

conv2d, reference = mg.functional.conv2d, torch.nn.functional.conv2d
pairs = lambda low, high: st.tuples(*[st.integers(low, high)] * 2)  # noqa: E731


@st.composite
def cases(draw: Any) -> tuple[list[np.ndarray | None], dict[str, Any]]:
    """Arrays and parameters of a convolution whose window fits."""
    seed, groups = draw(seeds), draw(st.integers(1, 3))
    kernel, dilation = draw(pairs(1, 3)), draw(pairs(1, 2))
    padding, slack = draw(pairs(0, 3)), draw(pairs(0, 4))
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    size = [max(1, r - 2 * p) + s for r, p, s in zip(reach, padding, slack, strict=True)]
    c, o = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 3))
    x = grid((draw(st.integers(1, 3)), c, *size), seed)
    w = grid((o, c // groups, *kernel), seed + 1)
    b = grid((o,), seed + 2) if draw(st.booleans()) else None
    params = {
        "stride": draw(pairs(1, 3)),
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
    }
    return [x, w, b], params


@given(cases())
def test_finite_differences(case):
    arrays, params = case
    if arrays[0].size + arrays[1].size < 250:
        inputs = [None if a is None else mg.Tensor(a, requires_grad=True) for a in arrays]
        mg.gradcheck(lambda *xs: conv2d(*xs, **params), inputs)


@pytest.mark.parametrize("channels", [16, 64])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_realistic_sizes(device, channels, kernel, stride):
    """Large enough for every blocked, threaded or transformed path."""
    if mg.get_implementation() == "definition":
        pytest.skip("a definition has one path")
    arrays = [grid((32, channels, 16, 16)), grid((32, channels, kernel, kernel), 1, -0.1, 0.1)]
    params = {"stride": stride, "padding": kernel // 2}
    arrays.append(grid((32,)))
    options = {"device": device, "numerical": False, "loosen": 10}  # sums of 8192 terms
    compare(conv2d, reference, arrays, params, **options)


def test_empty_batch():
    arrays = [np.zeros((0, 2, 5, 5)), grid((3, 2, 3, 3)), grid((3,))]
    compare(conv2d, reference, arrays, numerical=False)


IMAGE, FILTERS = (2, 4, 5, 6), (8, 4, 3, 3)
