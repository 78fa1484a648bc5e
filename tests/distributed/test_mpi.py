"""Real ranks, started by mpirun; skipped without Open MPI or mpi4py."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import rank_faults
from cifar.training import train
from minigrad import distributed
from minigrad.distributed import mpi
from tests.cifar import tiny
from tests.common import refuses

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def mpirun():
    """Runs a program on so many ranks, and returns its stdout, or stderr if it ``fails``."""
    if shutil.which("mpirun") is None or not distributed.is_available():
        pytest.skip("no MPI: Open MPI (apt-get install openmpi-bin) or mpi4py is missing")
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    env = os.environ | root | {"MINIGRAD_COMPILED": "0", "PYTHONPATH": str(ROOT)}

    def run(ranks: int, *words: object, fails: bool = False) -> str:
        command = ["mpirun", "--oversubscribe", "-n", str(ranks), sys.executable, *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8",
                              timeout=100, env=env, cwd=ROOT, check=False)  # fmt: skip
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stderr if fails else done.stdout

    return run


def test_ranks_train_as_one_process(mpirun):
    """The equality of tests/distributed/test_averaging.py over MPI."""
    lines = mpirun(4, "-m", "tests.distributed.common").splitlines()
    assert len(lines) == 8
    for line in lines:
        assert float(line.rpartition(" ")[2]) < 1e-12, line


def test_a_run_of_several_ranks_resumes_on_others(mpirun, tmp_path):
    """Rank 0 alone prints and saves; the run goes on as that of one process does."""
    words = ("-m", "tests.cifar.tiny", "train", "tiny", "--out", tmp_path / "run")
    text = mpirun(3, *words, "--distributed", "--sync-batch-norm", "--epochs", 1)
    assert text.count("epoch 1:") == 1
    assert "3 ranks with synchronised batch norm" in text
    more = mpirun(2, *words, "--distributed", "--resume", "--epochs", 2)
    assert "1 of 2 epochs done" in more
    with pytest.MonkeyPatch.context() as patch:
        tiny.install(patch.setattr)
        alone = train.run(tiny.settings(tmp_path / "alone", epochs=2))
    for line, metrics in zip((text, more), alone, strict=True):
        assert train.in_words(metrics).partition(";")[0] in line


def test_a_rank_that_fails_ends_the_job(mpirun, tmp_path, monkeypatch):
    """One case of each kind; ``python -m benchmarks.rank_faults`` runs a hundred."""
    monkeypatch.setattr(rank_faults, "SILENCE", 2.0)
    monkeypatch.setattr(rank_faults, "START", 15.0)
    monkeypatch.setattr(rank_faults, "LASTS", 1.0)
    seed = 27  # two ranks each, and faults while they train
    cases = rank_faults.run(["SIGKILL", "exception", "SIGSTOP"], seed, tmp_path, 4.0, at_once=3)
    assert [case["lost"] for case in cases] == [""] * 3


def test_a_rank_that_fails_once_the_others_have_left(mpirun):
    """Its own error is told, not that it, or the others, are silent."""
    program = (
        "import time\nfrom minigrad import distributed as d\nwith d.process_group():\n"
        "    if d.get_rank() == 0:\n        time.sleep(0.5)\n        raise ValueError('late')\n"
    )
    text = mpirun(2, "-c", program, fails=True)
    assert "rank 0 of 2" in text
    assert "failed: ValueError: late" in text
    assert "silent" not in text


def test_without_mpi4py(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    refuses(ImportError, "mpi4py is missing: run pip install", mpi.load)
    assert not distributed.is_available()
