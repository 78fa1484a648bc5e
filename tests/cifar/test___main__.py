"""``python -m cifar`` is the command, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def cifar(*arguments, **options):
    command = [sys.executable, "-m", "cifar", *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False, **options
    )


def test_it_answers():
    done = cifar("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "evaluate" in done.stdout


def test_a_mistake_as_a_user_sees_it():
    done = cifar("train", "nonesuch")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: recipe: expected one of ")
    assert done.stderr.count("\n") == 1


def test_a_reader_that_has_seen_enough():
    done = subprocess.run(
        f"{sys.executable} -m cifar models resnet-82 | head -n 1; echo ${{PIPESTATUS[0]}}",
        shell=True, executable="/bin/bash", cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.splitlines()[0].startswith("layer")
    assert done.stdout.splitlines()[1] in ("0", "141")  # whether head left before we had written
