"""Every layer computes, prints and refuses what PyTorch's does, with PyTorch's constructor."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from tests.common import (
    LAYOUTS,
    TOLERANCE,
    assert_same,
    grid,
    host,
    leaf,
    refuses,
    seeds,
)

# name → constructor arguments and input shape
CASES = [
    ("Linear", (5, 3), {}, (4, 5)),
    ("Linear", (5, 3, False), {}, (2, 3, 5)),
    ("Conv2d", (4, 6, 3), {}, (2, 4, 6, 5)),
    ("Conv2d", (4, 6, (3, 2), 2, (1, 0), (1, 2), 2, False), {}, (3, 4, 8, 9)),
    ("Conv2d", (4, 4, 3), {"padding": "same", "groups": 4}, (2, 4, 5, 5)),
    ("Conv2d", (4, 2, 3), {"padding": "valid", "stride": (2, 1)}, (2, 4, 5, 5)),
    ("BatchNorm1d", (5,), {}, (6, 5)),
    ("BatchNorm1d", (5, 1e-3, 0.3), {}, (3, 5, 4)),
    ("BatchNorm2d", (3,), {}, (4, 3, 2, 3)),
    ("BatchNorm2d", (3,), {"affine": False}, (4, 3, 2, 3)),
    ("BatchNorm2d", (3,), {"bias": False, "momentum": 1.0}, (4, 3, 2, 3)),
    ("MaxPool2d", (2,), {}, (2, 3, 5, 6)),
    ("MaxPool2d", ((3, 2), (1, 2), (1, 0)), {"dilation": (1, 2), "ceil_mode": True}, (2, 3, 6, 8)),
    ("AvgPool2d", (2,), {}, (2, 3, 5, 6)),
    ("AvgPool2d", (3, 2, 1, True, False), {}, (2, 3, 6, 5)),
    ("AvgPool2d", ((2, 3),), {"divisor_override": 5}, (2, 3, 6, 6)),
    ("AdaptiveAvgPool2d", (1,), {}, (2, 3, 5, 4)),
    ("AdaptiveAvgPool2d", ((3, None),), {}, (2, 3, 5, 4)),
    ("Dropout", (0.0,), {}, (3, 4)),
    ("ReLU", (), {}, (3, 4)),
    ("LeakyReLU", (), {}, (3, 4)),
    ("LeakyReLU", (0.3,), {}, (3, 4)),
    ("GELU", (), {}, (3, 4)),
    ("GELU", ("tanh",), {}, (3, 4)),
    ("Sigmoid", (), {}, (3, 4)),
    ("Tanh", (), {}, (3, 4)),
    ("Softmax", (1,), {}, (3, 4)),
    ("Softmax", (-2,), {}, (3, 4, 2)),
    ("Flatten", (), {}, (2, 3, 2, 2)),
    ("Flatten", (0, 1), {}, (2, 3, 2, 2)),
    ("Identity", (1, 2), {"unused": 3}, (2, 3)),
]
each_case = pytest.mark.parametrize(
    ("name", "args", "options", "shape"), CASES, ids=[f"{c[0]}-{i}" for i, c in enumerate(CASES)]
)


def make(name, args, options, dtype=np.float32):
    """The layer in both libraries with the same random parameters and statistics."""
    theirs = getattr(torch.nn, name)(*args, **options).to(getattr(torch, np.dtype(dtype).name))
    ours = getattr(nn, name)(*args, **options).to(dtype)
    for i, t in enumerate([*theirs.parameters(), *theirs.buffers()]):
        if t.is_floating_point():
            t.data.copy_(torch.tensor(grid(t.shape, seed=i, low=0.2)))
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


@each_case
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_forward_and_backward(name, args, options, shape, training, dtype):
    for layout in LAYOUTS[:3]:
        ours, theirs = make(name, args, options, dtype)
        ours.train(training)
        theirs.train(training)
        x = grid(shape, seed=5).astype(dtype)
        tx = torch.tensor(x, requires_grad=True)
        mx = leaf(x, layout=layout)
        y, ty = ours(mx), theirs(tx)
        assert_same(y, ty, TOLERANCE[dtype])
        g = grid(y.shape, seed=6).astype(dtype)
        y.backward(mg.Tensor(g))
        ty.backward(torch.tensor(g))
        assert_same(mx.grad, tx.grad, TOLERANCE[dtype])
        for p, tp in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert_same(p.grad, tp.grad, TOLERANCE[dtype])
        for b, tb in zip(ours.buffers(), theirs.buffers(), strict=True):
            assert_same(b, tb, TOLERANCE[dtype])


@each_case
def test_repr(name, args, options, shape):
    assert repr(getattr(nn, name)(*args, **options)) == repr(
        getattr(torch.nn, name)(*args, **options)
    )


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


def test_dropout_layer():
    layer, x = nn.Dropout(0.25), mg.ones(40, 50)
    y = host(layer(x))
    assert set(np.unique(y)) == {0, np.float32(1 / 0.75)}
    assert abs((y == 0).mean() - 0.25) < 0.04
    assert not np.array_equal(host(layer(x)), y)
    assert layer.eval()(x) is x


@pytest.mark.parametrize(
    ("option", "make"),
    [
        ("padding_mode='reflect'", lambda lib: lib.Conv2d(1, 1, 1, padding_mode="reflect")),
        ("track_running_stats=False", lambda lib: lib.BatchNorm2d(1, track_running_stats=False)),
        ("momentum=None", lambda lib: lib.BatchNorm1d(1, momentum=None)),
        ("return_indices=True", lambda lib: lib.MaxPool2d(1, return_indices=True)),
        ("inplace=True", lambda lib: lib.Dropout(inplace=True)),
        ("inplace=True", lambda lib: lib.ReLU(inplace=True)),
        ("inplace=True", lambda lib: lib.LeakyReLU(inplace=True)),
    ],
)
def test_unsupported_options_of_pytorch(option, make):
    make(torch.nn)
    refuses(NotImplementedError, option, lambda: make(nn))


@pytest.mark.parametrize(
    ("error", "text", "make"),
    [
        (ValueError, "in_features: ", lambda: nn.Linear(0, 1)),
        (TypeError, "out_features: ", lambda: nn.Linear(1, 1.5)),
        (ValueError, "kernel_size: ", lambda: nn.Conv2d(1, 1, 0)),
        (ValueError, "kernel_size: ", lambda: nn.Conv2d(1, 1, (1, 2, 3))),
        (ValueError, "stride: ", lambda: nn.Conv2d(1, 1, 1, 0)),
        (ValueError, "padding: ", lambda: nn.Conv2d(1, 1, 1, padding=-1)),
        (ValueError, "padding: ", lambda: nn.Conv2d(1, 1, 1, padding="full")),
        (ValueError, "padding: ", lambda: nn.Conv2d(1, 1, 3, 2, padding="same")),
        (ValueError, "groups: ", lambda: nn.Conv2d(4, 6, 1, groups=4)),
        (ValueError, "num_features: ", lambda: nn.BatchNorm2d(0)),
        (ValueError, "eps: ", lambda: nn.BatchNorm2d(1, eps=-1)),
        (ValueError, "momentum: ", lambda: nn.BatchNorm2d(1, momentum=2)),
        (ValueError, "kernel_size: ", lambda: nn.MaxPool2d(0)),
        (ValueError, "stride: ", lambda: nn.AvgPool2d(2, 0)),
        (ValueError, "padding: ", lambda: nn.AvgPool2d(2, padding=-1)),
        (ValueError, "dilation: ", lambda: nn.MaxPool2d(2, dilation=0)),
        (ValueError, "p: ", lambda: nn.Dropout(1.5)),
        (TypeError, "negative_slope: ", lambda: nn.LeakyReLU("0.1")),
        (ValueError, "approximate: ", lambda: nn.GELU("erf")),
    ],
)
def test_bad_options(error, text, make):
    refuses(error, text, make)
