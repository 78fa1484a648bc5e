"""``cifar evaluate``, ``predict`` and ``report`` of runs, pictures and tables of any kind."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import minigrad as mg
from cifar import cli, datasets
from cifar.results import evaluate, predict, report
from tests.cifar import tiny
from tests.cifar.cli.calls import assert_one_error, said

LOAD = datasets.load


def test_settings():
    line = "predict run a.png b.png --files-from - --csv x.csv --names --probabilities --last"
    expected = predict.Settings("run", ("a.png", "b.png"), "-", "x.csv", True, True, True, "cpu")
    assert cli.parse([*line.split(), "--device", "cpu"]) == expected
    assert cli.parse(["predict", "run", "--files-from", "x"]) == predict.Settings("run", (), "x")
    line = "evaluate r --last --dataset d --data-dir e --split train --out o"
    expected = evaluate.Settings("r", True, "d", "e", "train", "auto", "o")
    assert cli.parse(line.split()) == expected
    assert cli.parse(["report", "f", "--out", "o"]) == report.Settings("f", "o")


def test_train_evaluate_predict_report(small, here, capsys):
    assert cli.main(["train", "tiny", "--epochs", "1", "--set", "lr=0.02"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    last = captured.out.splitlines()[-1]
    assert re.fullmatch(r"test accuracy \d+\.\d\d% after epoch 1", last)
    run = Path("runs/tiny-seed0")
    line = json.loads((run / "metrics.jsonl").read_text())
    assert line["lr"] == 0.02
    assert json.loads(
        json.dumps(mg.checkpoint.read(run / "last.safetensors")[1]["overrides"])
    ) == {"lr": 0.02, "epochs": 1}  # fmt: skip

    lines = said(capsys, f"evaluate {run}").splitlines()
    assert [x.partition("  ")[0] for x in lines[2:14]] == [
        *(f"class {i}" for i in range(10)), "macro average", "weighted average",
    ]  # fmt: skip
    assert lines[14].startswith(f"accuracy {line['test_accuracy']:.2%}, loss ")
    assert (run / "evaluation-best-test" / "confusion.png").is_file()

    data = tiny.load("", "test")
    np.save("x.npy", data.images)
    Image.fromarray(data.images[3].transpose(1, 2, 0)).save("a picture.png")
    lines = said(capsys, ["predict", str(run), "x.npy", "a picture.png"]).splitlines()
    assert len(lines) == 2 + 31
    assert re.fullmatch(r"a picture.png( +class \d +\d+\.\d){3}", lines[-1])
    assert lines[-1].split()[2:] == lines[2 + 3].split()[1:]  # the same image
    out = said(capsys, ["predict", str(run), "x.npy", "--csv", "x.csv"])
    assert out == "30 predictions are in x.csv\n"
    labels = [int(x.split(",")[1]) for x in Path("x.csv").read_text().splitlines()[1:]]
    assert np.mean(labels == data.labels) == pytest.approx(line["test_accuracy"])

    lines = said(capsys, "report runs").splitlines()
    assert lines[2].startswith("tiny (lr=0.02, epochs=1, on synthetic)")
    assert lines[-1] == f"curves and details are in runs{os.sep}report.html"
    assert Path("runs/report.html").is_file()


def test_pictures_and_tables_that_are_none(small, here, capsys):
    assert cli.main(["train", "tiny", "--epochs", "1", "--out", "run"]) == 0
    capsys.readouterr()
    Path("bad.png").write_text("no picture")
    Path("bad.npy").write_text("no array")
    Path("x\ny.png").write_text("no picture")
    np.save("float.npy", np.zeros((1, 3072)))
    for files, text in (
        (["bad.png"], "bad.png: not a picture of a known kind (AVIF"),
        (["bad.npy"], "bad.npy: not a whole .npy or .npz file"),
        (["x\ny.png"], "x y.png: not a picture"),
        (["float.npy"], "float.npy: expected uint8 of shape (N, 3072), (N, 3,"),
        (
            ["nowhere.png"],
            "files: cannot read nowhere.png: No such file or directory; name pictures",
        ),
        (["run"], "files: no picture in the folder run; name pictures"),
        ([], "files: no image to look at"),
        (["bad.png", "--csv", "nowhere/x.csv"], "csv: cannot write nowhere/x.csv: No such file"),
    ):
        assert_one_error(cli.main(["predict", "run", *files]), capsys.readouterr(), text)
    small.setattr(datasets, "load", LOAD)
    for arguments, text in (
        ("--split dev", "split: expected one of test, train, validation, got 'dev'"),
        ("--split validation --dataset synthetic", "with no images held out; choose"),
        ("--dataset mnist", "unknown data set 'mnist'"),
    ):
        code = cli.main(["evaluate", "run", *arguments.split()])
        assert_one_error(code, capsys.readouterr(), text)


def test_names_that_are_no_text_or_steer_a_terminal(small, here, capsys):
    """As a user finds them in an archive that was made elsewhere."""
    folder = os.fsdecode(b"caf\xe9 \x1b[31m")
    os.mkdir(folder)
    data = tiny.load("", "test").images[0].transpose(1, 2, 0)
    Image.fromarray(data).save(f"{folder}/x.png")
    for line in (
        ["train", "tiny", "--epochs", "1", "--out", f"{folder}/run"],
        ["evaluate", f"{folder}/run"],
        ["predict", f"{folder}/run", f"{folder}/x.png"],
        ["predict", f"{folder}/run", f"{folder}/x.png", "--csv", f"{folder}/x.csv"],
        ["export", f"{folder}/run", f"{folder}/x.onnx"],
        ["report", folder, "--no-evaluate"],
    ):
        assert cli.main(line) == 0
        out, err = capsys.readouterr()
        assert "caf\ufffd ?[31m/" in out
        assert all(c.isprintable() or c == "\n" for c in out + err)
    assert (
        Path(folder, "x.csv").read_text("utf-8").startswith("ID,Labels\ncaf\ufffd \x1b[31m/x.png,")
    )
    code = cli.main(["predict", f"{folder}/run", f"{folder}/y.png"])
    assert_one_error(code, capsys.readouterr(), "caf\ufffd ?[31m/y.png")
