"""Processes that end a rank which could not end itself."""

from __future__ import annotations

import signal
import subprocess
import sys


def ended(program: str) -> str:
    """What a program says that is killed."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                          encoding="utf-8", timeout=30, check=False)  # fmt: skip
    assert done.returncode == -9
    return done.stderr


def test_the_others_do_not_join():
    """The process ends, even while Python itself stands still, and names a rank that is stopped."""
    stopped = subprocess.Popen(["sleep", "60"], env={"OMPI_COMM_WORLD_RANK": "7"})
    stopped.send_signal(signal.SIGSTOP)
    try:
        text = ended(
            "from minigrad.distributed.guard import joining\nimport ctypes\n"
            "with joining(1):\n    pass\n"
            "with joining(0.1):\n    ctypes.PyDLL(None).sleep(20)\n"
        )
    finally:
        stopped.kill()
        stopped.wait()
    assert "another rank has not joined in 0.1 s, stopped: rank 7; the job ends" in text


def test_a_process_that_is_stopped():
    """For a moment it may be; and it says so on the stderr that it had at first."""
    text = ended(
        "from minigrad.distributed.guard import end_when_stopped\n"
        "import os, signal, subprocess, time\n"
        "end_when_stopped(2)\n"
        "go_on = subprocess.Popen(['sh', '-c', f'sleep 0.6; kill -CONT {os.getpid()}'])\n"
        "os.kill(os.getpid(), signal.SIGSTOP)\n"
        "os.write(2, b'went on\\n')\n"
        "os.close(2)\n"
        "os.kill(os.getpid(), signal.SIGSTOP)\n"
    )
    first, second = text.splitlines()
    assert first == "went on"
    assert second.endswith("stopped for 2 s; the job ends")
