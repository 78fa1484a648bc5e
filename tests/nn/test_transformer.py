"""Encoder layers compute, are saved and refuse as PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn
from tests.common import TOLERANCE, assert_same, grid, host, leaf, refuses

E, L, N = 6, 4, 3
OPTIONS = {
    "plain": {},
    "norm first": {"norm_first": True, "activation": "gelu"},
    "no bias": {"bias": False, "layer_norm_eps": 0.1},
    "batch second": {"batch_first": False},
}


def twins(**options):
    options = {"dropout": 0.0, "batch_first": True} | options
    found = []
    for lib in (nn, torch.nn):
        layer = lib.TransformerEncoderLayer(E, 2, 10, **options)
        found.append(lib.TransformerEncoder(layer, 2, lib.LayerNorm(E), False))
    ours, theirs = found
    assert [*ours.state_dict()] == [*theirs.state_dict()]
    for i, p in enumerate(theirs.parameters()):
        p.data.copy_(torch.tensor(grid(p.shape, seed=i)))
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


MASKS = {
    "none": {},
    "causal": {"mask": ~np.tri(L, dtype=bool), "is_causal": True},
    "padded": {"src_key_padding_mask": np.arange(L) >= np.array([[4], [2], [3]])},
}


@pytest.mark.parametrize("masks", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_as_pytorch(options, masks):
    ours, theirs = twins(**options)
    shape = (N, L, E) if options.get("batch_first", True) else (L, N, E)
    x = grid(shape).astype(np.float32)
    mx, tx = leaf(x), torch.tensor(x, requires_grad=True)

    def given(tensor):
        return {k: tensor(v) if isinstance(v, np.ndarray) else v for k, v in masks.items()}

    y, ty = ours(mx, **given(mg.tensor)), theirs(tx, **given(torch.tensor))
    assert_same(y, ty, TOLERANCE[np.float32])
    g = grid(shape, 1).astype(np.float32)
    y.backward(mg.tensor(g))
    ty.backward(torch.tensor(g))
    loose = {"rtol": 2e-3, "atol": 2e-4}  # two layers of 17 operations in float32
    for p, tp in zip((mx, *ours.parameters()), (tx, *theirs.parameters()), strict=True):
        assert_same(p.grad, tp.grad, loose)


def test_copies_are_independent():
    layer = nn.TransformerEncoderLayer(E, 2, 10)
    encoder = nn.TransformerEncoder(layer, 2)
    first, second = encoder.layers
    np.testing.assert_array_equal(host(first.linear1.weight), host(second.linear1.weight))
    assert first.linear1.weight is not second.linear1.weight
    x = mg.ones(L, N, E)
    assert not np.array_equal(host(encoder(x)), host(encoder(x)))  # dropout
    assert np.array_equal(host(encoder.eval()(x)), host(encoder(x)))


@pytest.mark.parametrize(
    ("error", "text", "make"),
    [
        (ValueError, "nhead: ", lambda: nn.TransformerEncoderLayer(6, 4)),
        (ValueError, "activation: ", lambda: nn.TransformerEncoderLayer(6, 2, activation="tanh")),
        (TypeError, "encoder_layer: ", lambda: nn.TransformerEncoder(6, 2)),
        (TypeError, "norm: ", lambda: nn.TransformerEncoder(nn.ReLU(), 2, 1)),
    ],
)
def test_mistakes(error, text, make):
    refuses(error, text, make)
