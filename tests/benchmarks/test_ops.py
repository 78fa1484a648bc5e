"""The table of benchmarks.ops is complete, and its calls are the same work in both libraries."""

from __future__ import annotations

import json
import sys

import pytest

from benchmarks import contest
from benchmarks.ops import __main__ as command
from benchmarks.ops import child, report
from benchmarks.ops.case import VARIANTS
from benchmarks.ops.table import FAMILIES, chosen, untimed
from cifar import environment

CASES = [case for cases in FAMILIES.values() for case in cases]
TIMED = {name for case in CASES for name in case.names}
PEAKS = {"gflops": 100.0, "gb_per_second": 10.0}
SMALL, TRANSPOSED = VARIANTS[0], VARIANTS[0]._replace(layout="transposed", dtype="float64")


def test_every_public_name_is_timed_or_has_a_reason():
    missing = {name for name in untimed.public() - TIMED if not untimed.reason(name, TIMED)}
    assert not missing
    listed = {name for names in untimed.NO_TIME.values() for name in names.split()}
    listed |= set(untimed.SAME)
    assert not listed - untimed.public()
    assert not listed & TIMED


def test_labels_are_unique():
    for cases in FAMILIES.values():
        labels = [case.label for case in cases]
        assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("family", FAMILIES)
def test_both_libraries_do_the_same(family, monkeypatch):
    """The parts of a case and the bytes that they move are the same; every part runs again."""
    monkeypatch.setattr(contest, "times", lambda function, *_: (function(), [1.0])[1])
    names = ("minigrad", "torch nchw keeping")
    engines = [contest.engine(name, 1) for name in names]
    for case in FAMILIES[family][:: 1 if len(FAMILIES[family]) < 9 else 5]:
        first, second = (child.measured(engine, case, SMALL, 0) for engine in engines)
        assert first.keys() == second.keys(), case.label
        if not case.step:
            assert first == second, case.label


def test_a_transposed_operand(monkeypatch):
    (case,) = (c for c in FAMILIES["arithmetic"] if c.label == "add, a row")
    x, row = (o.draw((4, 6), TRANSPOSED, False) for o in case.operands)
    assert (x.shape, x.strides, row.shape) == ((4, 6), (8, 32), (6,))
    last = contest.engine("torch channels_last keeping", 1)
    assert child.measured(last, case, SMALL, 0) == {}  # NCHW's times serve
    image = chosen("activation", ["relu"])[0].operands[0].draw((2, 3, 4, 5), SMALL, True)
    assert image.strides[1] == image.itemsize


def row(case: str, ratio: float, **more: object) -> report.Row:
    variant = {"size": "small", "dtype": "float32", "layout": "contiguous", "part": "forward"}
    return {"family": "reduce", "case": case, "ratio": ratio, **variant, **more}


def test_summary():
    rows = [row("sum", 0.5), row("mean", 2.0), row("mean", 8.0, size="large")]
    rows += [row("mean", 8.0, size="usual")]
    found = report.summary(rows)["reduce"]
    assert (found["ratio"], found["small"], found["slow"]) == (2.828, 1.0, 1)


def test_the_command_line(monkeypatch, tmp_path, capsys):
    asked = []

    def one(benchmark, contestant, **work):
        asked.append((benchmark, contestant, work["family"], work["only"]))
        part = {"ms": 2.0 if contestant == "minigrad" else 3.0, "bytes": 10**6}
        skipped = "channels_last" in contestant
        found = [[{} if skipped else {"forward": part} for _ in VARIANTS]]
        return found * len(chosen(work["family"], work["only"]))

    monkeypatch.setattr(environment, "peaks", lambda _: PEAKS)
    monkeypatch.setattr(contest, "in_child", one)
    out, plot = tmp_path / "x.json", tmp_path / "x.png"
    words = f"--name sort --name mse_loss --rounds 1 --out {out} --plot {plot}"
    monkeypatch.setattr(sys, "argv", ["ops", *words.split()])
    command.main()
    written = json.loads(out.read_text())
    assert set(written["families"]) == {"scan and sort", "loss"} == {a[2] for a in asked}
    assert {row["ratio"] for row in written["results"]} == {1.5}
    assert {row["of_peak"] for row in written["results"]} == {0.05}
    assert "sort, dim 0" in capsys.readouterr().out
    size = plot.stat().st_size
    monkeypatch.setattr(sys, "argv", ["ops", "--redraw", str(out), "--plot", str(plot)])
    command.main()
    assert plot.stat().st_size == size > 10_000
    monkeypatch.setattr(sys, "argv", ["ops", "--family", "loss", "--name", "sort"])
    with pytest.raises(SystemExit):
        command.main()
    assert "no case of loss is of sort" in capsys.readouterr().err
