"""Normalisation layers compute, print and refuse what PyTorch's do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from tests.common import TOLERANCE, assert_same, host, refuses, seeds
from tests.nn.layers import Case, check_layer

CASES = [
    Case("BatchNorm1d", (5,), {}, (6, 5)),
    Case("BatchNorm1d", (5, 1e-3, 0.3), {}, (3, 5, 4)),
    Case("BatchNorm2d", (3,), {}, (4, 3, 2, 3)),
    Case("BatchNorm2d", (3,), {"affine": False}, (4, 3, 2, 3)),
    Case("BatchNorm2d", (3,), {"bias": False, "momentum": 1.0}, (4, 3, 2, 3)),
    Case("LayerNorm", (5,), {}, (3, 4, 5)),
    Case("LayerNorm", ([4, 5], 1e-3), {"bias": False}, (3, 4, 5)),
    Case("LayerNorm", (5,), {"elementwise_affine": False}, (3, 5)),
    Case("GroupNorm", (2, 4), {}, (3, 4, 2, 3)),
    Case("GroupNorm", (4, 4, 0.1), {"bias": False}, (3, 4, 2)),
    Case("GroupNorm", (1, 4), {"affine": False}, (3, 4)),
    Case("InstanceNorm2d", (3,), {}, (2, 3, 2, 3)),
    Case("InstanceNorm2d", (3,), {"affine": True}, (3, 2, 3)),
    Case("InstanceNorm1d", (3, 0.1), {"affine": True, "bias": False}, (2, 3, 4)),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_as_pytorch(case):
    check_layer(case)


@pytest.mark.parametrize("name", ["BatchNorm1d", "BatchNorm2d"])
@given(seed=seeds, momentum=st.sampled_from((0.0, 0.1, 0.7, 1.0)), data=st.data())
@settings(max_examples=15)
def test_running_statistics_over_steps(name, seed, momentum, data):
    """Batches of varying size, in training and evaluation in turn."""
    ours, theirs = (getattr(library, name)(3, momentum=momentum) for library in (nn, torch.nn))
    rng = np.random.default_rng(seed)
    for _ in range(6):
        training = data.draw(st.booleans())
        ours.train(training)
        theirs.train(training)
        shape = (data.draw(st.integers(2, 5)), 3, *((2, 3) if name == "BatchNorm2d" else ()))
        x = rng.normal(3, 2, shape).astype(np.float32)
        assert_same(ours(mg.tensor(x)), theirs(torch.tensor(x)), TOLERANCE[np.float32])
        for b, tb in zip(ours.buffers(), theirs.buffers(), strict=True):
            assert_same(b, tb, TOLERANCE[np.float32])


def test_a_refused_batch_moves_no_statistics():
    norm = nn.BatchNorm1d(2)
    before = [host(b).copy() for b in norm.buffers()]
    refuses(ValueError, "more than one value per channel", lambda: norm(mg.ones(1, 2)))
    refuses(ValueError, "(N, C) or (N, C, L)", lambda: norm(mg.ones(1, 2, 3, 4)))
    refuses(ValueError, "(N, C, H, W)", lambda: nn.BatchNorm2d(2)(mg.ones(3, 2)))
    for b, expected in zip(norm.buffers(), before, strict=True):
        np.testing.assert_array_equal(host(b), expected)


@pytest.mark.parametrize(
    ("option", "make"),
    [
        ("track_running_stats=False", lambda lib: lib.BatchNorm2d(1, track_running_stats=False)),
        (
            "track_running_stats=True",
            lambda lib: lib.InstanceNorm2d(1, track_running_stats=True),
        ),
        ("momentum=None", lambda lib: lib.BatchNorm1d(1, momentum=None)),
    ],
)
def test_unsupported_options_of_pytorch(option, make):
    make(torch.nn)
    refuses(NotImplementedError, option, lambda: make(nn))


@pytest.mark.parametrize(
    ("error", "text", "make"),
    [
        (ValueError, "num_features: ", lambda: nn.BatchNorm2d(0)),
        (ValueError, "eps: ", lambda: nn.BatchNorm2d(1, eps=-1)),
        (ValueError, "num_groups: expected a divisor", lambda: nn.GroupNorm(3, 4)),
        (ValueError, "num_channels: ", lambda: nn.GroupNorm(1, 0)),
        (TypeError, "normalized_shape: ", lambda: nn.LayerNorm("4")),
        (TypeError, "normalized_shape: ", lambda: nn.LayerNorm(())),
        (ValueError, "(N, C, H, W) or", lambda: nn.InstanceNorm2d(3)(mg.ones(2, 3))),
        (ValueError, "expected 3 channels", lambda: nn.InstanceNorm2d(3)(mg.ones(1, 2, 3, 3))),
        (ValueError, "momentum: ", lambda: nn.BatchNorm2d(1, momentum=2)),
    ],
)
def test_bad_options(error, text, make):
    refuses(error, text, make)
