"""Vectors of length 1: gradients by finite differences; values are in tests/parity."""

from __future__ import annotations

import math

import pytest
import torch

import minigrad as mg
from tests.common import compare, grid

F, T = mg.functional, torch.nn.functional


@pytest.mark.parametrize("p", [1.0, 2.0, 3.5, math.inf])
@pytest.mark.parametrize("dim", [1, (0, 2)])
def test_gradients(device, p, dim):
    compare(F.normalize, T.normalize, [grid((3, 4, 2))], {"p": p, "dim": dim}, device=device)


def test_short_vectors_are_divided_by_eps(device):
    compare(F.normalize, T.normalize, [grid((3, 4)) / 10], {"eps": 2.0}, device=device)
