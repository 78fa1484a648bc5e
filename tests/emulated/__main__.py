"""``python -m tests.emulated WORDS``: ``python -m WORDS`` with the emulator under the real CuPy.

    python -m tests.emulated pytest -m gpu tests/gpu tests/cifar/test_gpu.py
    python -m tests.emulated tests.emulated.rehearsal --out rehearsal.json

The environment may say what the machine is: EMULATOR_DEVICES, EMULATOR_MEMORY_MB,
EMULATOR_CAPABILITY (75 or 90, say), EMULATOR_DRIVER (12080). EMULATOR_LAZY=1 runs a stream's work
as late as a device may, and EMULATOR_DRY=1 runs no kernel, for programs that would take hours.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

HERE = Path(__file__).resolve().parent


def run(*words: str) -> NoReturn:
    """``python -m WORDS`` with the emulator under CuPy, in place of this process."""
    folders = [str(HERE / "site"), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, folders))
    os.execv(sys.executable, [sys.executable, "-m", *words])


if __name__ == "__main__":
    run(*sys.argv[1:])
