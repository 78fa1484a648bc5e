"""The benchmark of the explorer times a plain step and an explored one in turn."""

from __future__ import annotations

from benchmarks import explore


def test_figures_are_of_both_steps(monkeypatch):
    taken = iter([2.0, 3.0, 4.0, 5.0, 2.0, 4.0])  # plain, explored, plain, ...

    def seconds(run):
        run()
        return next(taken)

    monkeypatch.setattr(explore, "seconds", seconds)
    found, page = explore.measure("four-block", batch=2, rounds=3)
    assert (found["step_s"], found["explored_s"], found["ratio"]) == (2, 4, 2)
    assert found["page_bytes"] == len(page.encode())
    assert "max_pool2d" in page
