"""Every run is found once, and grouped; damaged ones are named."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import statistics

import pytest

import minigrad as mg
from benchmarks import collect
from cifar import cli, recipes
from cifar.errors import UserError
from cifar.results import report
from cifar.training import train
from tests.cifar.results.report.common import known, run
from tests.common import refuses, unprivileged


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


def test_a_study_claims_nothing_of_other_data():
    claims = lambda **changes: report.group([run(**changes)])[0].claims  # noqa: E731
    assert claims() == claims(overrides={"lr": 0.2}) == {"test_accuracy": 0.6, "test_loss": 1}
    assert claims(dataset="synthetic") == claims(overrides={"long_tail": 1.0}) == {}


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
        ("x.json", '{"runs": [{"record": 1, "epochs": 2}]}', "x.json: is not a run"),
        ("x.json", '{"runs": [{"record": {"recipe": {}}, "epochs": []}]}', "x.json: is not a run"),
        (
            "x.json",
            '{"runs": [{"record": {"recipe": {"name": "x", "claim": {"a": "b"}}}, '
            '"epochs": [{"epoch": 1}]}]}',
            "x.json: is not a run",
        ),
        ("evaluation-last-test/evaluation.json", "{", "evaluation.json: cannot be read"),
        ("evaluation-last-test/evaluation.json", '{"confusion": [[1]]}', "of 2 classes"),
        ("evaluation-last-test/evaluation.json", '{"confusion": [[1, 2], [3]]}', "of 2 classes"),
        ("evaluation-last-test/evaluation.json", '{"confusion": [[1, 2], [3, -1]]}', "than none"),
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


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "Expecting"),
        ("[" * 100_000, "maximum recursion depth"),
        ('{"runs": ["\\ud800"]}', "more than 20 levels deep, or"),
    ],
)
def test_a_broken_file_of_anything_stops_no_report(trained, tmp_path, capsys, text, why):
    for name in ("metrics.jsonl", "last.safetensors"):
        (tmp_path / name).write_bytes((trained / "b" / name).read_bytes())
    (tmp_path / "x.json").write_text(text)
    assert len(report.find(tmp_path)) == 1
    start = f"note: left out: {tmp_path}/x.json: cannot be read ({why}"
    assert capsys.readouterr().err.startswith(start)


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


def test_labels_tell_groups_apart():
    runs = [
        run(),
        run(recipe={"lr": 0.2}),
        run(device="gpu"),
        run(overrides={"lr": 1.0, "schedule": "StepLR"}, recipe={"lr": 1.0}),
        run(device="gpu", precision="bf16"),
        run(device="cpu", precision="fp32"),
        run(device="cpu"),
        run(device="cpu", ranks=4, sync_batch_norm=True),
        run(name="other"),
        run(name="simple", overrides={"batch_size": 64, "lr": 0.5}),
    ]
    labels = [one.label for one in report.group(runs)]
    assert sorted(labels) == [
        "other", "simple (lr=0.5)",
        "study", "study #2", "study #3",
        "study (lr=1.0, schedule=StepLR)", "study (on 4 ranks, with synchronised batch norm)",
        "study (on gpu)", "study (on gpu, in bf16)",
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


def test_the_command_has_what_decides_the_rounding():
    changes = {"precision": "bf16", "captured": True, "ranks": 4, "sync_batch_norm": True}
    record = run(7, name="simple", device="gpu:0", **changes).record
    words = shlex.split(report.command(record))
    assert words[:3] == ["mpirun", "-n", "4"]
    asked = cli.parse(words[4:])
    assert (asked.precision, asked.capture) == ("bf16", True)
    assert (asked.distributed, asked.sync_batch_norm) == (True, True)


def test_the_command_keeps_a_schedule_that_did_not_follow():
    """That of a run of an earlier version, cut short."""
    recipe = dataclasses.replace(recipes.load("dense-residual"), epochs=2)
    record = dataclasses.replace(run(overrides={"epochs": 2}).record, recipe=recipe)
    settings = cli.parse(shlex.split(report.command(record))[1:]).settings()
    expected = dataclasses.replace(recipes.load("dense-residual"), epochs=2, restarts=())
    assert train.checked_recipe(settings) == expected  # its restarts never came
    followed = dataclasses.replace(recipe, restarts=((1, 1e-4), (2, 5e-5)))
    assert "restarts" not in report.command(dataclasses.replace(record, recipe=followed))


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
    for other in ({"own_images": False}, {"accuracy_without_tta": 0.5}):
        text = json.dumps(scores | other)
        (old / "evaluation-last-test" / "evaluation.json").write_text(text)
        assert [one.recalls for one in report.find(tmp_path)] == [{}]
