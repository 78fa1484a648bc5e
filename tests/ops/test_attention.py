"""Attention: gradients by finite differences, queries that see nothing, and errors; values are in
tests/parity."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import minigrad as mg
from tests.common import compare, grid, host, refuses

F, T = mg.functional, torch.nn.functional
SEEN = np.array([[True, False, True], [True, True, True]])


@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"scale": 2.0}])
def test_gradients(device, options):
    arrays = [grid((2, 4, 3)), grid((2, 3, 3), 1), grid((2, 3, 5), 2)]
    functions = F.scaled_dot_product_attention, T.scaled_dot_product_attention
    compare(*functions, arrays, options, device=device)


@pytest.mark.parametrize("mask", [SEEN, grid((2, 3), 4)])
def test_gradients_with_a_mask(device, mask):
    arrays = [grid((2, 2, 4)), grid((2, 3, 4), 1), grid((2, 3, 5), 2), mask]
    functions = F.scaled_dot_product_attention, T.scaled_dot_product_attention
    compare(*functions, arrays, device=device, fixed=(3,))


def test_a_query_that_sees_nothing_gives_nothing(device):
    """Not NaN, and neither do gradients."""
    seen = SEEN.copy()
    seen[0] = False
    arrays = [grid((2, 4)), grid((3, 4), 1), grid((3, 5), 2)]
    for mask in (seen, np.where(seen, 0, -math.inf)):
        compare(
            *(F.scaled_dot_product_attention, T.scaled_dot_product_attention, [*arrays, mask]),
            device=device,
            fixed=(3,),
            numerical=False,
        )
    y = F.scaled_dot_product_attention(*map(mg.tensor, arrays), mg.tensor(seen))
    assert not host(y)[0].any()


def test_weights_are_dropped_and_scaled():
    x = mg.zeros(1, 40, 4)
    value = mg.ones(1, 40, 1)
    y = host(F.scaled_dot_product_attention(x, x, value, dropout_p=0.25))
    assert abs(y.mean() - 1) < 0.05
    assert y.std() > 0.02


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"attn_mask": SEEN, "is_causal": True}, ValueError, "attn_mask: expected none beside"),
        ({"attn_mask": np.ones((3, 2), bool)}, ValueError, "attn_mask: expected one that broadca"),
        ({"attn_mask": np.ones((2, 3), int)}, TypeError, "attn_mask: expected bool or float64"),
        ({"key": grid((3, 5))}, ValueError, "key: expected query's last size 4"),
        ({"value": grid((4, 5))}, ValueError, "key: expected query's last size 4 and value's len"),
        ({"query": grid((4,))}, ValueError, "query: expected shape (..., length, size)"),
        ({"dropout_p": 2.0}, ValueError, "dropout_p: "),
        ({"scale": "1"}, TypeError, "scale: "),
    ],
)
def test_errors(change, error, text):
    rightly = {"query": grid((2, 4)), "key": grid((3, 4)), "value": grid((3, 5))}

    def call(function, tensor):
        options = {
            name: tensor(value) if isinstance(value, np.ndarray) else value
            for name, value in (rightly | change).items()
        }
        return lambda: function(**options)

    ours = call(F.scaled_dot_product_attention, mg.tensor)
    refuses(error, text, ours, call(T.scaled_dot_product_attention, torch.tensor))


def test_options_that_are_lacking():
    x = mg.ones(2, 3)
    text = "enable_gqa=True is not supported"
    refuses(
        NotImplementedError,
        text,
        lambda: F.scaled_dot_product_attention(x, x, x, enable_gqa=True),
    )
