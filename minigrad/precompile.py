"""Compile the CPU kernels before the first run.

    python -m minigrad.precompile

Without this command the first training step compiles them, with the help of a second process
(:mod:`minigrad.cpu.helper`), which runs :func:`main` too.
"""

from __future__ import annotations

import fcntl
import os
import sys

import numpy as np

from . import console, nn, optim
from . import functional as F
from .cpu import helper
from .cpu.compiled import set_compiled
from .creation import zeros


def training_step() -> None:
    """A step of a small network with the layers of the studies' networks."""
    network = nn.Sequential(
        *(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(16)),
        *(nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()),
        *(nn.Conv2d(16, 16, 3, stride=2, padding=1), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 16, 1), nn.AvgPool2d(8)),  # of short rows
        *(nn.Flatten(), nn.Dropout(0.5), nn.Linear(16, 10)),
    )
    optimizer = optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    loss = F.cross_entropy(network(zeros(32, 3, 32, 32)), zeros(32, dtype="int64"))
    loss.backward()
    every_second = network[0](zeros(32, 3, 32, 32))[..., ::2, ::2]  # as in a shortcut
    every_second.backward(every_second.detach())
    zeros(128, 128) @ zeros(128, 128)  # as in a hidden linear layer
    optimizer.step()


def main(helped: int | None = None) -> int:
    """Compile what :func:`training_step` needs; returns the exit code.

    Args:
        helped: the process that this one helps, starting with the last kernel. It ends with that
            process, and at once if another helper works on the same cache.

    Raises:
        ImportError: Numba is missing.
    """
    set_compiled(True)
    from .cpu import kernels  # imports Numba

    kernels.calls = []  # kernels note the types that they are called for, and compute nothing
    with np.errstate(all="ignore"):
        training_step()
    todo = list(dict.fromkeys(kernels.calls))
    if helped is not None:
        helper.refuse()
        todo.reverse()
        folder = os.open(todo[0][0]._cache._cache_path, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
    for kernel, types in todo:
        if helped not in (None, os.getppid()):
            break
        kernel.compile(types)
    return 0


if __name__ == "__main__":
    sys.exit(console.run(lambda: None, lambda _: main(), (ImportError,)))
