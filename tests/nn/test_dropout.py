"""Dropout layers drop in training only, and print as PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from tests.common import host, refuses
from tests.nn.layers import Case, check_layer

CASES = [
    Case("Dropout", (0.0,), {}, (3, 4)),
    Case("Dropout", (0.0, True), {}, (3, 4)),
    Case("Dropout1d", (0.0,), {}, (3, 4, 2)),
    Case("Dropout2d", (0.0, True), {}, (3, 4, 2, 2)),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_as_pytorch(case):
    check_layer(case)


def test_dropout_layer():
    layer, x = nn.Dropout(0.25), mg.ones(40, 50)
    y = host(layer(x))
    assert set(np.unique(y)) == {0, np.float32(1 / 0.75)}
    assert abs((y == 0).mean() - 0.25) < 0.04
    assert not np.array_equal(host(layer(x)), y)
    assert layer.eval()(x) is x


@pytest.mark.parametrize(
    ("layer", "shape"), [(nn.Dropout2d, (20, 30, 2, 3)), (nn.Dropout1d, (600, 6))]
)
def test_channels_are_dropped_whole(layer, shape):
    y = host(layer(0.25)(mg.ones(shape))).reshape(600, 6)
    assert (y == y[:, :1]).all()
    assert abs((y[:, 0] == 0).mean() - 0.25) < 0.06
    assert set(np.unique(y)) == {0, np.float32(1 / 0.75)}


def test_bad_options():
    refuses(ValueError, "p: ", lambda: nn.Dropout(1.5))
