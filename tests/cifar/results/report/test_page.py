"""The page escapes all, and shows what belongs to its runs."""

from __future__ import annotations

import dataclasses
import os
import shutil

import pytest

from cifar.results import plots, report
from cifar.results.metrics import EpochMetrics
from cifar.results.report import words
from tests.cifar.results.report.common import CLASSES, PIXEL, cells, elements, headings, known, run


def test_only_pictures_of_the_run_are_shown(trained, no_pictures, tmp_path, capsys):
    """A link in a folder that a stranger made may point to anything."""
    run = tmp_path / "run"
    shutil.copytree(trained / "b", run)
    (tmp_path / "secret.png").write_bytes(PIXEL + b"secret")
    (run / "inside.png").symlink_to("predictions.png")
    (run / "outside.png").symlink_to("../secret.png")
    (run / "text.png").write_text("secret")
    (run / "evaluation-x").symlink_to(tmp_path)
    (run / "folder.png").mkdir()
    os.mkfifo(run / "fifo.png")
    page = report.page(report.group(report.find(run)), "")
    shown = [e.text for e in elements(page) if e.tag == "figcaption"]
    assert [text for text in shown if text.endswith("(run)")] == [
        "inside (run)", f"{words.PICTURES['predictions']} (run)",
    ]  # fmt: skip
    left_out = capsys.readouterr().err.splitlines()
    names = ["evaluation-x/secret", "fifo", "folder", "outside", "text"]
    why = "is left out: it is not a PNG file of this run"
    assert left_out == [f"note: {run / name}.png {why}" for name in names]


def test_names_from_files_are_only_text(no_pictures):
    evil = '<script>alert("1")</script>&\x00\x1b[2J'
    bad = run(name=evil, dataset=evil, overrides={evil: evil}, device=evil, versions={evil: evil},
              classes=[evil])  # fmt: skip
    page = report.page(report.group([bad, run()]), evil)
    found = elements(page)
    assert "script" not in {e.tag for e in found}
    assert "<script" not in page
    assert "\x1b" not in page
    titles = [e.text for e in found if e.tag == "h2"]
    assert any(title.startswith('<script>alert("1")</script>&') for title in titles)


@pytest.mark.parametrize("name", ["", "_$\\frac 猫\n🐱\0", "x" * 300])
def test_any_name_and_any_number_can_be_drawn(name):
    one = known(0, name, 0, 3e38)
    line = {k: 1 if "accuracy" in k else 3e38 for k in one.history[0].as_dict()}
    one.history[:] = [EpochMetrics(**line | {"epoch": e}) for e in (1, 3 * 10**38)]
    one = dataclasses.replace(one, record=dataclasses.replace(one.record, classes=(name, "owl")))
    elements(report.page(report.group([one, run()]), name))


def test_a_study_is_drawn_where_its_data_were_used(no_pictures):
    report.page(report.group([run(), run(dataset="synthetic")]), "")
    assert [claim for _, claim, _ in no_pictures] == [
        None, {"test_accuracy": 0.6, "test_loss": 1}, {},
    ]  # fmt: skip


def test_recalls_of_two_losses_stand_side_by_side(recalls):
    runs = [
        known(0, "b", 0.5, 0.25),
        known(0, "a", 0.75, 0.0),
        known(1, "a", 0.25, 0.5),
        known(0, "level", 1, 1, 1, (4, 4)),
        run(name="unknown"),
    ]
    page = report.page(report.group(runs), "")
    (tailed, level) = recalls
    both = {"a": [runs[1].recalls, runs[2].recalls], "b": [runs[0].recalls]}
    assert tailed[:2] == (both, {"cat": 4, "owl": 2})
    assert level[:2] == ({"level": [runs[3].recalls]}, {})
    assert headings(page)[1:3] == [
        "Recall by class on cifar10, trained on 4 to 2 images of each",
        "Recall by class on cifar10",
    ]
    assert cells(page, 1) == [
        ["class", "training images", "a", "b", "difference"],
        ["cat", "4", "50.00 ± 35.36 %", "50.00 %", "+0.00 points"],
        ["owl", "2", "25.00 ± 35.36 %", "25.00 %", "+0.00 points"],
        ["all classes", "6", "37.50 ± 0.00 %", "37.50 %", "+0.00 points"],
    ]
    assert cells(page, 2) == [
        ["class", "level"],
        *([n, "100.00 %"] for n in (*CLASSES, "all classes")),
    ]


def test_no_two_headings_are_the_same(recalls):
    runs = [known(0, "a", 1, 0, tail, (4, 4 - i)) for i, tail in enumerate((1, 0.5, 0.25))]
    runs += [
        dataclasses.replace(one, record=dataclasses.replace(one.record, dataset="other"))
        for one in runs
    ]
    runs.append(known(0, "b", 1, 0, 0.5, (4, 1)))  # not the tail of the same name
    found = headings(report.page(report.group(runs), ""))
    assert len(set(found)) == len(found) == 1 + 6 + 7


def test_a_recipe_has_one_colour_on_the_whole_page(no_pictures, recalls):
    runs = [known(seed, name, 1, 0) for name in "cab" for seed in (0, 1)] + [run(name="0")]
    report.page(report.group(runs), "")
    (_, _, everywhere), *sections = no_pictures
    assert len({look.colour for look in everywhere.values()}) == 4
    assert recalls[0][2] == everywhere
    for label, (_, _, looks) in zip("0abc", sections, strict=True):
        assert {look.colour for look in looks.values()} == {everywhere[label].colour}
        assert len({look.marker for look in looks.values()}) == len(looks)


def test_runs_that_do_not_know_a_class(recalls):
    runs = [known(0, "a", 0.75, 0.5), known(0, "b", 0.5, 0.5, counts=(4, 1))]
    del runs[1].recalls["owl"]
    page = report.page(report.group(runs), "")
    assert recalls[0][1] == {}  # not the same tail
    assert cells(page, 1)[2] == ["owl", "50.00 %", "–", "–"]


def test_a_long_tail_is_drawn(recalls, monkeypatch):
    drawn = []

    def draw(counts, title, path, colour):
        drawn.append((counts, colour))
        path.write_bytes(PIXEL)

    monkeypatch.setattr(plots, "class_counts", draw)
    report.page(report.group([known(0, "a", 0, 0), known(0, "b", 0, 0, 1, (4, 4)), run()]), "")
    assert drawn == [({"cat": 4, "owl": 2}, recalls[0][2]["a"].colour)]


def test_scores_and_confusion_of_the_first_run_that_knows_them(recalls):
    one, two = known(0, "a", 0.5, 0.25), known(1, "a", 0.5, 0.25)
    two = dataclasses.replace(two, confusion=[[30, 10], [20, 60]])
    page = report.page(report.group([one, two]), "")
    assert [e.text for e in elements(page) if e.tag == "h3"] == ["By class, seed 1"]
    assert cells(page, 3) == [
        ["class", "precision", "recall", "F1", "support"],
        ["cat", "60.00 %", "75.00 %", "66.67 %", "40"],
        ["owl", "85.71 %", "75.00 %", "80.00 %", "80"],
        ["mean", "72.86 %", "75.00 %", "73.33 %", "120"],
        ["mean, weighted by support", "77.14 %", "75.00 %", "75.56 %", "120"],
    ]
    (caption,) = [e.text for e in elements(page) if e.tag == "figcaption" and "row" in e.text]
    assert caption.endswith(" mistakes: owl taken for cat (20), cat taken for owl (10).")
