"""Transposed convolution: gradients by finite differences, and that it is what its name says;
values are in tests/parity."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg
from tests.common import LAYOUTS, compare, grid, host, leaf, refuses

F, T = mg.functional, torch.nn.functional
OPTIONS = [
    {},
    {"stride": 2, "padding": 1, "output_padding": 1},
    {"stride": (1, 3), "dilation": (2, 1), "output_padding": (1, 2)},
    {"groups": 2, "padding": (0, 1)},
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("layout", LAYOUTS[:3])
def test_gradients(device, options, layout):
    arrays = [grid((2, 4, 3, 2)), grid((4, 3, 3, 2), 1), grid((3 * options.get("groups", 1),), 2)]
    compare(F.conv_transpose2d, T.conv_transpose2d, arrays, options, device=device, layout=layout)


def test_it_is_the_input_gradient_of_convolution():
    x, w = leaf(grid((2, 3, 7, 6))), mg.tensor(grid((4, 3, 3, 2), 1))
    y = F.conv2d(x, w, stride=2, padding=1)
    g = mg.tensor(grid(y.shape, 2))
    y.backward(g)
    options = {"stride": 2, "padding": 1, "output_padding": (0, 0)}
    np.testing.assert_allclose(host(F.conv_transpose2d(g, w, **options)), host(x.grad))


def test_errors():
    x, w = mg.ones(1, 2, 3, 3), mg.ones(2, 1, 2, 2)
    tx, tw = torch.ones(1, 2, 3, 3), torch.ones(2, 1, 2, 2)
    for text, options in (
        ("output_padding: expected less than stride", {"output_padding": 1}),
        ("padding: leaves a result of size (0, 0)", {"padding": 2}),
        ("weight: expected (C, O/3, KH, KW)", {"groups": 3}),
        ("stride: ", {"stride": 0}),
    ):
        refuses(
            *(ValueError, text, lambda o=options: F.conv_transpose2d(x, w, **o)),
            lambda o=options: T.conv_transpose2d(tx, tw, **o),
        )
    refuses(ValueError, "bias: expected shape (1,)", lambda: F.conv_transpose2d(x, w, mg.ones(2)))
    text = "weight: expected dtype float32"
    refuses(TypeError, text, lambda: F.conv_transpose2d(x, w.to("float64")))
