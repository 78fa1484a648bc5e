"""Workers are killed: a few here, a hundred by ``python -m benchmarks.search_faults``."""

from __future__ import annotations

import pytest

from benchmarks.search_faults import Bench
from tests.cifar.search import postgres


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return Bench(tmp_path_factory.mktemp("faults"), trials=3, epochs=3, images=100)


def test_nothing_is_lost_with_a_journal(bench):
    found = bench.disturbed(kills=5, seed=0)
    assert found["lost"] == []
    assert found["kills"] > 0


@pytest.mark.skipif(postgres.programs() is None, reason="PostgreSQL is not installed")
def test_nothing_is_lost_with_postgresql(bench):
    """Two workers share a study in a real database, and one of them is killed."""
    with postgres.server() as url:
        found = bench.disturbed(kills=1, seed=1, url=url)
    assert (found["lost"], found["kills"]) == ([], 1)
