"""Waiting for a number to change."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

spin = pytest.importorskip("minigrad.cpu.kernels.spin")


def test_wait():
    numbers = np.zeros(2, np.int64)
    at = numbers.ctypes.data
    assert not spin.wait(at, 0, 10, 0, at + 8)
    assert numbers.tolist() == [0, 1]
    assert spin.wait(at, 1, 0, 5, 0)
    with ThreadPoolExecutor(1) as thread:
        found = thread.submit(spin.wait, at, 0, 1 << 40, 0, at + 8)
        while numbers[1] == 1:
            pass
        numbers[0] = 7
        assert found.result(timeout=10)
