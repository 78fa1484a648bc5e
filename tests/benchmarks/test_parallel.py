"""The model of many ranks finds what the figures were made of, and is drawn again from the file."""

from __future__ import annotations

import json
import sys

import pytest

from benchmarks import parallel

LATENCY, BANDWIDTH = 5e-6, 4e9


@pytest.fixture
def fake(monkeypatch):
    """Ranks on which an image takes 10 ms, of which two that share a memory lose a tenth."""

    def on_ranks(ranks, launcher, model, average=False, batches=()):
        if model is None:
            return {str(n): 2 * LATENCY + n / BANDWIDTH for n in parallel.SIZES}
        each = 0.01 * (1.1 if ranks == 2 else 1) + (0.001 if average else 0)
        size = 4 * 10**6 if average else 0
        return {"bytes": size, "seconds": {str(b): [each * b] * 3 for b in batches}}

    monkeypatch.setattr(parallel, "on_ranks", on_ranks)


def run(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["parallel", *map(str, words)])
    parallel.main()


def test_from_the_command_to_the_plot(monkeypatch, fake, tmp_path, capsys):
    out, first, again = (tmp_path / name for name in ("x.json", "x.png", "y.png"))
    run(monkeypatch, "--out", out, "--plot", first, "--launcher", "some program")
    found = json.loads(out.read_text())
    assert "some program" not in found["machine"]["command"]
    link = found["links"]["this machine's memory"]
    assert link["latency"] == pytest.approx(LATENCY, rel=1e-3)
    assert link["bandwidth"] == pytest.approx(BANDWIDTH, rel=1e-3)
    for one in found["models"].values():
        assert one["efficiency"]["two ranks"] == pytest.approx(0.01 / 0.012)
        assert one["efficiency"]["of the averaging alone"] == pytest.approx(0.011 / 0.012)
    assert "83.3%" in capsys.readouterr().out
    run(monkeypatch, "--redraw", out, "--plot", again)
    assert first.read_bytes() == again.read_bytes()
    assert first.read_bytes().startswith(b"\x89PNG")


def test_the_model():
    step, link = {"2": 0.02, "16": 0.16}, {"latency": LATENCY, "bandwidth": BANDWIDTH}
    assert parallel.computing(8, step) == pytest.approx(0.08)
    assert parallel.computing(32, step) == pytest.approx(0.32)
    assert parallel.sum_seconds(1, 1e9, link) == 0
    assert parallel.sum_seconds(4, 4e9, link) == pytest.approx(4 * LATENCY + 1.5)
    alone, two = (parallel.step_seconds(p, 8, 4000, step, link, 0, 0.0) for p in (1, 2))
    assert alone == pytest.approx(0.08)
    assert two - alone == pytest.approx(2 * LATENCY + 1e-6)  # the last bucket is waited for
    norms = parallel.step_seconds(2, 8, 4000, step, link, 10, 0.0)
    assert norms - two == pytest.approx(40 * LATENCY)
