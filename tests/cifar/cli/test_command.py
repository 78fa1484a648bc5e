"""Help for every option, and mistakes as one line each, on a terminal or not."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

import minigrad as mg
from cifar import cli
from cifar.errors import UserError
from tests.cifar.cli.calls import assert_one_error

ROOT = Path(__file__).parents[3]
COMMANDS = (
    "data", "recipes", "new-recipe", "models", "augment", "explore", "train", "search",
    "search show", "evaluate", "predict", "verify", "compare", "report", "export", "import",
)  # fmt: skip
POSITIONAL = {"name", "recipe"}  # besides those that must be given


def helped(capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        cli.main([*arguments, "--help"])
    assert caught.value.code == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return " ".join(captured.out.replace("│", " ").split())


def test_help_lists_every_command(capsys):
    assert tuple(cli.COMMANDS) == COMMANDS
    text = helped(capsys, [])
    for name in COMMANDS:
        assert f" {name} " in text


@pytest.mark.parametrize("name", COMMANDS)
def test_help_explains_every_flag(capsys, name):
    text = helped(capsys, name.split())
    settings = cli.COMMANDS[name].settings
    bases = settings.__mro__[:-1]  # a command's words come before those it inherits
    docs = " ".join(" ".join(str(base.__doc__) for base in bases).split())
    for field in dataclasses.fields(settings):
        if field.name == "overrides":  # what --set and the like fill
            continue
        negated = "no-" if field.name in ("evaluate", "progress", "timing") else ""
        flag = negated + field.name.replace("_", "-")
        required = field.default is field.default_factory is dataclasses.MISSING
        positional = required or field.name in {
            *POSITIONAL,
            *(("run", "files") if name == "predict" else ()),
        }
        shown = field.name.upper() if positional else f"--{flag}"
        assert shown in text
        words = docs.split(f" {field.name}: ")[1].split()[:3]
        assert " ".join(words) in text


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
        ("predict", "files: no image to look at"),
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
