"""Reports: every run found once, grouped and averaged; a page that is whole and escapes all."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import shutil
import statistics
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from benchmarks import collect
from cifar import cli, recipes
from cifar.errors import UserError
from cifar.results import plots, report
from cifar.results.metrics import EpochMetrics
from cifar.results.record import Record, decode
from cifar.training import train
from tests.cifar import tiny
from tests.cifar.fuzz import mutated, taken_or_refused
from tests.common import refuses, unprivileged

PIXEL = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder of three tiny runs, one of them with other settings."""
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        tiny.install(patch.setattr)
        train.run(tiny.settings(folder / "b"))
        train.run(tiny.settings(folder / "a", seed=1))
        train.run(tiny.settings(folder / "deep" / "er" / "c", epochs=1, lr=0.5))
    (folder / "b" / "predictions.png").write_bytes(PIXEL)
    return folder


@pytest.fixture
def no_pictures(monkeypatch):
    """Quickly drawn ones; the runs that were asked for."""
    drawn = []

    def overlaid(runs, title, path, claim, training, course, known):
        assert title == ""  # the page's own headings and captions say it
        drawn.append(([label for label, _ in runs], claim, known))
        path.write_bytes(PIXEL)

    monkeypatch.setattr(plots, "overlaid", overlaid)
    monkeypatch.setattr(plots, "recalls", lambda *given: given[2].write_bytes(PIXEL))
    return drawn


CLASSES = ["cat", "owl"]


def run(seed=0, accuracy=0.5, name="study", dataset="cifar10", recipe=None, **changes):
    """A run that was never trained."""
    claim = {"test_accuracy": 0.6, "test_loss": 1}
    stored = recipes.plain(tiny.RECIPE) | {"name": name, "epochs": 2, "lr": 0.1, "claim": claim}
    note = {"recipe": stored | (recipe or {}), "seed": seed, "dataset": dataset, "classes": CLASSES}
    lines = [
        {"epoch": e, "train_loss": 2.0, "train_accuracy": 0.4, "test_loss": 1.5,
         "test_accuracy": accuracy * e / 2, "seconds": 30.0, "peak_memory_mb": 100.0 + seed,
         "images_per_second": 10.0}
        for e in (1, 2)
    ]  # fmt: skip
    record, history = decode(note | changes, Record), decode(lines, list[EpochMetrics])
    return report.Run(Path("x"), record, history, "a machine")


# ---------------------------------------------------------------------------- finding


def test_runs_are_found_and_grouped(trained):
    groups = report.group(report.find(trained))
    assert [one.label for one in groups] == [
        "tiny (epochs=1, lr=0.5, on synthetic)",
        "tiny (on synthetic)",
    ]
    assert [[r.record.seed for r in one.runs] for one in groups] == [[0], [0, 1]]
    history = [
        json.loads(line) for line in (trained / "b" / "metrics.jsonl").read_text().splitlines()
    ]
    assert [m.as_dict() for m in groups[1].runs[0].history] == history
    assert groups[1].runs[0].final == history[-1]
    assert groups[1].runs[0].minutes == sum(line["seconds"] for line in history) / 60


def test_collected_runs_are_the_same_runs(trained, tmp_path):
    folders = [trained / "b", trained / "a"]
    content = {"machine": {"cpu": "CPU X", "cores": 2}, **collect.gather(folders)}
    (tmp_path / "speed.json").write_text('{"rows": [1, 2]}')
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / "tiny.json").write_text(json.dumps(content))
    (one,) = report.group(report.find(tmp_path))
    by_folder = report.group(report.find(trained))[1]
    assert [r.history for r in one.runs] == [r.history for r in by_folder.runs]
    for metric in ("train_loss", "test_accuracy"):
        assert statistics.mean(one.values(metric)) == content["final"][metric]["mean"]
        assert statistics.stdev(one.values(metric)) == content["final"][metric]["std"]
    assert one.runs[0].machine == "CPU X, 2 cores, ?, commit ?"
    (trained / "copy.json").write_text(json.dumps(content))
    try:
        assert len(report.find(trained)) == 3  # none twice
    finally:
        (trained / "copy.json").unlink()


