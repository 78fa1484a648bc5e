"""Pooling layers compute, print and refuse what PyTorch's do."""

from __future__ import annotations

import pytest
import torch

from minigrad import nn
from tests.common import refuses
from tests.nn.layers import Case, check_layer

CASES = [
    Case("MaxPool2d", (2,), {}, (2, 3, 5, 6)),
    Case(
        *("MaxPool2d", ((3, 2), (1, 2), (1, 0)), {"dilation": (1, 2), "ceil_mode": True}),
        (2, 3, 6, 8),
    ),
    Case("AvgPool2d", (2,), {}, (2, 3, 5, 6)),
    Case("AvgPool2d", (3, 2, 1, True, False), {}, (2, 3, 6, 5)),
    Case("AvgPool2d", ((2, 3),), {"divisor_override": 5}, (2, 3, 6, 6)),
    Case("AdaptiveAvgPool2d", (1,), {}, (2, 3, 5, 4)),
    Case("AdaptiveAvgPool2d", ((3, None),), {}, (2, 3, 5, 4)),
    Case("AdaptiveMaxPool2d", ((3, None),), {}, (2, 3, 5, 4)),
    Case("AdaptiveAvgPool1d", (3,), {}, (2, 3, 7)),
    Case("MaxPool1d", (3, 2, 1), {"ceil_mode": True}, (2, 3, 7)),
    Case("MaxPool1d", (2,), {"dilation": (2,)}, (3, 7)),
    Case("AvgPool1d", (3, 2, 1), {"count_include_pad": False}, (2, 3, 7)),
    Case("AvgPool1d", ((2,),), {}, (2, 3, 7)),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_as_pytorch(case):
    check_layer(case)


def test_unsupported_options_of_pytorch():
    torch.nn.MaxPool2d(1, return_indices=True)
    text = "return_indices=True"
    for layer in (nn.MaxPool2d, nn.MaxPool1d, nn.AdaptiveMaxPool2d):
        refuses(NotImplementedError, text, lambda m=layer: m(1, return_indices=True))


@pytest.mark.parametrize(
    ("error", "text", "make"),
    [
        (ValueError, "kernel_size: ", lambda: nn.MaxPool2d(0)),
        (ValueError, "stride: ", lambda: nn.AvgPool2d(2, 0)),
        (ValueError, "padding: ", lambda: nn.AvgPool2d(2, padding=-1)),
        (ValueError, "dilation: ", lambda: nn.MaxPool2d(2, dilation=0)),
    ],
)
def test_bad_options(error, text, make):
    refuses(error, text, make)
