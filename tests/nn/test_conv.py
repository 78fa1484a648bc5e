"""Convolutions compute, print and refuse what PyTorch's do."""

from __future__ import annotations

import pytest
import torch

from minigrad import nn
from tests.common import refuses
from tests.nn.layers import Case, check_layer

CASES = [
    Case("Conv2d", (4, 6, 3), {}, (2, 4, 6, 5)),
    Case("Conv2d", (4, 6, (3, 2), 2, (1, 0), (1, 2), 2, False), {}, (3, 4, 8, 9)),
    Case("Conv2d", (4, 4, 3), {"padding": "same", "groups": 4}, (2, 4, 5, 5)),
    Case("Conv2d", (4, 2, 3), {"padding": "valid", "stride": (2, 1)}, (2, 4, 5, 5)),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_as_pytorch(case):
    check_layer(case)


@pytest.mark.parametrize(
    ("option", "make"),
    [("padding_mode='reflect'", lambda lib: lib.Conv2d(1, 1, 1, padding_mode="reflect"))],
)
def test_unsupported_options_of_pytorch(option, make):
    make(torch.nn)
    refuses(NotImplementedError, option, lambda: make(nn))


@pytest.mark.parametrize(
    ("error", "text", "make"),
    [
        (ValueError, "kernel_size: ", lambda: nn.Conv2d(1, 1, 0)),
        (ValueError, "kernel_size: ", lambda: nn.Conv2d(1, 1, (1, 2, 3))),
        (ValueError, "stride: ", lambda: nn.Conv2d(1, 1, 1, 0)),
        (ValueError, "padding: ", lambda: nn.Conv2d(1, 1, 1, padding=-1)),
        (ValueError, "padding: ", lambda: nn.Conv2d(1, 1, 1, padding="full")),
        (ValueError, "padding: ", lambda: nn.Conv2d(1, 1, 3, 2, padding="same")),
        (ValueError, "groups: ", lambda: nn.Conv2d(4, 6, 1, groups=4)),
    ],
)
def test_bad_options(error, text, make):
    refuses(error, text, make)