def test_folders_without_runs(tmp_path):
    refuses(UserError, "there is no run in", lambda: report.find(tmp_path))
    refuses(UserError, "is not a folder", lambda: report.find(tmp_path / "x"))
    with unprivileged() as folder:
        (folder / "run").mkdir(0)
        text = f"folder: cannot read {folder}/run: Permission denied"
        refuses(UserError, text, lambda: report.find(folder))


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("metrics.jsonl", "{", "metrics.jsonl: cannot be read"),
        ("metrics.jsonl", "", "is not a run that training wrote"),
        ("metrics.jsonl", "[1]\n", "is not a run that training wrote"),
        ("metrics.jsonl", '{"epoch": 1, "test_loss": "x"}\n', "is not a run that training wrote"),
        ("metrics.jsonl", "\udcff", "metrics.jsonl: cannot be read"),
        ("last.safetensors", "x", "last.safetensors: cannot be read"),
        ("x.json", "{", "x.json: cannot be read"),
        ("x.json", '{"runs": [{"record": 1, "epochs": 2}]}', "x.json: is not a run"),
        ("x.json", '{"runs": [{"record": {"recipe": {}}, "epochs": []}]}', "x.json: is not a run"),
        (
            "x.json",
            '{"runs": [{"record": {"recipe": {"name": "x", "claim": {"a": "b"}}}, '
            '"epochs": [{"epoch": 1}]}]}',
            "x.json: is not a run",
        ),
        ("evaluation-last-test/evaluation.json", "{", "evaluation.json: cannot be read"),
        ("evaluation-last-test/evaluation.json", '{"per_class": {"a": 1}}', "is not a run"),
        *(
            (
                "x.json",
                f'{{"runs": [{{"record": {{"recipe": {{"name": "x"{recipe}}}{record}}}, '
                '"epochs": [{"epoch": 1}]}]}',
                "x.json: is not a run",
            )
            for recipe, record in (
                (', "long_tail": "1"', ""),
                ("", ', "classes": "x"'),
                ("", ', "images_per_class": 3'),
                ("", ', "images_per_class": ["3"]'),
                ("", ', "images_per_class": [-1]'),
                ("", ', "classes": [["a"]]'),
                ("", ', "classes": [1]'),
                (', "claim": {"test_loss": 1' + "0" * 400 + "}", ""),
            )
        ),
        ("x.json", "[" * 100_000, "x.json: cannot be read (maximum recursion depth"),
        ("x.json", '{"runs": ["\\ud800"]}', "x.json: cannot be read (more than 20 levels deep, or"),
        ("metrics.jsonl", '{"epoch": ' + "[" * 100_000, "metrics.jsonl: cannot be read"),
        ("metrics.jsonl", '{"epoch": 1' + "0" * 400 + "}", "is not a run that training wrote"),
        (
            "metrics.jsonl",
            '{"epoch": 1, "seconds": 1' + "0" * 400 + "}",
            "is not a run that training wrote",
        ),
        ("metrics.jsonl", '{"epoch": 1, "test_loss": NaN}', "is not a run that training wrote"),
        ("metrics.jsonl", '{"epoch": 0}', "is not a run that training wrote"),
        (
            "x.json",
            '{"runs": [{"record": {"recipe": {"name": "x"}, "overrides": []}, '
            '"epochs": [{"epoch": 1}]}]}',
            "x.json: is not a run",
        ),
    ],
)
def test_damaged_runs_are_named(tmp_path, file, text, message):
    mg.save({"a": mg.zeros(1)}, tmp_path / "last.safetensors", known(0, "x", 1, 1).record.as_note())
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 1}\n')
    assert len(report.find(tmp_path)) == 1
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(text, errors="surrogateescape")
    refuses(UserError, message, lambda: report.find(tmp_path))
    (tmp_path / "last.safetensors").unlink()
    refuses(UserError, str(tmp_path), lambda: report.find(tmp_path))


def test_what_is_no_regular_file_is_not_read(trained, tmp_path):
    """To open a FIFO is to wait for whoever writes into it."""
    for name in ("x.json", "no run/metrics.jsonl", "b/evaluation-last-test/evaluation.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(tmp_path / name)
    for name in ("metrics.jsonl", "last.safetensors"):
        (tmp_path / "b" / name).write_bytes((trained / "b" / name).read_bytes())
    weights, note = mg.checkpoint.read(trained / "b" / "last.safetensors")
    del note["per_class"]
    mg.save(weights, tmp_path / "b" / "last.safetensors", note)
    assert [one.recalls for one in report.find(tmp_path)] == [{}]


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
        "inside (run)", "predictions (run)",
    ]  # fmt: skip
    left_out = capsys.readouterr().err.splitlines()
    names = ["evaluation-x/secret", "fifo", "folder", "outside", "text"]
    why = "is left out: it is not a PNG file of this run"
    assert left_out == [f"note: {run / name}.png {why}" for name in names]


