"""Convolutions and linear layers by CUDA kernels in each precision, and the ways they launch.

The kernels get float32 arrays; the definition, which is float64's, gets the same numbers rounded as
the precision rounds the factors of a product. What is left between them is the rounding of sums.
tests/ops/test_implementations.py compares the kernels in full precision.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import functional as F
from minigrad.gpu import implicit_gemm as implicit
from minigrad.gpu import launch as cuda

pytestmark = pytest.mark.usefixtures("on_cpu")

DROPPED = {"fp32": 0, "tf32": 13, "bf16": 16}  # bits of float32's mantissa
FEW_EXAMPLES = settings(max_examples=5)


def rounded(x: np.ndarray, precision: str) -> np.ndarray:
    """float32 values to the nearest of that precision, in float64."""
    dropped = DROPPED[precision]
    bits = x.view(np.uint32) + np.uint32(1 << dropped >> 1)  # random values are no ties
    return (bits >> dropped << dropped).view(np.float32).astype(np.float64)


def check(
    layer: Callable[..., mg.Tensor],
    x: tuple[int, ...],
    w: tuple[int, ...],
    bias: bool,
    precision: str = "fp32",
) -> None:
    """Result and gradients of ``layer(x, w, b)`` by kernels and by the definition."""
    mg.set_precision(precision)
    draw = np.random.default_rng(0).standard_normal
    arrays = [draw(shape, np.float32) for shape in (x, w)]
    b = draw(w[0], np.float32) if bias else None
    ours = [mg.tensor(a, requires_grad=True) for a in arrays]
    theirs = [mg.tensor(rounded(a, precision), requires_grad=True) for a in arrays]
    if b is not None:
        ours.append(mg.tensor(b, requires_grad=True))
        theirs.append(mg.tensor(b.astype(np.float64), requires_grad=True))
    y, expected = layer(*ours), layer(*theirs)
    g = draw(y.shape, np.float32)
    y.backward(mg.tensor(g))
    expected.backward(mg.tensor(rounded(g, precision)))
    pairs = [(y.data, expected.data)]
    pairs += [(a.grad.data, e.grad.data) for a, e in zip(ours[:2], theirs[:2], strict=True)]
    if b is not None:
        pairs.append((ours[2].grad.data, g.sum((0, *range(2, g.ndim)), np.float64)))
    for found, right in pairs:
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, right, rtol=0, atol=5e-6 * max(1, np.abs(right).max()))


# Kernel, stride and precision are compiled in, and so are the number of rows of a tile, from the
# channels, and whether copies are of 16 bytes: `whole` sizes are multiples of four, others odd, as
# every other compilation takes seconds. What is left is drawn.
# (kernel, stride, precision, most channels, whole)
WAYS = [
    ((3, 3), (1, 1), "tf32", 16, True),
    ((3, 3), (1, 1), "bf16", 16, True),
    ((3, 3), (2, 2), "tf32", 64, True),
    ((1, 1), (1, 1), "bf16", 160, True),
    ((3, 2), (2, 1), "bf16", 16, False),
]


@pytest.mark.parametrize(("kernel", "stride", "precision", "channels", "whole"), WAYS, ids=str)
@FEW_EXAMPLES
@given(data=st.data())
def test_equals_the_definition(kernel, stride, precision, channels, whole, data):
    def draw(low: int, high: int) -> int:
        return data.draw(st.integers(low, high))

    groups = draw(1, 3) if channels == 16 else 1
    low = channels // 2 if channels > 16 else 1
    inputs, outputs = (draw(low, channels) for _ in range(2))
    images = draw(1, 9)
    if whole:
        inputs, outputs, images = (-(-n // 4) * 4 for n in (inputs, outputs, images))
    padding, dilation = (draw(0, 2), draw(0, 2)), (draw(1, 2), draw(1, 2))
    least = (d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
    size = tuple(max(1, n - 2 * p) + draw(0, 4) for n, p in zip(least, padding, strict=True))

    def layer(x: Any, w: Any, b: Any = None) -> mg.Tensor:
        return F.conv2d(x, w, b, stride, padding, dilation, groups)

    x = (images, groups * inputs, *size)
    check(layer, x, (groups * outputs, inputs, *kernel), data.draw(st.booleans()), precision)


@FEW_EXAMPLES
@given(*[st.integers(1, 16)] * 3, st.booleans())
def test_linear_equals_the_definition(images, features, outputs, bias):
    check(F.linear, (4 * images, features), (outputs, features), bias, "tf32")


def test_sums_cut_into_shares():
    """Long sums, and few results: two kernels, and a bias that is added once."""
    launched = []
    launch = cuda.launch

    def note(family: str, name: str, *args: Any, **macros: Any) -> None:
        launched.append(name)
        launch(family, name, *args, **macros)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cuda, "launch", note)
        check(lambda x, w, b: F.conv2d(x, w, b, padding=1), (4, 68, 9, 8), (3, 68, 3, 3), True)
        assert launched == ["correlate", "add_splits", "correlate", "weight_gradient", "add_splits"]


def test_arrays_that_start_anywhere():
    """Views at no multiple of 16 bytes, as a slice of a batch-innermost array is."""
    x = np.random.default_rng(0).standard_normal(3 * 25 * 4 + 1).astype(np.float32)[1:]
    w = np.random.default_rng(1).standard_normal(4 * 12 + 1).astype(np.float32)[1:]
    x, w = x.reshape(3, 5, 5, 4), w.reshape(4, 3, 2, 2)
    assert x.ctypes.data % 16
    sampling = implicit.forward_sampling((0, 0), (1, 1), (1, 1))
    y = implicit.correlate(x, w, None, (4, 4), sampling)
    again = implicit.correlate(x.copy(), w.copy(), None, (4, 4), sampling)
    np.testing.assert_array_equal(y, again)


def test_nothing_to_do():
    assert F.linear(mg.zeros(0, 3), mg.zeros(2, 3), mg.ones(2)).shape == (0, 2)
    y = F.linear(mg.zeros(2, 0), mg.zeros(3, 0), mg.ones(3))
    np.testing.assert_array_equal(y.numpy(), np.ones((2, 3)))
    assert F.conv2d(mg.zeros(0, 3, 5, 5), mg.zeros(2, 3, 3, 3)).shape == (0, 2, 3, 3)
