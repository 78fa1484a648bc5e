"""Cross-entropy of many classes, beside the formula in float64."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from tests.common import leaf

pytest.importorskip("numba")


@pytest.mark.parametrize("layout", ["C", "batch innermost"])
def test_of_many_and_large_numbers(layout):
    """More than are added in one run: the sum is not rounded to their dtype, none overflows."""
    draw = np.random.default_rng(0)
    x, weight = draw.normal(1000, 2, (3, 5000)), draw.random(5000)
    x = x.astype(np.float32).astype(np.float64)
    index, share = np.array([7, 4999, 0]), 0.1
    t = np.full(x.shape, share / x.shape[1]) + (1 - share) * np.eye(x.shape[1])[index]
    t *= weight
    z = x - x.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    ours = leaf(x.astype(np.float32), layout=layout)
    w = mg.Tensor(weight.astype(np.float32))
    loss = mg.functional.cross_entropy(
        ours, mg.tensor(index), w, label_smoothing=share, reduction="none"
    )
    np.testing.assert_allclose(loss.detach().numpy(), -(t * log_p).sum(axis=1), rtol=5e-7)
    loss.sum().backward()
    slopes = np.exp(log_p) * t.sum(axis=1, keepdims=True) - t
    np.testing.assert_allclose(ours.grad.numpy(), slopes, rtol=2e-6, atol=2e-7)
