"""MultiheadAttention starts, is saved and refuses as PyTorch's; values are in tests/parity, but for
what these do not draw."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn
from tests.common import TOLERANCE, assert_same, grid, host, leaf, refuses

SIZES = {"plain": {}, "no bias": {"bias": False}, "other sizes": {"kdim": 3, "vdim": 5}}
N, L, S, E = 2, 3, 4, 6
HEADS, ONES = nn.MultiheadAttention, mg.tensor(np.ones((3, 3), np.int64))


def twins(**options):
    theirs = torch.nn.MultiheadAttention(E, 2, batch_first=True, **options)
    ours = nn.MultiheadAttention(E, 2, batch_first=True, **options)
    assert [*ours.state_dict()] == [*theirs.state_dict()]
    for i, p in enumerate(theirs.parameters()):
        p.data.copy_(torch.tensor(grid(p.shape, seed=i)))
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("options", SIZES.values(), ids=SIZES)
def test_cross_attention_as_pytorchs(options, training):
    ours, theirs = (m.train(training) for m in twins(**options))
    shapes = ((N, L, E), (N, S, options.get("kdim", E)), (N, S, options.get("vdim", E)))
    arrays = [grid(shape, i).astype(np.float32) for i, shape in enumerate(shapes)]
    xs, txs = [leaf(a) for a in arrays], [torch.tensor(a, requires_grad=True) for a in arrays]
    y, weights = ours(*xs)
    ty, theirs_weights = theirs(*txs)
    assert_same(y, ty, TOLERANCE[np.float32])
    assert_same(weights, theirs_weights, TOLERANCE[np.float32])
    (y.sum() + (weights * weights).sum()).backward()
    (ty.sum() + (theirs_weights * theirs_weights).sum()).backward()
    for x, tx in zip((*xs, *ours.parameters()), (*txs, *theirs.parameters()), strict=True):
        assert_same(x.grad, tx.grad, TOLERANCE[np.float32])


def test_a_query_that_sees_nothing():
    """With weights NaN, without them nothing, as in PyTorch."""
    ours, theirs = twins(bias=False)
    x, hidden = grid((N, L, E)).astype(np.float32), np.zeros((N, L), bool)
    hidden[0] = True
    for need in (True, False):
        found, _ = ours(*[mg.tensor(x)] * 3, mg.tensor(hidden), need)
        expected, _ = theirs(*[torch.tensor(x)] * 3, torch.tensor(hidden), need)
        assert_same(found, expected, TOLERANCE[np.float32])
        assert np.isnan(host(found)[0]).all() == need


def test_causal():
    ours, theirs = twins()
    x, mask = grid((N, L, E)).astype(np.float32), ~np.tri(L, dtype=bool)
    options = {"need_weights": False, "is_causal": True}
    found, none = ours(*[mg.tensor(x)] * 3, attn_mask=mg.tensor(mask), **options)
    expected, _ = theirs(*[torch.tensor(x)] * 3, attn_mask=torch.tensor(mask), **options)
    assert none is None
    assert_same(found, expected, TOLERANCE[np.float32])


def test_dropout_in_training_only():
    layer = nn.MultiheadAttention(8, 2, dropout=0.5, batch_first=True)
    x = mg.randn(2, 20, 8)
    _, weights = layer(x, x, x, average_attn_weights=False)
    assert abs((host(weights) == 0).mean() - 0.5) < 0.1
    _, weights = layer.eval()(x, x, x)
    np.testing.assert_allclose(host(weights).sum(-1), 1, rtol=1e-5)


def test_it_starts_as_pytorchs():
    ours = nn.MultiheadAttention(32, 4)
    bounds = {"in_proj_weight": math.sqrt(6 / 128), "out_proj.weight": 1 / math.sqrt(32)}
    for name, value in ours.state_dict().items():
        largest = abs(value.numpy()).max()
        bound = bounds.get(name, 0)
        assert 0.9 * bound <= largest <= bound, name


@pytest.mark.parametrize(
    ("error", "text", "call"),
    [
        (ValueError, "num_heads: expected a divisor of 6", lambda m, x: HEADS(6, 4)),
        (NotImplementedError, "add_bias_kv=True", lambda m, x: HEADS(6, 2, add_bias_kv=True)),
        (ValueError, "query: expected three dim", lambda m, x: m(x[..., :5], x, x)),
        (ValueError, "key: expected", lambda m, x: m(x, x[0], x)),
        (ValueError, "key: expected query's batch", lambda m, x: m(x, x[:1], x)),
        (ValueError, "attn_mask: expected one", lambda m, x: m(x, x, x, is_causal=True)),
        (ValueError, "attn_mask: expected shape", lambda m, x: m(x, x, x, attn_mask=mg.ones(2, 2))),
        (
            ValueError,
            "key_padding_mask: expected shape (2, 3)",
            lambda m, x: m(x, x, x, mg.ones(3)),
        ),
        (TypeError, "attn_mask: expected bool or", lambda m, x: m(x, x, x, attn_mask=ONES)),
    ],
)
def test_mistakes(error, text, call):
    layer, x = nn.MultiheadAttention(E, 2, batch_first=True), mg.ones(N, L, E)
    refuses(error, text, lambda: call(layer, x))
