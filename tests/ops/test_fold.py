"""Windows as columns: gradients by finite differences; values are in tests/parity."""

from __future__ import annotations

import numpy as np
import torch

import minigrad as mg
from tests.common import LAYOUTS, compare, grid, host, refuses

F, T = mg.functional, torch.nn.functional
WINDOW = {"kernel_size": (3, 2), "dilation": (1, 2), "padding": (1, 0), "stride": (2, 1)}


def test_gradients(device):
    for layout in LAYOUTS[:3]:
        compare(F.unfold, T.unfold, [grid((2, 3, 5, 4))], WINDOW, device=device, layout=layout)
        params = WINDOW | {"output_size": (5, 4)}
        compare(F.fold, T.fold, [grid((2, 12, 6))], params, device=device, layout=layout)


def test_no_images(device):
    compare(F.unfold, T.unfold, [np.zeros((0, 3, 5, 4))], WINDOW, device=device, numerical=False)
    params = WINDOW | {"output_size": (5, 4)}
    compare(F.fold, T.fold, [np.zeros((0, 12, 6))], params, device=device, numerical=False)


def test_convolution_is_a_product_with_the_columns():
    x, w = mg.tensor(grid((2, 3, 5, 4))), mg.tensor(grid((4, 3, 3, 2), 1))
    columns = F.unfold(x, (3, 2))
    y = (w.reshape(4, -1) @ columns).reshape(2, 4, 3, 3)
    np.testing.assert_allclose(host(y), host(F.conv2d(x, w)))


def test_errors():
    x, tx = mg.ones(1, 2, 3, 3), torch.ones(1, 2, 3, 3)
    columns, theirs = mg.ones(1, 8, 5), torch.ones(1, 8, 5)
    text = "kernel_size: the window (4, 4)"
    refuses(ValueError, text, lambda: F.unfold(x, 4), lambda: T.unfold(tx, 4))
    text = "input: expected shape (N, C * 4, 4)"
    refuses(ValueError, text, lambda: F.fold(columns, 3, 2), lambda: T.fold(theirs, 3, 2))
