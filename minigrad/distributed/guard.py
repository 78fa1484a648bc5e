"""Guard processes that end a rank, and with it the job, when no thread of the rank can.

They are shells in separate sessions. If the launcher is stopped, for example by Ctrl-Z, the user
has stopped the job, so they wait until the launcher continues.
"""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 5  # seconds for the launcher to end the job
LAUNCHERS = ("mpirun", "mpiexec", "orterun", "orted", "prterun", "prted")
STATE = (  # state PID prints R, S, T (stopped), Z, ..., or nothing without such a process or /proc
    "state() { { read -r line </proc/$1/stat; } 2>/dev/null || return; "
    'line=${line##*) }; echo "${line%% *}"; }; '
)
STOPPED = (  # stopped PARENT prints the ranks among its children that are stopped
    "stopped() { for one in /proc/[0-9]*; do { read -r line <$one/stat; } 2>/dev/null || continue; "
    'line=${line##*) }; case "$line" in "T $1 "*) '
    "tr '\\0' '\\n' <$one/environ | sed -n 's/^OMPI_COMM_WORLD_RANK=/ rank /p' | tr -d '\\n';; "
    "esac; done; }; "
)


def _kill_launcher(parent: int) -> str:
    """A command that kills the launcher of this process if it has not ended within
    :data:`PATIENCE` seconds. mpirun waits for ever for its daemon on a machine that it cannot
    reach."""
    try:
        name = Path(f"/proc/{parent}/comm").read_text("utf-8").strip()
    except OSError:
        return "true"
    if name not in LAUNCHERS:
        return "true"
    return (
        f'sleep {PATIENCE}; while [ "$(state {parent})" = T ]; do sleep 1; done; '
        f'[ "$(cat /proc/{parent}/comm)" = {name} ] && kill -9 {parent}'
    )


_started: list[subprocess.Popen[bytes]] = []  # kept, because Python warns of those it forgets


def _start(script: str, stderr: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    made = subprocess.Popen(
        ["sh", "-c", STATE + STOPPED + script],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        start_new_session=True,
    )
    _started.append(made)
    return made


def end_launcher() -> None:
    """See :func:`_kill_launcher`."""
    _start(_kill_launcher(os.getppid()))


def _rank() -> str:
    """The number of this rank, from the launcher, before MPI is started."""
    return os.environ.get("OMPI_COMM_WORLD_RANK", "?")


@contextmanager
def joining(most: float, done: str = "joined", voice: int = 2) -> Iterator[None]:
    """Context in which this process joins or leaves the group. If that takes longer than ``most``
    seconds, the process ends, and the launcher ends the others. MPI alone would wait for ever, and
    no thread runs while MPI starts or ends.

    Args:
        voice: a file descriptor for messages.
    """
    own, parent = os.getpid(), os.getppid()
    what = f"rank {_rank()}: another rank has not {done} in {most:g} s"
    counter = _start(
        f"i=0; while [ $i -lt {math.ceil(most)} ]; do "
        f"sleep 1; kill -0 {own} || exit; "
        f'[ "$(state {parent})" = T ] || i=$((i+1)); done 2>/dev/null; '
        f"who=$(stopped {parent}); "
        f'echo "error: {what}${{who:+, stopped:$who}}; the job ends" >&2; '
        f"kill -9 {own}; exec 2>/dev/null; {_kill_launcher(parent)}",
        voice,
    )
    try:
        yield
    except Exception as error:
        if not isinstance(error, ImportError):
            text = f"error: rank {_rank()} failed: {type(error).__name__}: {error}\n"
            os.write(voice, text.encode(errors="replace"))
        raise
    finally:
        os.killpg(counter.pid, signal.SIGKILL)
        counter.wait()


def end_when_stopped(most: float) -> None:
    """From now on, if this process is stopped (SIGSTOP) for ``most`` seconds while its launcher
    runs, print a message and end it, and with it the job. The other ranks detect this only between
    joining and leaving."""
    own, parent, voice = os.getpid(), os.getppid(), os.dup(2)
    what = f"rank {_rank()} (process {own} on {socket.gethostname()})"
    _start(
        f"i=0; while [ $i -lt {math.ceil(most)} ]; do sleep 1; case $(state {own}) in "
        f'T) [ "$(state {parent})" = T ] || i=$((i+1));; Z|"") exit;; *) i=0;; esac; done; '
        f"echo 'error: {what}: stopped for {most:g} s; the job ends' >>/proc/{own}/fd/{voice}; "
        f"kill -9 {own}; {_kill_launcher(parent)}"
    )
