"""A search as a whole, in processes of its own: its workers are replaced, its end is one result."""

from __future__ import annotations

import dataclasses
import sys

import pytest

from cifar.errors import UserError
from cifar.search import search
from cifar.search.live import ranked
from tests.cifar.search.conftest import opened
from tests.cifar.search.test_worker import of
from tests.common import refuses

# A worker that is killed in its first trial, the first time that one is started.
LOST = """
import os, signal, sys
from pathlib import Path
from cifar.search import worker
mark = Path(sys.argv[1])
if not mark.exists():
    mark.touch()
    worker.fit = lambda run: os.kill(os.getpid(), signal.SIGKILL)
sys.exit(worker.main())
"""


def test_a_search(done, asked, tmp_path, capsys, monkeypatch):
    """A worker is killed and replaced: the same trials, and the best of them tested."""
    monkeypatch.setattr(search, "POLL", 0.05)
    monkeypatch.setattr(search, "MAX_LOST", 0)  # without a trial taken up
    asked = dataclasses.replace(asked, progress=False)
    command = (sys.executable, "-c", LOST, str(tmp_path / "mark"))
    study = search.search(asked, command)
    assert of(asked) == of(done)
    assert study.attrs["test"]["number"] == ranked(study.all())[0].number
    out = capsys.readouterr().out
    assert out.count("\ntrial ") == 4
    assert (tmp_path / "mark").exists()


def test_a_worker_that_fails_ends_it(asked):
    command = (sys.executable, "-c", "import sys; sys.exit('error: no such thing')")
    message = f"worker 0: no such thing; see {asked.out}/worker-0.log"
    refuses(UserError, message, lambda: search.search(asked, command))


def test_workers_that_are_always_lost_end_it(asked, monkeypatch):
    monkeypatch.setattr(search, "MAX_LOST", 1)
    monkeypatch.setattr(search, "POLL", 0.01)
    command = (sys.executable, "-c", "import os; os.kill(os.getpid(), 9)")
    refuses(UserError, "2 were lost to signals in a row, the last one to signal 9",
            lambda: search.search(asked, command))  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": "x"}, "unknown data set 'x'"),
        ({"device": "tpu"}, "got 'tpu'"),
        ({"sampler": "x"}, "sampler: expected one of"),
        ({"space": "x"}, "space: expected FILE.toml or one of"),
    ],
)
def test_mistakes_are_found_before_a_worker_starts(asked, change, message):
    refuses(
        UserError, message, lambda: search.search(dataclasses.replace(asked, **change), ("no",))
    )


def test_trials_in_a_study_stay(done, capsys):
    """The same command, when all is done, starts nothing anew."""
    before = of(done)
    study = opened(done)
    search.search(dataclasses.replace(done, progress=False), (sys.executable, "-c", ""))
    assert of(done) == before
    assert len(study.all()) == 4
