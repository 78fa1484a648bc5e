"""The number of threads, for tests that set it."""

from __future__ import annotations

import pytest

import minigrad as mg


@pytest.fixture(params=[1, 2, 3])
def number(request):
    """Run with this many threads, and as before afterwards."""
    before = mg.get_num_threads()
    mg.set_num_threads(request.param)
    yield request.param
    mg.set_num_threads(before)
