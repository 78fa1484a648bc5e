"""What the tests of layers share: the same layer in both libraries, and one comparison of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

import minigrad as mg
from minigrad import nn
from tests.common import LAYOUTS, TOLERANCE, assert_same, grid, leaf


class Case(NamedTuple):
    """A layer, the arguments of its constructor, and the shape of its input."""

    name: str
    args: tuple[Any, ...]
    options: dict[str, Any]
    shape: tuple[int, ...]

    def __str__(self) -> str:
        given = [*map(str, self.args), *(f"{k}={v}" for k, v in self.options.items())]
        return f"{self.name}({', '.join(given)})"

    def make(self, dtype: Any = np.float32) -> tuple[Any, Any]:
        """The layer in both libraries with the same parameters and statistics."""
        theirs = getattr(torch.nn, self.name)(*self.args, **self.options)
        theirs.to(getattr(torch, np.dtype(dtype).name))
        ours = getattr(nn, self.name)(*self.args, **self.options).to(dtype)
        for i, t in enumerate([*theirs.parameters(), *theirs.buffers()]):
            if t.is_floating_point():
                t.data.copy_(torch.tensor(grid(t.shape, seed=i, low=0.2)))
        assert [*ours.state_dict()] == [*theirs.state_dict()]
        ours.load_state_dict(theirs.state_dict())
        return ours, theirs


def check_layer(case: Case) -> None:
    """The layer prints, computes and differentiates as PyTorch's, in both modes and dtypes."""
    for training in (True, False):
        for dtype, tolerance in TOLERANCE.items():
            for layout in LAYOUTS[:3]:
                ours, theirs = case.make(dtype)
                assert repr(ours) == repr(theirs)
                ours.train(training)
                theirs.train(training)
                x = grid(case.shape, seed=5).astype(dtype)
                mx, tx = leaf(x, layout=layout), torch.tensor(x, requires_grad=True)
                y, ty = ours(mx), theirs(tx.clone())  # whose in-place layers refuse a leaf
                assert_same(y, ty, tolerance)
                g = grid(y.shape, seed=6).astype(dtype)
                y.backward(mg.Tensor(g))
                ty.backward(torch.tensor(g))
                assert_same(mx.grad, tx.grad, tolerance)
                for p, tp in zip(ours.parameters(), theirs.parameters(), strict=True):
                    assert_same(p.grad, tp.grad, tolerance)
                for b, tb in zip(ours.buffers(), theirs.buffers(), strict=True):
                    assert_same(b, tb, tolerance)
