"""Rows of a table: repeated rows add up, padding takes no gradient; values are in tests/parity."""

from __future__ import annotations

import numpy as np
import torch

import minigrad as mg
from tests.common import compare, grid, leaf, refuses

F, T = mg.functional, torch.nn.functional


def test_gradients(device):
    index = np.array([[0, 3, 3], [1, 3, 0]])
    for padding in (None, 3, -1):
        compare(
            *(F.embedding, T.embedding, [index, grid((4, 5))], {"padding_idx": padding}),
            device=device,
            numerical=padding is None,  # the row does have an effect
        )


def test_many_rows_add_up_in_float64():
    weight = leaf(np.zeros((2, 1), np.float32))
    F.embedding(mg.tensor(np.zeros(2**20, np.int64)), weight).backward(
        mg.tensor(np.full((2**20, 1), 0.1, np.float32))
    )
    np.testing.assert_allclose(weight.grad.numpy(), [[2**20 * 0.1], [0]], rtol=1e-6)


def test_errors(device):
    weight = mg.ones(4, 3, device=device)

    def pick(numbers, **options):
        index = mg.tensor(numbers, device=device)
        return lambda: F.embedding(index, weight, **options).cpu()

    for error, text, call in (
        (IndexError, "expected rows from 0 to 3, got 4", pick([0, 4])),
        (IndexError, "expected rows from 0 to 3, got -1", pick([-1])),
    ):
        refuses(error, text if device == "cpu" else "out of bounds", call)
    for error, text, call in (
        (TypeError, "input: expected int32 or int64, got float32", pick([1.0])),
        (ValueError, "padding_idx: ", pick([1], padding_idx=4)),
        (NotImplementedError, "sparse=True", pick([1], sparse=True)),
        (ValueError, "weight: expected shape (R, D)", lambda: F.embedding(weight, mg.ones(3))),
    ):
        refuses(error, text, call)
