"""Settings of the tests of CUDA kernels."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from minigrad.gpu import launch as cuda
from tests.gpu.kernels import shim


@pytest.fixture(scope="module")
def on_cpu() -> Iterator[None]:
    """CUDA kernels run on NumPy arrays, and operations on NumPy arrays use them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cuda, "_launch", shim.launch)
        patch.setattr(cuda, "usable", shim.usable)
        yield
