"""Linear layers compute, print and refuse what PyTorch's do."""

from __future__ import annotations

import pytest

from minigrad import nn
from tests.common import refuses
from tests.nn.layers import Case, check_layer

CASES = [
    Case("Linear", (5, 3), {}, (4, 5)),
    Case("Linear", (5, 3, False), {}, (2, 3, 5)),
    Case("Identity", (1, 2), {"unused": 3}, (2, 3)),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_as_pytorch(case):
    check_layer(case)


@pytest.mark.parametrize(
    ("error", "text", "make"),
    [
        (ValueError, "in_features: ", lambda: nn.Linear(0, 1)),
        (TypeError, "out_features: ", lambda: nn.Linear(1, 1.5)),
    ],
)
def test_bad_options(error, text, make):
    refuses(error, text, make)
