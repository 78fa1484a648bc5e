"""The fault runs: a handful here, hundreds by ``python -m benchmarks.faults``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import minigrad as mg

ROOT = Path(__file__).parents[2]
HANDFUL = (
    "SIGKILL",
    "SIGTERM",
    "Ctrl-C twice at once",
    "SIGKILL while saving",
    "SIGKILL in safetensors",
    "killed by a write",
    "file size limit",
)
BROKEN = """
import os, sys
import minigrad as mg
from benchmarks import faults
{}
sys.argv[0] = "faults"
faults.main()
"""
FORGETFUL = """
load = mg.optim.Adam.load_state_dict
def forget(self, state_dict):
    load(self, state_dict)
    for state in self.state.values():
        state["exp_avg"][...] = 0
mg.optim.Adam.load_state_dict = forget
"""
UNTIDY = """
run = faults.train.run
def litter(settings):
    run(settings)
    open(f"{settings.out}/.tmp{os.getpid()}", "w").close()
faults.train.run = litter
"""


def tried(folder, *command):
    out = folder / "faults.json"
    done = subprocess.run(
        [sys.executable, *command, "--out", out], cwd=ROOT, capture_output=True, text=True
    )
    return done.returncode, json.loads(out.read_text()), done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="counts on Linux's signals and limits")
def test_nothing_is_lost(tmp_path):
    code, found, said = tried(
        tmp_path, "-m", "benchmarks.faults", "--each", "1", "--steps", "800", "--kinds", *HANDFUL
    )
    assert code == 0, said
    assert found["total"]["cases"] == len(HANDFUL)
    assert found["total"]["lost"] == 0
    assert set(found["kinds"]) == set(HANDFUL)
    assert all(kind["faults"] >= kind["cases"] == 1 for kind in found["kinds"].values())
    assert found["kinds"]["file size limit"]["ends"].keys() == {"refused in one line"}
    assert found["kinds"]["killed by a write"]["ends"].keys() == {"killed by a write"}
    assert found["machine"]["threads"] == mg.get_num_threads()
    long = found["long_run"]
    assert (long["exit code"], long["steps"]) == (0, 800)
    assert long["peak_memory_mb"] < 1.05 * long["peak_memory_mb_after_a_tenth"]
    assert long["metrics_bytes_per_epoch"] < 500
    assert len(long["files"]) == 5


@pytest.mark.parametrize(
    ("broken", "reason"),
    [(FORGETFUL, "other results than undisturbed"), (UNTIDY, "left behind: ['.tmp")],
)
def test_a_loss_is_seen(broken, reason, tmp_path):
    """Of runs whose optimiser forgets its moments when it is resumed, or that leave files."""
    command = "-c", BROKEN.format(broken), "--each", "3", "--steps", "0", "--kinds", "SIGTERM"
    code, found, _ = tried(tmp_path, *command)
    assert code == 1
    assert found["total"]["lost"] > 0
    assert reason in found["kinds"]["SIGTERM"]["reasons"][0]
