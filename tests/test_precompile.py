"""What is compiled ahead is what the studies' networks need."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("numba")

PROGRAM = """
import numpy as np
import minigrad as mg
from cifar import models
from minigrad import precompile
from minigrad.cpu import kernels

kernels.calls = []
np.seterr(all="ignore")
precompile.training_step()
ahead = set(kernels.calls)
for name in "simple", "four-block", "resnet-32":
    kernels.calls.clear()
    model = models.create(name)
    optimizer = mg.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    loss = mg.functional.cross_entropy(model(mg.zeros(32, 3, 32, 32)), mg.zeros(32).to("int64"))
    loss.backward()
    optimizer.step()
    for kernel, types in set(kernels.calls) - ahead:
        print(name, kernel.py_func.__name__, types)
print(len(ahead))
"""


def test_the_studies_kernels_are_among_them():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment["MINIGRAD_COMPILED"] = "1"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert done.returncode == 0
    *missing, count = done.stdout.splitlines()
    assert missing == []
    assert int(count) > 12
