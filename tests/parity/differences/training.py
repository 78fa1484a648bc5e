"""Optimisers, schedules and data loaders."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import minigrad as mg
from tests.parity.differences import row


@row("muon")
def muon() -> None:
    def update(library: Any, size: tuple[int, ...]) -> np.ndarray:
        p = library.zeros(*size, requires_grad=True)
        p.grad = library.tensor(np.arange(1.0, 1 + np.prod(size), dtype="float32").reshape(size))
        library.optim.Muon([p], lr=1.0, weight_decay=0).step()
        return np.array(p.detach().numpy())

    ours, theirs = update(mg, (2, 9)), update(torch, (2, 9))
    assert not np.array_equal(ours, theirs)
    np.testing.assert_allclose(ours, theirs, atol=0.02)
    np.testing.assert_array_equal(update(mg, (2, 1, 3, 3)).reshape(2, 9), ours)
    with np.testing.assert_raises_regex(ValueError, "2D parameters"):
        update(torch, (2, 1, 3, 3))
