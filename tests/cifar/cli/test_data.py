"""``cifar data`` says where CIFAR-10 is, fetches it on demand, and counts its images."""

from __future__ import annotations

import os
from pathlib import Path

from cifar import cli, datasets
from tests.cifar import tiny
from tests.cifar.cli.calls import assert_one_error, said


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
    calls = []

    def load(name, split, data_dir):
        calls.append((name, split, data_dir))
        Path("mine/cifar-10-batches-py").mkdir(exist_ok=True)
        return tiny.load(name, split)

    Path("mine").mkdir()
    monkeypatch.setattr(datasets, "load", load)
    assert "CIFAR-10 is in mine" in said(capsys, "data --data-dir mine --download")
    assert calls == [("cifar10", "train", "mine"), ("cifar10", "test", "mine")]
