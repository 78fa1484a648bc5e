"""The benchmark of tiny operations runs each contestant on the same work."""

from __future__ import annotations

import json
import sys

import pytest

from benchmarks import contest, tiny


@pytest.mark.parametrize("contestant", tiny.CONTESTANTS)
def test_a_contestant(contestant, monkeypatch):
    monkeypatch.setattr(tiny, "CALLS", 2)
    found = tiny.measure(contestant, 1, list(tiny.ROWS), seconds=1e-6)
    assert list(found) == list(tiny.ROWS)
    assert min(found.values()) > 0


@pytest.mark.parametrize("row", ["matmul, backward", "linear, backward"])
def test_both_compute_gradients_of_the_same_leaves(row):
    for contestant in tiny.CONTESTANTS:
        call = tiny.work(contest.engine(contestant, 1), row)
        cells = dict(zip(call.__code__.co_freevars, call.__closure__, strict=True))
        run = cells["run"].cell_contents
        leaves = [cell.cell_contents for cell in run.__closure__]
        call()
        assert all(x.grad is not None for x in leaves if hasattr(x, "requires_grad"))


def test_the_command_line_takes_the_least(monkeypatch, tmp_path, capsys):
    turns = iter([3.0, 4.0, 2.0, 8.0])  # ours, theirs, ours, theirs

    def child(benchmark, contestant, rows, **_):
        return dict.fromkeys(rows, next(turns))

    monkeypatch.setattr(contest, "in_child", child)
    out = tmp_path / "x.json"
    monkeypatch.setattr(sys, "argv", ["tiny", "--out", str(out)])
    tiny.main()
    rows = json.loads(out.read_text())["results"]
    assert [row["row"] for row in rows] == list(tiny.ROWS)
    assert {(row["minigrad"], row["torch"], row["ratio"]) for row in rows} == {(2.0, 4.0, 2.0)}
    assert capsys.readouterr().out.count("2.00") == len(rows)
