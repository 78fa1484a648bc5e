"""The command: what it asks the modules for, what it prints, and mistakes as one line each."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import minigrad as mg
from cifar import cli, datasets, models, recipes, summary
from cifar.datasets.augment import Augmentation
from cifar.errors import UserError
from cifar.results import evaluate, exchange, plots, predict, report
from cifar.training import train, verify
from cifar.twins import compare
from tests.cifar import tiny

COMMANDS = {
    "data": cli.Data,
    "recipes": cli.Recipes,
    "models": cli.Models,
    "augment": cli.Augment,
    "train": cli.Train,
    "evaluate": evaluate.Settings,
    "predict": predict.Settings,
    "verify": verify.Settings,
    "compare": cli.Compare,
    "report": report.Settings,
    "export": exchange.Export,
    "import": exchange.Import,
}
LOAD = datasets.load
ROOT = Path(__file__).parents[2]
POSITIONAL = {"name", "recipe"}  # besides those that must be given


@pytest.fixture
def here(monkeypatch, tmp_path):
    """An empty working directory, and no CIFAR-10 on this machine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("MINIGRAD_DATA", raising=False)
    return tmp_path


@pytest.fixture
def small(monkeypatch, here):
    tiny.install(monkeypatch.setattr)
    return monkeypatch


def said(capsys, arguments, code=0):
    """What the command printed, checked for its exit code and for lines that end cleanly."""
    assert cli.main(arguments.split() if isinstance(arguments, str) else arguments) == code
    captured = capsys.readouterr()
    assert captured.err == ""
    assert not re.search(r" $", captured.out, re.MULTILINE)
    return captured.out


def assert_one_error(code, captured, text):
    assert code == 2
    assert captured.out == ""
    assert re.fullmatch(r"error: .+\n", captured.err)
    assert text in captured.err


# ---------------------------------------------------------------------------- help and arguments


