"""Convolutions compute, print and refuse what PyTorch's do."""

from __future__ import annotations

import pytest

import minigrad as mg
from minigrad import nn
from tests.common import refuses
from tests.nn.layers import Case, check_layer

CASES = [
    Case("Conv2d", (4, 6, 3), {}, (2, 4, 6, 5)),
    Case("Conv2d", (4, 6, (3, 2), 2, (1, 0), (1, 2), 2, False), {}, (3, 4, 8, 9)),
    Case("Conv2d", (4, 4, 3), {"padding": "same", "groups": 4}, (2, 4, 5, 5)),
    Case("Conv2d", (4, 2, 3), {"padding": "valid", "stride": (2, 1)}, (2, 4, 5, 5)),
    Case("Conv2d", (4, 2, 3), {"padding": (1, 2), "padding_mode": "reflect"}, (2, 4, 5, 5)),
    Case("Conv2d", (4, 2, 2), {"padding": "same", "padding_mode": "circular"}, (4, 5, 5)),
    Case("Conv1d", (4, 6, 3), {}, (2, 4, 7)),
    Case("Conv1d", (4, 6, (3,), 2, 1, (2,), 2, False), {}, (2, 4, 9)),
    Case("Conv1d", (4, 2, 2), {"padding": "same", "padding_mode": "replicate"}, (2, 4, 5)),
    Case("ConvTranspose2d", (4, 6, 3), {}, (2, 4, 3, 2)),
    Case("ConvTranspose2d", (4, 6, (3, 2), 2, (1, 0), 1, 2, False, (1, 2)), {}, (3, 4, 2, 3)),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_as_pytorch(case):
    check_layer(case)


@pytest.mark.parametrize(
    ("error", "text", "make"),
    [
        (ValueError, "kernel_size: ", lambda: nn.Conv2d(1, 1, 0)),
        (ValueError, "kernel_size: ", lambda: nn.Conv2d(1, 1, (1, 2, 3))),
        (ValueError, "stride: ", lambda: nn.Conv2d(1, 1, 1, 0)),
        (ValueError, "padding: ", lambda: nn.Conv2d(1, 1, 1, padding=-1)),
        (ValueError, "padding: ", lambda: nn.Conv2d(1, 1, 1, padding="full")),
        (ValueError, "padding: ", lambda: nn.Conv2d(1, 1, 3, 2, padding="same")),
        (ValueError, "padding_mode: ", lambda: nn.Conv2d(1, 1, 1, padding_mode="mirror")),
        (ValueError, "padding_mode: ", lambda: nn.ConvTranspose2d(1, 1, 1, padding_mode="reflect")),
        (TypeError, "padding: ", lambda: nn.ConvTranspose2d(1, 1, 1, padding="same")),
        (ValueError, "stride: ", lambda: nn.Conv1d(1, 1, 1, (1, 1))),
        (
            NotImplementedError,
            "output_size=(3, 3)",
            lambda: nn.ConvTranspose2d(1, 1, 1)(mg.ones(1, 1, 3, 3), (3, 3)),
        ),
        (ValueError, "groups: ", lambda: nn.Conv2d(4, 6, 1, groups=4)),
    ],
)
def test_bad_options(error, text, make):
    refuses(error, text, make)


def test_transposed_convolutions_start_as_pytorchs():
    layer = nn.ConvTranspose2d(8, 50, 3, groups=2)
    bound = 1 / (25 * 9) ** 0.5
    for p in layer.parameters():
        assert 0.9 * bound < abs(p.detach().numpy()).max() <= bound
