"""Data sets by name, and what "auto" stands for."""

from __future__ import annotations

import pytest

from cifar import datasets
from cifar.datasets import cifar10, download
from cifar.errors import DataError, UserError
from tests.cifar.datasets.tiny_cifar10 import FOLDER, ROWS, write
from tests.common import refuses


@pytest.fixture(autouse=True)
def _home(home):
    pass


def test_unknown_name_and_split():
    with pytest.raises(
        UserError,
        match=r"'mnist'.*cifar10, cifar100, cifar100-coarse, synthetic, folder, arrays, auto",
    ):
        datasets.load("mnist", "train")
    with pytest.raises(UserError, match=r"'val'.*train, test"):
        datasets.load("synthetic", "val")


def test_class_names_need_no_data():
    assert datasets.classes("cifar10")[::9] == ("airplane", "truck")
    assert datasets.classes("synthetic") == datasets.load("synthetic", "test").classes
    with pytest.raises(UserError, match=r"'auto'.*cifar10, .*synthetic"):
        datasets.classes("auto")


def test_a_further_data_set(monkeypatch):
    """What `SOURCES` lists is loaded by its name."""
    known = datasets.names()
    monkeypatch.setitem(datasets.SOURCES, "other", cifar10.CIFAR10)
    assert datasets.names() == (*known, "other")
    assert datasets.classes("other") == cifar10.CLASSES
    refuses(DataError, "CIFAR-10 is not in", lambda: datasets.load("other", "test", download=False))


def test_auto_takes_cifar10_when_it_is_there(tmp_path, capsys):
    write(tmp_path / FOLDER)
    assert datasets.load("auto", "test", tmp_path).name == "cifar10"
    assert capsys.readouterr().err == ""


def test_auto_announces_the_synthetic_set(home, capsys, monkeypatch):
    monkeypatch.setattr(download, "download", lambda *_: pytest.fail("downloads"))
    monkeypatch.setenv("MINIGRAD_DATA", "")
    assert datasets.load("auto", "test").name == "synthetic"
    out, err = capsys.readouterr()
    assert out == ""
    for words in (
        "USING THE SYNTHETIC SET",
        "NOTHING about CIFAR-10",
        str(home / ".cache/minigrad"),
        "--dataset cifar10",
        "--data-dir",
    ):
        assert words in err
    datasets.load("auto", "test")
    assert capsys.readouterr().err == ""  # once is enough


def test_auto_never_falls_back_from_a_named_folder(tmp_path, home, monkeypatch, capsys):
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(download, "download", lambda *_: pytest.fail("downloads"))
    text = f"not in {tmp_path / 'empty'}, and --data-dir names a folder; choose --dataset cifar10"
    refuses(DataError, text, lambda: datasets.load("auto", "test", tmp_path / "empty"))
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path / "empty"))
    text = f"not in {tmp_path / 'empty'} or {home / '.cache/minigrad'}, and $MINIGRAD_DATA names"
    refuses(DataError, text, lambda: datasets.load("auto", "test"))
    assert capsys.readouterr() == ("", "")
    write(home / ".cache/minigrad" / FOLDER)  # the next place, as for cifar10
    assert len(datasets.load("auto", "test")) == ROWS


def test_auto_does_not_hide_damage(tmp_path):
    write(tmp_path / FOLDER, {"batches.meta": b"x"})
    refuses(DataError, "batches.meta: 1 bytes", lambda: datasets.load("auto", "test", tmp_path))


def test_cifar10_never_falls_back():
    refuses(DataError, "could not download", lambda: datasets.load("cifar10", "test"))
    refuses(DataError, "not in", lambda: datasets.load("cifar10", "test", download=False))
