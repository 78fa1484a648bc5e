"""The report as a whole."""

from __future__ import annotations

import json
import shutil
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from cifar.errors import UserError
from cifar.results import evaluate, plots, report
from tests.cifar import tiny
from tests.cifar.fuzz import mutated, taken_or_refused
from tests.cifar.results.report.common import PIXEL, elements, known, run
from tests.common import refuses


def test_a_page(trained, no_pictures, tmp_path):
    out = tmp_path / "x.html"
    groups, path = report.run(report.Settings(str(trained), str(out), evaluate=False))
    assert path == out
    found = elements(out.read_text("utf-8"))
    tables = [e for e in found if e.tag == "table"]
    cells = [[c.text for c in row] for row in tables[0].iter("tr")]
    assert cells[0] == list(report.HEADER)
    assert len(cells) == 1 + len(report.rows(groups))
    for e in found:
        for name, value in e.items():
            assert name not in ("href", "action") or value.startswith("#")
            assert name != "src" or value.startswith("data:image/png;base64,")
            assert not name.startswith("on")
    assert not {"script", "link", "iframe", "object"} & {e.tag for e in found}
    assert "url(" not in out.read_text("utf-8")
    assert "@import" not in out.read_text("utf-8")
    # All runs, recalls, each group, and the picture that training left.
    assert len([e for e in found if e.tag == "img"]) == 1 + 1 + 2 + 1
    assert no_pictures[0][0] == [groups[0].label] + 2 * [groups[1].label]
    assert no_pictures[2][0] == ["seed 0", "seed 1"]
    assert any(e.tag == "meta" and e.get("name") == "viewport" for e in found)
    words = " ".join("".join(e.itertext()) for e in found if e.tag == "pre")
    assert "cifar train tiny --seed 1" in words
    mean = statistics.mean(groups[1].values("test_accuracy"))
    assert f"{100 * mean:.2f} %" in [c.text for c in tables[3].iter("td")]


def test_pages_that_cannot_be_written(trained, no_pictures, tmp_path):
    asked = report.Settings(str(trained), str(tmp_path / "nowhere" / "x.html"))
    refuses(UserError, "out: cannot write", lambda: report.run(asked))


def test_the_usual_place_and_real_pictures(trained):
    _, path = report.run(report.Settings(str(trained), evaluate=False))
    assert path == trained / "report.html"
    images = [e.get("src") for e in elements(path.read_text("utf-8")) if e.tag == "img"]
    assert min(len(src) for src in images[:3]) > 10_000
    path.unlink()


def test_runs_are_evaluated_once(trained, no_pictures, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "b"
    shutil.copytree(trained / "b", folder)
    asked = report.Settings(str(tmp_path), progress=False)
    assert report.run(asked)[0][0].runs[0].confusion == []  # no model of that name
    assert f"note: {folder} is shown as training left it: " in capsys.readouterr().err
    tiny.install(monkeypatch.setattr)
    (one,), path = report.run(asked)
    (run,) = one.runs
    right = sum(row[i] for i, row in enumerate(run.confusion))
    assert right / tiny.TEST == pytest.approx(run.final["test_accuracy"])
    assert (folder / "evaluation-last-test" / "mistakes.png").is_file()
    captions = [e.text for e in elements(path.read_text("utf-8")) if e.tag == "figcaption"]
    for start in ("Loss", "Test images by true class", "The mistakes", "The first test images"):
        assert any(text.startswith(start) for text in captions)
    monkeypatch.setattr(evaluate, "write", None)
    report.run(asked)  # not again
    assert capsys.readouterr().err == ""
    weights, note = mg.checkpoint.read(folder / "last.safetensors")
    note["metrics"]["epoch"] += 1
    mg.save(weights, folder / "last.safetensors", note)
    (later,) = report.find(folder)
    assert later.confusion == []  # of an epoch that is no longer the last


def test_nothing_is_written_where_a_link_leads(trained, no_pictures, tmp_path, monkeypatch):
    shutil.copytree(trained / "b", tmp_path / "runs" / "b")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "runs" / "b" / "evaluation-last-test").symlink_to(tmp_path / "elsewhere")
    tiny.install(monkeypatch.setattr)
    report.run(report.Settings(str(tmp_path / "runs"), progress=False))
    assert list((tmp_path / "elsewhere").iterdir()) == []


@given(st.data())
def test_whatever_files_hold_is_reported_or_refused(tmp_path_factory, data):
    """metrics.jsonl, the metadata beside it and the JSON of collected runs, damaged at random."""
    record = known(3, "x", 0, 0).record.as_note()
    history = [metrics.as_dict() for metrics in run(3).history]
    folder = tmp_path_factory.mktemp("fuzz")
    confusion = [[1, 2], [3, 4]]
    both = data.draw(mutated({"record": record, "epochs": history, "confusion": confusion}))
    if data.draw(st.booleans()):
        (folder / "runs.json").write_text(json.dumps(data.draw(mutated({"runs": [both]}))))
    both = both if isinstance(both, dict) else {}
    lines = both.get("epochs", [])
    text = "\n".join(json.dumps(line) for line in (lines if isinstance(lines, list) else [lines]))
    junk = data.draw(st.just(b"") | st.binary(max_size=9))
    (folder / "metrics.jsonl").write_bytes(text.encode() + junk)
    mg.save({"a": mg.zeros(1)}, folder / "last.safetensors", both.get("record"))

    def act():
        groups = report.group(report.find(folder))
        report.rows(groups)
        elements(report.page(groups, ""))

    with pytest.MonkeyPatch.context() as patch:
        for name in ("overlaid", "recalls", "class_counts", "confusion"):
            place = 3 if name == "confusion" else 2
            patch.setattr(plots, name, lambda *given, at=place: given[at].write_bytes(PIXEL))
        taken_or_refused(act)
