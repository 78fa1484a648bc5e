"""The report as a whole."""

from __future__ import annotations

import json
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from cifar.errors import UserError
from cifar.results import plots, report
from tests.cifar.fuzz import mutated, taken_or_refused
from tests.cifar.results.report.common import PIXEL, elements, known, run
from tests.common import refuses


def test_a_page(trained, no_pictures, tmp_path):
    out = tmp_path / "x.html"
    groups, path = report.run(report.Settings(str(trained), str(out)))
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
    _, path = report.run(report.Settings(str(trained)))
    assert path == trained / "report.html"
    images = [e.get("src") for e in elements(path.read_text("utf-8")) if e.tag == "img"]
    assert min(len(src) for src in images[:3]) > 10_000
    path.unlink()


@given(st.data())
def test_whatever_files_hold_is_reported_or_refused(tmp_path_factory, data):
    """metrics.jsonl, the metadata beside it and the JSON of collected runs, damaged at random."""
    record = known(3, "x", 0, 0).record.as_note()
    history = [metrics.as_dict() for metrics in run(3).history]
    folder = tmp_path_factory.mktemp("fuzz")
    both = data.draw(mutated({"record": record, "epochs": history}))
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
        for name in ("overlaid", "recalls", "class_counts"):
            patch.setattr(plots, name, lambda *given: given[2].write_bytes(PIXEL))
        taken_or_refused(act)
