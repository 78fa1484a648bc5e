"""Pooling: every small geometry, large windows and errors; the rest is in tests/parity."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

import minigrad as mg
from tests.common import REFUSALS, compare, grid, leaf

pytestmark = pytest.mark.usefixtures("each_way")

F, T = mg.functional, torch.nn.functional


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


@pytest.mark.parametrize("kernel", [(17, 17), (1, 300)])
def test_windows_of_more_than_256_places(kernel):
    x = grid((1, 2, kernel[0] + 2, kernel[1] + 2))
    compare(F.max_pool2d, T.max_pool2d, [x], {"kernel_size": kernel, "stride": 1}, numerical=False)


@pytest.mark.parametrize("images", [2, 9])
def test_windows_of_65536_places(images):
    """The place of the largest, counted from the window's end, needs more than two bytes."""
    x = np.zeros((images, 1, 256, 256), np.float32)
    places = np.array([0, 65_535, 1, 2, 300, 4, 65_534, 6, 7])[:images]
    x.reshape(images, -1)[np.arange(images), places] = 1
    t = leaf(x)
    y = F.max_pool2d(t, 256)
    y.backward(mg.ones(y.shape))
    np.testing.assert_array_equal(y.detach().numpy(), np.ones((images, 1, 1, 1)))
    np.testing.assert_array_equal(t.grad.numpy(), x)


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d", "adaptive_avg_pool2d"])
@pytest.mark.parametrize("shape", [(16, 64, 32, 32), (0, 3, 4, 4)])
def test_large_and_empty_batches(name, shape):
    """The first is large enough for threads."""
    size = "output_size" if name == "adaptive_avg_pool2d" else "kernel_size"
    compare(getattr(F, name), getattr(T, name), [grid(shape)], {size: 2}, numerical=False)
