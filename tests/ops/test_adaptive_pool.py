"""Adaptive maxima and pooling of rows: gradients by finite differences; values are in
tests/parity."""

from __future__ import annotations

import numpy as np
import torch

import minigrad as mg
from tests.common import LAYOUTS, compare, grid, refuses

F, T = mg.functional, torch.nn.functional


def test_gradients(device):
    for layout in LAYOUTS[:3]:
        for size in ((1, 1), (2, 3), (5, None), (7, 9)):
            compare(
                *(F.adaptive_max_pool2d, T.adaptive_max_pool2d, [grid((2, 3, 5, 4))]),
                {"output_size": size},
                device=device,
                layout=layout,
            )
    for name in ("adaptive_avg_pool1d", "adaptive_max_pool1d"):
        functions = getattr(F, name), getattr(T, name)
        compare(*functions, [grid((2, 3, 7))], {"output_size": 3}, device=device)


def test_of_equal_elements_the_first_counts(device):
    compare(
        *(F.adaptive_max_pool2d, T.adaptive_max_pool2d, [np.zeros((1, 1, 4, 4))]),
        {"output_size": 2},
        device=device,
        numerical=False,
    )


def test_errors():
    x = mg.ones(1, 1, 3, 3)
    text = "return_indices=True is not supported"
    refuses(NotImplementedError, text, lambda: F.adaptive_max_pool2d(x, 1, True))
    refuses(ValueError, "output_size: ", lambda: F.adaptive_max_pool2d(x, 0))
    refuses(ValueError, "output_size: ", lambda: F.adaptive_avg_pool1d(x[0], (1, 2)))
    refuses(ValueError, "input: expected shape (N, C, L)", lambda: F.adaptive_avg_pool1d(x, 1))
    refuses(ValueError, "kernel_size: ", lambda: F.max_pool1d(x[0], (1, 2)))
