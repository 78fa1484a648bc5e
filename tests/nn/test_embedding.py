"""The embedding layer starts, prints and refuses as PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn
from tests.common import host, refuses


@pytest.mark.parametrize("options", [{}, {"padding_idx": 1}, {"padding_idx": -1}])
def test_as_pytorch(options):
    ours, theirs = nn.Embedding(200, 30, **options), torch.nn.Embedding(200, 30, **options)
    assert repr(ours) == repr(theirs)
    assert [*ours.state_dict()] == [*theirs.state_dict()]
    weight = host(ours.weight)
    assert abs(weight.std() - 1) < 0.05
    zero = [i for i, row in enumerate(weight) if not row.any()]
    assert zero == [i for i, row in enumerate(theirs.weight.detach().numpy()) if not row.any()]
    ours.load_state_dict(theirs.state_dict())
    index = np.array([[0, 199], [1, 7]])
    y, ty = ours(mg.tensor(index)), theirs(torch.tensor(index))
    np.testing.assert_array_equal(host(y), ty.detach().numpy())
    y.sum().backward()
    ty.sum().backward()
    np.testing.assert_array_equal(host(ours.weight.grad), theirs.weight.grad.numpy())


def test_bad_options():
    refuses(ValueError, "num_embeddings: ", lambda: nn.Embedding(0, 1))
    refuses(ValueError, "padding_idx: ", lambda: nn.Embedding(3, 1, 3))
    refuses(NotImplementedError, "max_norm=1.0", lambda: nn.Embedding(3, 1, max_norm=1.0))
