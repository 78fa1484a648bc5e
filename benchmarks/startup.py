"""Seconds until something happens: imports, the first help page, the first training step.

    python -m benchmarks.startup --out startup.json     # three minutes

Each row is the wall time of a whole process, the smallest over the rounds, in which all run in
turn. Python's bytecode exists, as after an installation. "cold" is a first training step of the
model with an empty cache of compiled kernels, as on a new machine; other steps find them on disk.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from typing import Any

from benchmarks import contest
from cifar import environment

STEP = """
import minigrad as mg
from cifar import models

model = models.create({model!r})
optimizer = mg.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
images, labels = mg.randn(32, 3, 32, 32), mg.zeros(32, dtype="int64")
mg.functional.cross_entropy(model(images), labels).backward()
optimizer.step()
"""
HELP = "from cifar import cli; cli.main(['--help'])"
MODELS = ("simple", "four-block", "resnet-32")
ROWS = {
    **{f"import {name}": f"import {name}" for name in ("numpy", "minigrad", "torch")},
    "cifar --help": HELP,
    **{f"{model}, first step": STEP.format(model=model) for model in MODELS},
    **{f"{model}, first step, cold": STEP.format(model=model) for model in MODELS},
}


def seconds(row: str, cache: str) -> float:
    """The wall time of a process that runs ``row``, with compiled kernels in ``cache``."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as empty:
        kept["NUMBA_CACHE_DIR"] = empty if row.endswith("cold") else cache
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", ROWS[row]], capture_output=True, env=kept)
        passed = time.perf_counter() - start
    if done.returncode:
        raise contest.ContestError(f"{row}: {done.stderr.decode().strip().splitlines()[-1]}")
    return passed


def main() -> None:
    """Command line."""
    given = contest.parser(__doc__, turns=3).parse_args()
    times: dict[str, list[float]] = {row: [] for row in ROWS}
    with tempfile.TemporaryDirectory() as cache:
        for row in ROWS:
            seconds(row, cache)  # fills the caches
        for _ in range(given.rounds):
            for row, own in times.items():
                own.append(seconds(row, cache))
    for row, own in times.items():
        print(f"{row:36s} {min(own):6.2f} s")
    if given.out:
        head: dict[str, Any] = {"machine": contest.describe(), "rounds": given.rounds}
        environment.write(given.out, {**head, "seconds": times})


if __name__ == "__main__":
    contest.run(main)
