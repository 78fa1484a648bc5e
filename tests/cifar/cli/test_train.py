"""``cifar train`` passes every option on, and shows a bar on a terminal only."""

from __future__ import annotations

import dataclasses
import sys

from cifar import cli, datasets
from cifar.cli.train import Train
from cifar.datasets.augment import Augmentation
from cifar.training.run import Settings


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
    expected = Settings(
        "simple", "gpu:1", "synthetic", "d", 4, "o", True, changes, precision="bf16", capture=True
    )
    assert dataclasses.replace(settings, progress=True, detect_anomaly=False) == expected
    assert settings.detect_anomaly
    given = {f.name for f in dataclasses.fields(Train)} | {
        "overrides",
        "command",
        "source",
        "trial",
    }
    assert given >= {f.name for f in dataclasses.fields(Settings)}


def test_train_alone_is_the_recipe():
    settings = cli.parse(["train", "simple", "--seed", "3"]).settings()
    expected = Settings("simple", seed=3, out="runs/simple-seed3", progress=False)
    assert dataclasses.replace(settings, progress=False) == expected


def test_progress_needs_a_terminal(monkeypatch):
    for terminal in (True, False):
        monkeypatch.setattr(sys.stderr, "isatty", lambda terminal=terminal: terminal)
        assert cli.parse(["train", "simple"]).settings().progress is terminal
        assert not cli.parse(["train", "simple", "--no-progress"]).settings().progress


def test_ctrl_c(small, here, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    small.setattr(datasets, "load", interrupted)
    assert cli.main(["train", "tiny"]) == 130
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")
