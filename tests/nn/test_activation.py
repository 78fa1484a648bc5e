"""Activation layers compute, print and refuse what PyTorch's do."""

from __future__ import annotations

import pytest

from minigrad import nn
from tests.common import refuses
from tests.nn.layers import Case, check_layer

CASES = [
    Case("ReLU", (), {}, (3, 4)),
    Case("LeakyReLU", (), {}, (3, 4)),
    Case("LeakyReLU", (0.3,), {}, (3, 4)),
    Case("GELU", (), {}, (3, 4)),
    Case("GELU", ("tanh",), {}, (3, 4)),
    Case("Sigmoid", (), {}, (3, 4)),
    Case("Tanh", (), {}, (3, 4)),
    Case("Softmax", (1,), {}, (3, 4)),
    Case("Softmax", (-2,), {}, (3, 4, 2)),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_as_pytorch(case):
    check_layer(case)


@pytest.mark.parametrize(
    ("error", "text", "make"),
    [
        (TypeError, "negative_slope: ", lambda: nn.LeakyReLU("0.1")),
        (ValueError, "approximate: ", lambda: nn.GELU("erf")),
    ],
)
def test_bad_options(error, text, make):
    refuses(error, text, make)
