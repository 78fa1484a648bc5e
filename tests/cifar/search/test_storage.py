"""Journals: what a writer that was killed leaves is cut off, and its lock goes with it."""

from __future__ import annotations

import os
import signal

import filelock
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cifar.errors import UserError
from cifar.search.storage import cut_torn_line, open_storage
from tests.common import refuses


@given(st.lists(st.binary(max_size=5000).map(lambda b: b.replace(b"\n", b""))), st.binary())
def test_only_what_is_torn_is_cut(tmp_path_factory, lines, tail):
    tail = tail.replace(b"\n", b"")
    file = tmp_path_factory.getbasetemp() / "torn"
    whole = b"".join(line + b"\n" for line in lines)
    file.write_bytes(whole + tail)
    assert cut_torn_line(file) == len(tail)
    assert file.read_bytes() == whole


def test_a_torn_line_is_survived(tmp_path):
    """Optuna's own journal cannot be read once a line was written behind a torn one."""
    file = tmp_path / "x.journal"
    study = optuna.create_study(storage=open_storage(str(file)), study_name="s")
    study.tell(study.ask(), 1.0)
    with file.open("ab") as end:
        end.write(b'{"op_code": 4, "wor')
    again = optuna.load_study(storage=open_storage(str(file)), study_name="s")
    again.tell(again.ask(), 2.0)
    for storage in (study._storage, open_storage(str(file))):
        found = optuna.load_study(storage=storage, study_name="s").trials
        assert [one.value for one in found] == [1.0, 2.0]


def test_a_killed_writer_leaves_no_lock(tmp_path):
    file = tmp_path / "x.journal"
    storage = open_storage(str(file))
    reading, writing = os.pipe()
    if (pid := os.fork()) == 0:
        with filelock.FileLock(f"{file}.held"):
            os.write(writing, b".")
            signal.pause()
    os.read(reading, 1)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    optuna.create_study(storage=storage)


@pytest.mark.parametrize("text", ["no journal", "[1]\n", '{"a": 1}\n{"b": 2}\n', "{\n{\n"])
def test_another_file_is_left_alone(tmp_path, text):
    file = tmp_path / "notes"
    file.write_text(text)
    refuses(UserError, f"storage: {file} is not a journal", lambda: open_storage(str(file)))
    assert file.read_text() == text


def test_a_database_that_cannot_be_used(monkeypatch, tmp_path):
    monkeypatch.setattr("time.sleep", lambda _: None)
    for url, why in (("sqlite:////proc/x/y.db", "storage: the database"), ("x://y", "storage: ")):
        refuses(UserError, why, lambda url=url: open_storage(url))
    url = f"sqlite:///{tmp_path}/x.db"
    optuna.create_study(storage=open_storage(url), study_name="s")
    assert [one.study_name for one in open_storage(url).get_all_studies()] == ["s"]
