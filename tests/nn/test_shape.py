"""Layers that change the shape compute, print and refuse what PyTorch's do."""

from __future__ import annotations

import pytest

from tests.nn.layers import Case, check_layer

CASES = [
    Case("Flatten", (), {}, (2, 3, 2, 2)),
    Case("Flatten", (0, 1), {}, (2, 3, 2, 2)),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_as_pytorch(case):
    check_layer(case)