# ---------------------------------------------------------------------------- figures


def test_rows():
    (one,) = report.group([run(2, 0.625), run(0, 0.5), run(1, 0.55)])
    mean, std = statistics.mean([0.625, 0.5, 0.55]), statistics.stdev([0.625, 0.5, 0.55])
    first, second = report.rows([one])
    assert first == (
        "study", 3, "2", "test accuracy", "60.00 %", f"{100 * mean:.2f} %", f"{100 * std:.2f} %",
        "-4.17 %", "1.0", 102,
    )  # fmt: skip
    assert second[3:8] == ("test loss", "1.0000", "1.5000", "0.0000", "+0.5000")
    assert len(first) == len(report.HEADER)
    assert [r.record.seed for r in one.runs] == [0, 1, 2]


def test_one_run_has_no_deviation_and_synthetic_data_no_study():
    (row,) = report.rows(report.group([run(dataset="synthetic")]))
    assert row[0] == "study (on synthetic)"
    assert row[4:8] == (None, "50.00 %", None, None)


def test_unfinished_runs_say_so():
    half = run()
    half.history.pop()
    assert report.rows(report.group([half]))[0][2] == "1 of 2"


def test_missing_figures_are_missing():
    bare = run()
    bare.history[:] = [EpochMetrics(2)]
    assert report.rows(report.group([bare]))[0][3:8] == (
        "test accuracy", "60.00 %", None, None, None,
    )  # fmt: skip


def test_labels_tell_groups_apart():
    runs = [
        run(),
        run(recipe={"lr": 0.2}),
        run(device="gpu"),
        run(overrides={"lr": 1.0, "schedule": "StepLR"}, recipe={"lr": 1.0}),
        run(name="other"),
    ]
    labels = [one.label for one in report.group(runs)]
    assert sorted(labels) == [
        "other", "study", "study #2", "study (lr=1.0, schedule=StepLR)", "study (on gpu)",
    ]  # fmt: skip


def test_the_command_repeats_the_run():
    changes = {
        "epochs": 1,
        "optimizer": "SGD",
        "augmentation": {"crop": 4},
        "mean": [0.1, 0.2, 0.3],
    }
    record = run(7, name="simple", overrides=changes, device="cpu").record
    words = shlex.split(report.command(record))
    assert words[0] == "cifar"
    settings = cli.parse(words[1:]).settings()
    assert (settings.recipe, settings.seed, settings.dataset) == ("simple", 7, "cifar10")
    made = {**settings.overrides, "augmentation": {"crop": settings.overrides["augmentation"].crop}}
    assert json.loads(json.dumps(made)) == changes


def test_the_command_keeps_a_schedule_that_did_not_follow():
    """That of a run of an earlier version, cut short."""
    recipe = dataclasses.replace(recipes.load("dense-residual"), epochs=2)
    record = dataclasses.replace(run(overrides={"epochs": 2}).record, recipe=recipe)
    settings = cli.parse(shlex.split(report.command(record))[1:]).settings()
    expected = dataclasses.replace(recipes.load("dense-residual"), epochs=2, restarts=())
    assert train.checked_recipe(settings) == expected  # its restarts never came
    followed = dataclasses.replace(recipe, restarts=((1, 1e-4), (2, 5e-5)))
    assert "restarts" not in report.command(dataclasses.replace(record, recipe=followed))


# ---------------------------------------------------------------------------- the page


def elements(page):
    """The page's elements; it is well-formed XML, so nothing is left open or unescaped."""
    assert page.startswith("<!DOCTYPE html>\n")
    return list(ET.fromstring(page.removeprefix("<!DOCTYPE html>\n")).iter())


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


