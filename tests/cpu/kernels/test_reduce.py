"""Sums of runs, of which the last may be shorter."""

from __future__ import annotations

import numpy as np
import pytest

kernels = pytest.importorskip("minigrad.cpu.kernels.reduce")


def test_sums():
    x = np.random.default_rng(0).random(5000, np.float32)
    sums, squares, centres = np.empty(3), np.empty(3), np.array([0, 0.5, 2])
    for part in ((0, 2), (2, 3)):
        kernels.sums(sums, x, 2000, part == (2, 3), *part)
        kernels.squares(squares, x, centres, 2000, *part)
    runs = np.split(x.astype(np.float64), (2000, 4000))
    np.testing.assert_allclose(sums, [run.sum() for run in runs], 1e-6)
    expected = [((run - c) ** 2).sum() for run, c in zip(runs, centres, strict=True)]
    np.testing.assert_allclose(squares, expected, 1e-12)
