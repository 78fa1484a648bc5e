"""The folders in which data are looked for, and those that cannot be."""

from __future__ import annotations

import pwd

import pytest

from cifar import datasets
from cifar.datasets import places
from cifar.errors import DataError
from tests.common import refuses, unprivileged


@pytest.fixture(autouse=True)
def _home(home):
    pass


def test_the_order(tmp_path, home, monkeypatch):
    cache = home / ".cache/minigrad"
    assert places.candidates(None) == (cache,)
    monkeypatch.setenv("MINIGRAD_DATA", "~/elsewhere")
    assert places.candidates(None) == (home / "elsewhere", cache)
    assert places.candidates(tmp_path) == (tmp_path,)
    assert places.candidates("~") == (home,)
    assert places.join(places.candidates(None)) == f"{home}/elsewhere or {cache}"


def test_what_names_a_folder(monkeypatch):
    assert places.named_by(None) == ""
    monkeypatch.setenv("MINIGRAD_DATA", "")
    assert places.named_by(None) == ""
    monkeypatch.setenv("MINIGRAD_DATA", "x")
    assert places.named_by(None) == "$MINIGRAD_DATA"
    assert places.named_by("y") == "--data-dir"


def test_a_user_without_a_home(tmp_path, monkeypatch, capsys):
    """As in a container that is run under a number of a user whom /etc/passwd does not have."""

    def getpwuid(number):
        raise KeyError(number)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", getpwuid)
    assert datasets.load("auto", "test").name == "synthetic"
    where = "the usual places: there is no home folder"
    assert f"was not found in {where}" in capsys.readouterr().err
    refuses(DataError, f"not in {where}; put", lambda: datasets.load("cifar10", "test"))
    assert datasets.find() == (None, where)
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path))
    assert datasets.find() == (None, str(tmp_path))
    text = "data folder ~/data: there is no such home folder"
    refuses(DataError, text, lambda: places.candidates("~/data"))
    monkeypatch.setenv("MINIGRAD_DATA", "~nobody-here")
    text = "$MINIGRAD_DATA: data folder ~nobody-here: there is no such home folder"
    refuses(DataError, text, lambda: places.candidates(None))


def test_a_folder_that_is_none(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    for name, problem in (("none", "does not exist"), ("file", "is not a folder")):
        text = f"data folder {tmp_path / name} {problem}; create it or name another --data-dir"
        refuses(DataError, text, lambda name=name: places.candidates(tmp_path / name))
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path / "file"))
    refuses(DataError, "$MINIGRAD_DATA: data folder", lambda: places.candidates(None))


def test_a_folder_that_cannot_be_read_is_called_so():
    with unprivileged() as folder:
        (folder / "data").mkdir(mode=0o600)
        text = f"data folder {folder}/data/x cannot be read (Permission denied)"
        refuses(DataError, text, lambda: places.candidates(folder / "data/x"))
