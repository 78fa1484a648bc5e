"""Settings of the tests of optimisers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import minigrad as mg


@pytest.fixture(params=["definition", "numpy", "auto"], scope="module")
def each_implementation(request: pytest.FixtureRequest) -> Iterator[None]:
    """Definitions, blocks of NumPy and compiled kernels in turn."""
    if request.param == "auto":
        pytest.importorskip("numba")
    before = mg.get_implementation()
    mg.set_implementation(request.param)
    yield
    mg.set_implementation(before)