def helped(capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        cli.main([*arguments, "--help"])
    assert caught.value.code == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return " ".join(captured.out.replace("│", " ").split())


def test_help_lists_every_command(capsys):
    text = helped(capsys, [])
    for name in COMMANDS:
        assert f" {name} " in text


@pytest.mark.parametrize("name", COMMANDS)
def test_help_explains_every_flag(capsys, name):
    text = helped(capsys, [name])
    bases = COMMANDS[name].__mro__[:-1]  # a command's words come before those it inherits
    docs = " ".join(" ".join(str(base.__doc__) for base in bases).split())
    for field in dataclasses.fields(COMMANDS[name]):
        if field.name == "overrides":  # what --set and the like fill
            continue
        negated = "no-" if field.name in ("progress", "timing") else ""
        flag = negated + field.name.replace("_", "-")
        required = field.default is field.default_factory is dataclasses.MISSING
        positional = required or field.name in POSITIONAL
        shown = field.name.upper() if positional else f"--{flag}"
        assert shown in text
        words = docs.split(f" {field.name}: ")[1].split()[:3]
        assert " ".join(words) in text


def test_train_takes_every_setting_of_a_run(monkeypatch):
    arguments = (
        "train simple --device gpu:1 --dataset synthetic --data-dir d --seed 4 --out o --resume "
        "--epochs 3 --batch-size 7 --lr 0.5 --set augmentation.crop=4 --set optimizer=SGD "
        "--precision bf16 --detect-anomaly --capture"
    )
    settings = cli.parse(arguments.split()).settings()
    changes = {
        "augmentation": Augmentation(crop=4, flip=True),
        "optimizer": "SGD",
        "epochs": 3,
        "batch_size": 7,
        "lr": 0.5,
    }
    expected = train.Settings(
        "simple", "gpu:1", "synthetic", "d", 4, "o", True, changes, precision="bf16", capture=True
    )
    assert dataclasses.replace(settings, progress=True, detect_anomaly=False) == expected
    assert settings.detect_anomaly
    given = {f.name for f in dataclasses.fields(cli.Train)} | {"overrides", "command"}
    assert given >= {f.name for f in dataclasses.fields(train.Settings)}


def test_train_alone_is_the_recipe():
    settings = cli.parse(["train", "simple", "--seed", "3"]).settings()
    expected = train.Settings("simple", seed=3, out="runs/simple-seed3", progress=False)
    assert dataclasses.replace(settings, progress=False) == expected


def test_compare_takes_every_setting_of_a_comparison():
    arguments = (
        "compare simple --device gpu:1 --dataset synthetic --data-dir d --seed 4 --out o "
        "--epochs 3 --steps 5 --dtype float64 --rerun-threads 1 3 --no-timing --set batch_size=7"
    )
    settings = cli.parse(arguments.split()).settings()
    expected = compare.Settings(
        "simple", 3, 5, "float64", (1, 3), "gpu:1", "synthetic", "d", 4, "o", False,
        {"batch_size": 7}, settings.progress,
    )  # fmt: skip
    assert settings == expected
    assert cli.parse(["compare", "gated"]).settings().out == "runs/compare-gated-seed0"


def test_progress_needs_a_terminal(monkeypatch):
    for terminal in (True, False):
        monkeypatch.setattr(sys.stderr, "isatty", lambda terminal=terminal: terminal)
        assert cli.parse(["train", "simple"]).settings().progress is terminal
        assert not cli.parse(["train", "simple", "--no-progress"]).settings().progress


def test_the_others_settings():
    asked = cli.parse(
        [
            "predict",
            "run",
            "a.png",
            "b.png",
            "--files-from",
            "-",
            "--csv",
            "x.csv",
            "--names",
            "--probabilities",
            "--last",
            "--device",
            "cpu",
        ]
    )
    expected = predict.Settings("run", ("a.png", "b.png"), "-", "x.csv", True, True, True, "cpu")
    assert asked == expected
    assert cli.parse(["predict", "run", "--files-from", "x"]) == predict.Settings("run", (), "x")
    asked = cli.parse(
        [
            "evaluate",
            "r",
            "--last",
            "--dataset",
            "d",
            "--data-dir",
            "e",
            "--split",
            "train",
            "--out",
            "o",
        ]
    )
    assert asked == evaluate.Settings("r", True, "d", "e", "train", "auto", "o")
    assert cli.parse(["report", "f", "--out", "o"]) == report.Settings("f", "o")


# ---------------------------------------------------------------------------- data


def test_data_that_are_not_here(here, capsys):
    out = said(capsys, "data", code=1)
    assert out == f"CIFAR-10 is not in {here}/.cache/minigrad; --download fetches it (170 MB)\n"
    Path("mine").mkdir()
    assert "is not in mine;" in said(capsys, "data --verify --data-dir mine", code=1)
    assert os.listdir() == ["mine"]


def test_data_that_are_here(here, capsys, monkeypatch):
    Path("mine/cifar-10-batches-py").mkdir(parents=True)
    out = said(capsys, "data --data-dir mine")
    assert out == f"CIFAR-10 is in mine{os.sep}cifar-10-batches-py\n"
    code = cli.main(["data", "--data-dir", "mine", "--verify"])  # an empty folder is damaged
    assert_one_error(code, capsys.readouterr(), "batches.meta: missing")
    monkeypatch.setattr(datasets, "load", tiny.load)
    lines = said(capsys, "data --data-dir mine --verify").splitlines()
    assert lines[0].split() == ["class", "training", "images", "test", "images"]
    assert lines[2].split() == ["class", "0", "8", "3"]
    assert lines[-3].split() == ["all", "80", "30"]


def test_data_are_downloaded_on_demand(here, capsys, monkeypatch):
    asked = []

    def load(name, split, data_dir):
        asked.append((name, split, data_dir))
        Path("mine/cifar-10-batches-py").mkdir(exist_ok=True)
        return tiny.load(name, split)

    Path("mine").mkdir()
    monkeypatch.setattr(datasets, "load", load)
    assert "CIFAR-10 is in mine" in said(capsys, "data --data-dir mine --download")
    assert asked == [("cifar10", "train", "mine"), ("cifar10", "test", "mine")]


# ---------------------------------------------------------------------------- recipes and models


def test_recipes(capsys):
    lines = said(capsys, "recipes").splitlines()
    assert [line.split()[0] for line in lines[2:]] == list(recipes.names())
    row = next(line for line in lines if line.startswith("simple "))
    for part in ("6,447,754", "Adam", "0.001", "train accuracy 77.14 %", "test accuracy 77.63 %"):
        assert part in row


@pytest.mark.parametrize("name", recipes.names())
def test_a_recipe(capsys, name):
    lines = said(capsys, f"recipes {name}").splitlines()
    fields = [field.name for field in dataclasses.fields(recipes.Recipe)]
    assert [line.split()[0] for line in lines[2:]] == fields


def test_models(capsys):
    lines = said(capsys, "models").splitlines()
    assert [line.split()[0] for line in lines[2:]] == list(models.names())
    row = next(line.split() for line in lines if line.startswith("resnet-32 "))
    assert row[1:] == ["464,154", "2,272", "69,165,696", "1.9"]


def test_a_model(capsys):
    lines = said(capsys, "models simple").splitlines()
    found = summary.summarize(models.create("simple"))
    assert len(lines) == 2 + len(found.layers) + 2
    assert lines[2].split() == [
        "0",
        "Conv2d",
        "3×3",
        *["32", "×", "30", "×", "30"],
        "896",
        "777,600",
    ]
    assert lines[-2].split() == ["total", "6,447,754", f"{found.multiply_adds:,}"]
    assert lines[-1].startswith("6,447,946 values with")


def test_a_contact_sheet(small, here, capsys):
    out = said(capsys, "augment tiny --set augmentation.rotation=15")
    assert out == "crop 1 px, flip, rotation ±15°, fill zero, nearest: augmentation-tiny.png\n"
    drawn = []
    small.setattr(plots, "augmentations", lambda *given, seed: drawn.append((*given, seed)))
    said(capsys, "augment tiny --seed 3 --out x.png")
    data, *rest = drawn[0]
    assert data.split == "train"
    title = "tiny on synthetic training images, seed 3"
    assert rest == [tiny.RECIPE.augmentation, title, Path("x.png"), 3]
    with Image.open("augmentation-tiny.png") as picture:
        picture.load()


def test_a_contact_sheet_that_cannot_be_written(small, here, capsys):
    code = cli.main(["augment", "tiny", "--out", "nowhere/x.png"])
    said = "out: cannot write nowhere/x.png: No such file or directory"
    assert_one_error(code, capsys.readouterr(), said)


# ---------------------------------------------------------------------------- runs


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

    lines = evaluated = said(capsys, f"evaluate {run}").splitlines()
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

    for suffix in ("safetensors", "pt", "onnx"):
        out = said(capsys, f"export {run} x.{suffix}")
        assert out == f"tiny, seed 0, epoch 1 is in x.{suffix}\n"
    out = said(capsys, "import tiny x.pt y.safetensors --dataset synthetic --set epochs=1")
    assert out == "the weights are in y.safetensors; next: cifar evaluate y.safetensors\n"
    assert said(capsys, "evaluate x.safetensors").splitlines()[:15] == evaluated[:15]
    said(capsys, "predict y.safetensors x.npy --csv y.csv")

    lines = said(capsys, "report runs").splitlines()
    assert lines[2].startswith("tiny (lr=0.02, epochs=1, on synthetic)")
    assert lines[-1] == f"curves and details are in runs{os.sep}report.html"
    assert Path("runs/report.html").is_file()


def test_ctrl_c(small, here, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    small.setattr(datasets, "load", interrupted)
    assert cli.main(["train", "tiny"]) == 130
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


# ---------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("", f"command: expected one of {', '.join(COMMANDS)} (see cifar --help)"),
        ("nonesuch", f"unknown command 'nonesuch': expected one of {', '.join(COMMANDS)} ("),
        ("trian simple", "unknown command 'trian' (did you mean train?): expected one of data, "),
        ("--frobnicate", "unknown command '--frobnicate': expected one of "),
        ("train --recipe simple", "unknown argument '--recipe' (see cifar train --help)"),
        ("train simple --epohcs 3", "unknown argument '--epohcs' (did you mean --epochs?) (see c"),
        ("train simple --epohcs=3", "unknown argument '--epohcs' (did you mean --epochs?) (see c"),
        ("train simple --progress", "unknown argument '--progress' (did you mean --no-progress?)"),
        ("train simple --nonsense", "unknown argument '--nonsense' (see cifar train --help)"),
        ("train", "recipe: name one; the recipes are dense-residual, "),
        ("train nonesuch", "recipe: expected one of "),
        ("train ../simple", "recipe: expected one of "),
        ("train simple --epochs abc", "--epochs: "),
        ("train simple --epochs 1.5", "--epochs: "),
        ("train simple --epochs", "--epochs"),
        ("train simple --epochs 0", "epochs: expected at least 1, got 0"),
        ("train simple --set epochs=0", "epochs: expected at least 1, got 0"),
        ("train simple --batch-size -5", "batch_size: expected at least 1, got -5"),
        ("train simple --lr -1", "lr: expected a finite number above 0, got -1.0"),
        ("train simple --lr nan", "lr: expected a finite number above 0, got nan"),
        ("train simple --seed -1", "seed: expected a whole number from 0, got -1"),
        ("train simple --set lr", "set: expected FIELD=VALUE"),
        ("train simple --set frob=1", "set: expected one of model, epochs"),
        ("train simple --set augmentation.crop=x", "augmentation.crop: expected a whole number"),
        ("train simple --dataset mnist", "unknown data set 'mnist'"),
        ("train simple --device tpu", "got 'tpu'"),
        ("train simple --out file/run --dataset synthetic", "out: cannot write to file/run"),
        ("train --resume", "out: name the folder of the run"),
        ("train --resume --out elsewhere", "recipe: there is no run in elsewhere to resume; to"),
        ("train simple --frobnicate", "--frobnicate"),
        ("train simple extra", "extra"),
        ("recipes nonesuch", "recipe: expected one of "),
        ("models nonesuch", "model: expected one of "),
        ("models ../simple", "model: expected one of "),
        ("augment", "RECIPE"),
        ("augment nonesuch", "recipe: expected one of "),
        ("augment simple --dataset synthetic --seed -1", "seed: expected a whole number from 0"),
        ("augment simple --dataset mnist", "unknown data set 'mnist'"),
        ("augment simple --set augmentation.fill=blue", "fill: expected one of"),
        ("data --data-dir nowhere", "data folder nowhere does not exist"),
        ("data --data-dir file", "data folder file is not a folder"),
        ("evaluate", "RUN"),
        ("evaluate nowhere", "run: nowhere does not exist"),
        ("evaluate folder", "run: no best.safetensors in the folder folder"),
        ("evaluate folder --last", "run: no last.safetensors in the folder folder"),
        ("evaluate file", "run: file is not a whole file of tensors"),
        ("evaluate file --device tpu", "got 'tpu'"),
        ("predict", "RUN"),
        ("predict nowhere x.png", "run: nowhere does not exist"),
        ("predict nowhere x.png --names", "names: is about the CSV file"),
        ("export nowhere x.onnx", "run: nowhere does not exist"),
        ("export file x.h5", "out: expected a file that ends in .safetensors, .pt or .onnx"),
        ("export file", "OUT"),
        ("import simple file", "OUT"),
        ("import simple file x.safetensors", "file: file is not a whole file of tensors"),
        ("report", "FOLDER"),
        ("report nowhere", "folder: nowhere is not a folder"),
        ("report folder", "folder: there is no run in folder"),
        (f"evaluate {'x' * 300}", "File name too long"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(here, capsys, arguments, text):
    Path("file").write_text("no run")
    Path("folder").mkdir()
    code = cli.main(arguments.split())
    assert_one_error(code, capsys.readouterr(), text)
    assert sorted(os.listdir()) == ["file", "folder"]
    assert os.listdir("folder") == []


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
        ["report", folder],
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


@pytest.mark.parametrize("error", [UserError("two\nlines"), mg.DeviceError("two lines")])
def test_a_mistake_of_the_user(capsys, error):
    def fail(_):
        raise error

    assert cli.guarded(lambda: 0, fail) == 2
    assert capsys.readouterr() == ("", "error: two lines\n")


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("MINIGRAD_NUM_THREADS", "two", "expected a whole number from 1 to 4096, got 'two'"),
        ("MINIGRAD_NUM_THREADS", "5000", "expected a whole number from 1 to 4096, got '5000'"),
        ("MINIGRAD_COMPILED", "yes", "expected 0 or 1, got 'yes'"),
        ("MINIGRAD_DATA", "file", "$MINIGRAD_DATA: data folder file is not a folder"),
        ("MINIGRAD_DATA", "~nobody-here/x", "$MINIGRAD_DATA: data folder ~nobody-here/x: there is"),
    ],
)
def test_what_the_environment_says_wrongly(here, name, value, text):
    Path("file").touch()
    for program in (("-m", "cifar", "data"), (ROOT / "examples/train_cnn.py",)):
        done = subprocess.run(
            [sys.executable, *program], cwd=here, capture_output=True, text=True, check=False,
            env=os.environ | {name: value, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("error: ")
        assert text in done.stderr
        assert done.stderr.count("\n") == 1
        assert sorted(os.listdir()) == ["file"]


def on_a_terminal(arguments):
    """What a person sees who calls the command: terminals have colours."""
    inner, outer = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "cifar", *arguments], cwd=ROOT, stdout=outer, stderr=outer,
        env={k: v for k, v in os.environ.items() if k != "COLUMNS"} | {"TERM": "xterm"},
    )  # fmt: skip
    os.close(outer)
    shown = b""
    with process, contextlib.suppress(OSError):  # EIO: the other side is closed
        while piece := os.read(inner, 1 << 16):
            shown += piece
    os.close(inner)
    return process.returncode, shown.decode()


def test_a_mistake_on_a_terminal():
    text = "error: unknown argument '--nonsense' (see cifar train --help)\r\n"
    assert on_a_terminal(["train", "simple", "--nonsense"]) == (2, text)


def test_help_on_a_terminal_has_colours():
    code, text = on_a_terminal(["recipes", "--help"])
    assert code == 0
    assert "\x1b[1m" in text
    assert text.count("usage") == 1


def test_the_installed_command_is_this_one():
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    assert 'cifar = "cifar.cli:main"' in lines
