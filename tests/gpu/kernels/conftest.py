"""Settings of the tests of CUDA kernels."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.emulated import kernels


@pytest.fixture(scope="module")
def on_cpu() -> Iterator[None]:
    """CUDA kernels run on NumPy arrays, and operations on NumPy arrays use them."""
    with kernels.as_gpu():
        yield
