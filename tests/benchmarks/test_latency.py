"""The latency benchmark runs each contestant on the same work and reports what it measured."""

from __future__ import annotations

import json
import sys

import pytest

from benchmarks import contest, latency


@pytest.mark.parametrize("contestant", latency.CONTESTANTS)
def test_a_contestant(contestant):
    found = latency.measure(contestant, 1, "four-block", batches=[1, 2], passes=3)
    assert {batch: len(times) for batch, times in found.items()} == {"1": 3, "2": 3}
    assert min(map(min, found.values())) > 0


def test_compare_takes_medians_and_like_with_like(monkeypatch):
    seconds = dict.fromkeys(latency.CONTESTANTS, 0.008)
    seconds |= {"minigrad": 0.004, "minigrad fused": 0.002}
    seconds |= {"torch nchw": 0.003, "torch channels_last fused": 0.001}
    order = []

    def child(benchmark, contestant, batches, **_):
        order.append(contestant)
        return {str(batch): [seconds[contestant] * batch] * 2 + [9.0] for batch in batches}

    monkeypatch.setattr(contest, "in_child", child)
    one, eight = latency.compare("simple", [1, 8], threads=1, passes=3, rounds=2)
    assert order == [*latency.CONTESTANTS] * 2  # in turn
    assert (one["batch"], eight["batch"]) == (1, 8)
    assert one["results"]["minigrad"]["median_ms"] == pytest.approx(4)
    assert one["results"]["minigrad"]["p95_ms"] == pytest.approx(9000)
    assert eight["results"]["minigrad fused"]["median_by_round"] == pytest.approx([16, 16])
    assert one["ratio"] == pytest.approx(0.75)
    assert one["ratio_fused"] == pytest.approx(0.5)


def test_the_command_line_writes_json(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(contest, "in_child", lambda *_, **__: {"1": [0.5, 0.5]})
    out = tmp_path / "x.json"
    line = ["latency", "--model", "simple", "gated", "--batch", "1", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", line)
    latency.main()
    written = json.loads(out.read_text())
    assert [row["model"] for row in written["results"]] == ["simple", "gated"]
    assert {"cpu", "cores", "torch", "commit", "command"} <= set(written["machine"])
    assert written["passes"] == 50
    assert capsys.readouterr().out.count("both fused: 1.00") == 2
