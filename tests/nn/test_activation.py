"""Activation layers compute, print and refuse what PyTorch's do."""

from __future__ import annotations

import numpy as np
import pytest
import torch

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
    Case("ReLU", (True,), {}, (3, 4)),
    Case("LeakyReLU", (0.3, True), {}, (3, 4)),
    Case("ReLU6", (), {}, (3, 4)),
    Case("SiLU", (), {"inplace": True}, (3, 4)),
    Case("Mish", (), {}, (3, 4)),
    Case("Hardswish", (), {"inplace": True}, (3, 4)),
    Case("SELU", (), {}, (3, 4)),
    Case("ELU", (0.5,), {"inplace": True}, (3, 4)),
    Case("CELU", (), {}, (3, 4)),
    Case("PReLU", (), {}, (3, 4)),
    Case("PReLU", (4, 0.1), {}, (3, 4, 2)),
    Case("Hardtanh", (-0.5, 1.0), {"inplace": True}, (3, 4)),
    Case("Softplus", (2.0,), {}, (3, 4)),
    Case("LogSigmoid", (), {}, (3, 4)),
    Case("LogSoftmax", (1,), {}, (3, 4)),
    Case("Softmax", (1,), {}, (3, 4)),
    Case("Softmax", (-2,), {}, (3, 4, 2)),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_as_pytorch(case):
    check_layer(case)


def test_slopes_start_where_they_are_told():
    assert nn.PReLU(3, 0.1).weight.detach().numpy().tolist() == [np.float32(0.1)] * 3
    assert repr(nn.ReLU6()) == repr(torch.nn.ReLU6())
    assert repr(nn.Hardsigmoid()) == repr(torch.nn.Hardsigmoid())


@pytest.mark.parametrize(
    ("error", "text", "make"),
    [
        (TypeError, "negative_slope: ", lambda: nn.LeakyReLU("0.1")),
        (ValueError, "num_parameters: ", lambda: nn.PReLU(0)),
        (TypeError, "inplace: ", lambda: nn.ELU(inplace=1)),
        (ValueError, "max_val: ", lambda: nn.Hardtanh(1, 1)),
        (ValueError, "approximate: ", lambda: nn.GELU("erf")),
    ],
)
def test_bad_options(error, text, make):
    refuses(error, text, make)