@pytest.mark.parametrize(
    ("epochs", "study", "apart"),
    [
        (1, "50.60 % at epoch 1", "-0.60 %"),
        (2, "94.60 % in the end", None),
        (200, "94.60 %", "-44.60 %"),
    ],
)
def test_a_run_cut_short_is_held_against_the_studys_way(epochs, study, apart):
    recipe = recipes.plain(recipes.load("resnet-82")) | {"epochs": epochs}
    one = run(recipe=recipe)
    one.history[:] = [dataclasses.replace(one.history[-1], epoch=epochs, test_accuracy=0.5)]
    _, row = report.rows(report.group([one]))
    found = dict(zip(report.HEADER, row, strict=True))
    assert (found["figure"], found["study"]) == ("test accuracy", study)
    assert found["difference"] == apart


# ---------------------------------------------------------------------------- recall by class


@pytest.fixture
def recalls(no_pictures, monkeypatch):
    """What pictures of recall were asked for."""
    drawn = []

    def draw(runs, title, path, counts, known):
        assert title == ""
        drawn.append((runs, counts, known))
        path.write_bytes(PIXEL)

    monkeypatch.setattr(plots, "recalls", draw)
    return drawn


def headings(page):
    return [e.text for e in elements(page) if e.tag == "h2"]


def cells(page, number):
    table = [e for e in elements(page) if e.tag == "table"][number]
    return [[c.text for c in row] for row in table.iter("tr")]


def known(seed, name, cat, owl, long_tail=0.5, counts=(4, 2)):
    """A run on ``counts`` images that recognises so many cats and owls."""
    one = run(seed, name=name, images_per_class=list(counts), recipe={"long_tail": long_tail})
    return dataclasses.replace(one, recalls={"cat": cat, "owl": owl})


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
    assert headings(page)[:2] == [
        "Recall by class on cifar10, trained on 4 to 2 images of each",
        "Recall by class on cifar10",
    ]
    assert cells(page, 1) == [
        ["class", "training images", "a", "b", "difference"],
        ["cat", "4", "50.00 ± 35.36 %", "50.00 %", "+0.00 %"],
        ["owl", "2", "25.00 ± 35.36 %", "25.00 %", "+0.00 %"],
        ["all classes", "6", "37.50 ± 0.00 %", "37.50 %", "+0.00 %"],
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
    assert len(set(found)) == len(found) == 6 + 7


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


def test_recalls_of_folders_and_collected_runs(trained, recalls, tmp_path):
    """Training notes them; of an older run, ``cifar evaluate --last`` may have found them."""
    noted = mg.checkpoint.read(trained / "b" / "last.safetensors")[1]["per_class"]
    expected = {name: one["recall"] for name, one in noted.items()}
    by_folder = {one.source.name: one.recalls for one in report.find(trained)}
    assert by_folder["b"] == expected
    (tmp_path / "tiny.json").write_text(json.dumps(collect.gather([trained / "b"])))
    assert [one.recalls for one in report.find(tmp_path)] == [expected]

    old = tmp_path / "old"
    (old / "evaluation-last-test").mkdir(parents=True)
    for name in ("metrics.jsonl", "state.safetensors"):
        (old / name).write_bytes((trained / "b" / name).read_bytes())
    weights, note = mg.checkpoint.read(trained / "b" / "last.safetensors")
    del note["per_class"], note["images_per_class"]
    mg.save(weights, old / "last.safetensors", note)
    (tmp_path / "tiny.json").unlink()
    assert [one.recalls for one in report.find(tmp_path)] == [{}]
    assert collect.gather([old])["recall"] == {}
    scores = {"per_class": {"class 0": {"recall": 0.25}}}
    (old / "evaluation-last-test" / "evaluation.json").write_text(json.dumps(scores))
    assert [one.recalls for one in report.find(tmp_path)] == [{"class 0": 0.25}]
    assert collect.gather([old])["recall"]["class 0"]["mean"] == 0.25


def test_a_long_tail_is_drawn(recalls, monkeypatch):
    drawn = []

    def draw(counts, title, path, colour):
        drawn.append((counts, colour))
        path.write_bytes(PIXEL)

    monkeypatch.setattr(plots, "class_counts", draw)
    report.page(report.group([known(0, "a", 0, 0), known(0, "b", 0, 0, 1, (4, 4)), run()]), "")
    assert drawn == [({"cat": 4, "owl": 2}, recalls[0][2]["a"].colour)]


# ---------------------------------------------------------------------------- where it is written


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
