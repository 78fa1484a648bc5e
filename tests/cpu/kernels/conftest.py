"""These tests are of compiled kernels, whatever the environment says; without Numba they skip."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True, scope="module")
def _compiled(compiled: None) -> None:
    pass
