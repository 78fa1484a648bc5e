"""A second process that compiles, because Numba compiles one kernel at a time.

The first process to miss a kernel on disk starts it. It compiles what a training step needs into
the same cache, the last kernels first (:mod:`minigrad.precompile`), while the first process
compiles each kernel as it comes to it. Where the two meet, the rest is found on disk. The results
do not depend on who compiled what: the machine code is the same.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys

from .threads import get_num_threads

CODE = "import sys; sys.path[:] = {path!r}; from minigrad import precompile; precompile.main({pid})"

_process: subprocess.Popen[bytes] | None = None
_is_wanted = True


def start() -> None:
    """Start it, once; with a single thread, or without the interpreter's name, there is none."""
    global _process, _is_wanted
    if not _is_wanted:
        return
    _is_wanted = False
    if not sys.executable or get_num_threads() < 2:
        return
    code = CODE.format(path=sys.path, pid=os.getpid())
    nowhere = subprocess.DEVNULL
    try:
        _process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=nowhere, stdout=nowhere, stderr=nowhere
        )
    except OSError:  # no memory for another process, say
        return
    atexit.register(_end, _process)


def refuse() -> None:
    """Let this process start no helper."""
    global _is_wanted
    _is_wanted = False


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the helper. Kernels that it has written to disk by then are kept."""
    process.terminate()
    process.wait()
