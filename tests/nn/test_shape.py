"""Layers that change the shape compute, print and refuse what PyTorch's do."""

from __future__ import annotations

import pytest

import minigrad as mg
from minigrad import nn
from tests.common import refuses
from tests.nn.layers import Case, check_layer

CASES = [
    Case("Flatten", (), {}, (2, 3, 2, 2)),
    Case("Flatten", (0, 1), {}, (2, 3, 2, 2)),
    Case("Unflatten", (1, (2, -1)), {}, (2, 6, 2)),
    Case("Unfold", (2,), {"stride": 2}, (2, 3, 4, 4)),
    Case("Fold", ((4, 4), 2), {"padding": (1, 0)}, (2, 12, 15)),
    Case("Upsample", (), {"scale_factor": 2}, (2, 3, 2, 3)),
    Case("UpsamplingNearest2d", (), {"scale_factor": 2}, (2, 3, 2, 3)),
    Case("UpsamplingBilinear2d", ((3, 5),), {}, (2, 3, 2, 3)),
    Case("Upsample", ((3, 5),), {"mode": "bilinear", "align_corners": True}, (2, 3, 2, 3)),
    Case("PixelShuffle", (2,), {}, (2, 8, 2, 3)),
    Case("PixelUnshuffle", (2,), {}, (2, 3, 4, 2)),
    Case("ZeroPad2d", (1,), {}, (2, 3, 4, 4)),
    Case("ZeroPad1d", ((1, -1),), {}, (2, 3, 4)),
    Case("ConstantPad2d", ((1, 2, 0, 1), 3.5), {}, (2, 3, 4)),
    Case("ReflectionPad2d", ((1, 2, 0, 1),), {}, (2, 3, 4, 4)),
    Case("ReplicationPad2d", (2,), {}, (2, 3, 4, 4)),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_as_pytorch(case):
    check_layer(case)


@pytest.mark.parametrize(
    ("error", "text", "make"),
    [
        (ValueError, "padding: expected an int or a tuple of 4", lambda: nn.ZeroPad2d((1, 2))),
        (TypeError, "padding: expected a whole number", lambda: nn.ReflectionPad2d((1, 2, 3, "4"))),
        (TypeError, "unflattened_size: expected a tuple", lambda: nn.Unflatten(1, 2)),
        (ValueError, "sizes: cannot unflatten 5", lambda: nn.Unflatten(1, (2, 2))(mg.ones(1, 5))),
    ],
)
def test_bad_options(error, text, make):
    refuses(error, text, make)
