"""Matrix products: large ones and errors; tests/parity compares them with PyTorch."""

from __future__ import annotations

import operator

import pytest
import torch

import minigrad as mg
from tests.common import compare, grid

linear, reference = mg.functional.linear, torch.nn.functional.linear


@pytest.mark.parametrize("sizes", [(257, 130, 65), (33, 200, 300), (1, 4096, 64), (4096, 64, 1)])
def test_large_products(device, sizes):
    """Large enough to be shared over threads."""
    m, k, n = sizes
    arrays = [grid((m, k)), grid((k, n), 1, -0.1, 0.1)]
    options = {"device": device, "numerical": False, "loosen": 10}
    compare(operator.matmul, operator.matmul, arrays, **options)
    compare(linear, reference, [arrays[0], arrays[1].T, grid((n,), 2)], **options)
