"""A Parameter is a Tensor that requires gradients unless told otherwise."""

from __future__ import annotations

import copy

import minigrad as mg
from minigrad import nn


def test_parameter():
    p, frozen = nn.Parameter(mg.ones(2)), nn.Parameter([1.0], requires_grad=False)
    assert isinstance(p, mg.Tensor)
    assert (p.requires_grad, frozen.requires_grad) == (True, False)
    (p * 2).sum().backward()
    assert p.grad.numpy().tolist() == [2, 2]
    assert type(p * 2) is mg.Tensor
    assert type(copy.deepcopy(p)) is nn.Parameter
    assert copy.deepcopy(p).grad is None
