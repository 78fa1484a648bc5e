"""Fault injection: kill training runs, fill their disk, start two in one folder; count losses.

    python -m benchmarks.faults --each 60 --out benchmarks/results/faults-cpu.json

Each case trains the tiny recipe of ``tests/cifar/tiny.py`` in a forked process, on the default
number of threads, which divide even small operations. It injects one to three random faults,
resumes the run to its end, and compares all files, byte for byte, with those of an undisturbed run.
A case is lost if they differ, if a run hangs, if a resumed run refuses to continue, or if any file
is left behind. Cases on a small tmpfs need the right to mount one; without it they are skipped, and
the results say so.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

import minigrad as mg
from cifar import environment, process
from cifar.errors import UserError
from cifar.training import train
from cifar.training.run import STATE
from tests.cifar import tiny

ENDS = {
    0: "done",
    2: "refused in one line",
    130: "stopped",
    -signal.SIGKILL: "killed",
    -signal.SIGTERM: "ended",
    -signal.SIGXFSZ: "killed by a write",
}
HUNG = -signal.SIGALRM
MAX_SECONDS = 60  # for a run that takes a fraction of a second


@dataclass(frozen=True)
class Bench:
    """An undisturbed run, with which all cases are compared.

    Attributes:
        results: the content of its files.
        seconds: its duration.
        lines: how many lines of minigrad.checkpoint it executed.
        files: the names of the files that it wrote.
        largest: the size of the largest in bytes.
    """

    results: dict[str, Any]
    seconds: float
    lines: int
    files: frozenset[str]
    largest: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--each", type=int, default=60, help="cases of every kind (60)")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--steps", type=int, default=10_000, help="of the long run; 0: none")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn (0)")
    parser.add_argument("--out", help="write the counts here, as JSON")
    asked = parser.parse_args()
    tiny.install(setattr, shared=True)
    machine = environment.describe()  # before the cases, which take long: the present commit
    with tempfile.TemporaryDirectory() as folder:
        bench = undisturbed(Path(folder) / "undisturbed")
        kinds = {k: count(k, asked.each, asked.seed, Path(folder), bench) for k in asked.kinds}
        total = {n: sum(kind[n] for kind in kinds.values()) for n in ("cases", "faults", "lost")}
        long = long_run(asked.steps, Path(folder) / "long") if asked.steps else None
    print(f"all: {total['cases']} cases, {total['faults']} faults, {total['lost']} lost")
    if asked.out:
        machine["threads"] = mg.get_num_threads()
        results = {"machine": machine, "total": total, "kinds": kinds, "long_run": long}
        environment.write(asked.out, results)
    sys.exit(bool(total["lost"]))


def count(kind: str, cases: int, seed: int, folder: Path, bench: Bench) -> dict[str, Any]:
    """Run ``cases`` of one kind; returns their number, the outcomes and the lost cases."""
    ends: Counter[str] = Counter()
    lost: list[str] = []
    done = 0
    for number in range(cases):
        rng = np.random.default_rng([seed, list(KINDS).index(kind), number])
        try:
            with KINDS[kind].place(folder) as out:
                codes = [
                    KINDS[kind].inject(rng, out, bench) for _ in range(int(rng.integers(1, 4)))
                ]
                names = [how_it_ended(code) for code in codes]
                ends.update(names)
                why = ending(out, bench)
                shutil.rmtree(out)
        except PermissionError as error:  # to mount
            print(f"{kind}: skipped ({error})")
            break
        done += 1
        why = why or next((n for n in names if n not in ENDS.values()), "")
        lost += [f"case {number}: {why}"] if why else []
    print(f"{kind}: {done} cases, {ends.total()} faults, {len(lost)} lost; {dict(ends)} {lost[:3]}")
    return {
        "cases": done,
        "faults": ends.total(),
        "lost": len(lost),
        "ends": dict(sorted(ends.items())),
        "reasons": lost[:20],
    }


def how_it_ended(code: int) -> str:
    return "hung" if code == HUNG else ENDS.get(code, f"exit code {code}")


def undisturbed(out: Path) -> Bench:
    """Train without faults, once for results and duration, and once to count lines."""
    go_on(out)  # compiles and loads the kernels before processes fork
    shutil.rmtree(out)
    started = time.perf_counter()
    assert forked(lambda: go_on(out)) == 0
    seconds = time.perf_counter() - started
    results, sizes = tiny.results(out), {f.name: f.stat().st_size for f in out.iterdir()}
    shutil.rmtree(out)
    counter = out.with_name("lines")

    def counted() -> None:
        with contextlib.closing(counter.open("w", buffering=1, encoding="utf-8")) as file:
            trace_saving(lambda n: file.write(".\n"))
            go_on(out)

    assert forked(counted) == 0
    shutil.rmtree(out)
    lines = len(counter.read_text("utf-8").splitlines())
    return Bench(results, seconds, lines, frozenset(sizes), max(sizes.values()))


def go_on(out: Path) -> None:
    """Resume the run in ``out`` if it has saved anything, else start it."""
    train.run(tiny.settings(out, resume=(out / STATE).exists()))


def ending(out: Path, bench: Bench) -> str:
    """Resume to the end without faults; returns the reason for a loss, or "" if there is none."""
    if (code := forked(lambda: go_on(out))) != 0:
        return f"resuming: {how_it_ended(code)}"
    if left := sorted({f.name for f in out.iterdir()} - bench.files):
        return f"left behind: {left}"
    return "" if tiny.results(out) == bench.results else "other results than undisturbed"


def forked(
    act: Callable[[], object],
    during: Callable[[int], object] = lambda pid: None,
    patience: int = MAX_SECONDS,
) -> int:
    """Run ``act()`` in a child process without output, and ``during(pid)`` meanwhile.

    Returns the exit code, or minus the number of the signal that ended the child. As for the
    command, 2 is a UserError, 130 a KeyboardInterrupt and 1 any other exception.
    """
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            null = os.open(os.devnull, os.O_RDWR)
            for stream in (1, 2):
                os.dup2(null, stream)
            signal.signal(signal.SIGINT, signal.default_int_handler)  # also in the background
            signal.alarm(patience)
            act()
            code = 0
        except UserError:
            code = 2
        except KeyboardInterrupt:
            code = 130
        finally:
            os._exit(code)
    during(pid)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def trace_saving(note: Callable[[int], object]) -> None:
    """From now on, call ``note(n)`` before the n-th executed line of minigrad.checkpoint."""
    lines = 0

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal lines
        if "/minigrad/checkpoint/" not in frame.f_code.co_filename:
            return None
        lines += event == "line"
        if event == "line":
            note(lines)
        return trace

    sys.settrace(trace)


def long_run(steps: int, out: Path) -> dict[str, Any]:
    """Train ``steps`` steps of one image each; returns peak memory after a tenth of the steps and
    after all, and the files."""
    epochs = max(10, steps // tiny.TRAIN)
    changes: dict[str, Any] = {"batch_size": 1, "epochs": epochs, "lr": 1e-4}
    code = forked(lambda: train.run(tiny.settings(out, **changes)), patience=0)
    lines = (out / "metrics.jsonl").read_text("utf-8").splitlines()
    peaks = [json.loads(line)["peak_memory_mb"] for line in (lines[epochs // 10], lines[-1])]
    print(f"long run: {epochs * tiny.TRAIN} steps, peak memory {peaks[0]} MB, then {peaks[1]} MB")
    return {
        "exit code": code,
        "steps": epochs * tiny.TRAIN,
        "peak_memory_mb_after_a_tenth": peaks[0],
        "peak_memory_mb": peaks[1],
        "files": sorted(file.name for file in out.iterdir()),
        "metrics_bytes_per_epoch": max(map(len, lines)),
    }


# ---------------------------------------------------------------------------- the faults


def signalled(
    *numbers: int, rng: np.random.Generator, out: Path, bench: Bench, at_once: bool = False
) -> int:
    """Send signals at a random moment, a random fraction of a millisecond apart. With ``at_once``,
    Ctrl-C raises immediately instead of at the end of a step."""

    def send(pid: int) -> None:
        time.sleep(rng.uniform(0, 1.1 * bench.seconds))
        for number in numbers:
            os.kill(pid, number)
            time.sleep(rng.uniform(0, 5e-4))

    def act() -> None:
        if at_once:
            vars(process)["stop_on_signals"] = lambda: contextlib.nullcontext([])
        go_on(out)

    return forked(act, send)


def killed_while_saving(rng: np.random.Generator, out: Path, bench: Bench) -> int:
    """SIGKILL before a random line of minigrad.checkpoint."""
    fatal = int(rng.integers(1, bench.lines))

    def die(line: int) -> None:
        if line == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    def act() -> None:
        trace_saving(die)
        go_on(out)

    return forked(act)


def killed_in_safetensors(rng: np.random.Generator, out: Path, bench: Bench) -> int:
    """SIGKILL at a random moment while safetensors writes a random file. The write is repeated
    until then, because it takes only a millisecond."""
    fatal, after = int(rng.integers(1, 7)), rng.uniform(0, 3e-3)
    reading, writing = os.pipe()
    write = safetensors.numpy.save_file

    def act() -> None:
        files = iter(range(1, fatal))

        def save_file(tensors: Any, file: Path, note: Any) -> None:
            if next(files, None) is None:
                os.write(writing, b".")
                while True:
                    file.unlink()  # renaming over a file takes longer than the write
                    write(tensors, file, note)
            write(tensors, file, note)

        os.close(reading)
        vars(safetensors.numpy)["save_file"] = save_file
        go_on(out)

    def kill(pid: int) -> None:
        os.close(writing)
        if os.read(reading, 1):  # otherwise it wrote fewer files
            time.sleep(after)
            os.kill(pid, signal.SIGKILL)
        os.close(reading)

    return forked(act, kill)


def file_limit(rng: np.random.Generator, out: Path, bench: Bench, killing: bool = False) -> int:
    """No file can grow beyond a random size: a larger write fails half-way, or kills the process
    inside the system call."""
    size = int(rng.integers(0, bench.largest))

    def act() -> None:
        if killing:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        go_on(out)

    return forked(act)


def full_disk(rng: np.random.Generator, out: Path, bench: Bench) -> int:
    """Other files leave a random part of the disk free; they are deleted before resuming."""
    free = os.statvfs(out.parent).f_bavail * os.statvfs(out.parent).f_frsize
    ballast = out.parent / "ballast"
    ballast.write_bytes(bytes(max(0, free - int(rng.integers(0, 5 * bench.largest)))))
    code = forked(lambda: go_on(out))
    ballast.unlink()
    return code


def read_only(rng: np.random.Generator, out: Path, bench: Bench) -> int:
    """The file system becomes read-only at a random moment, as after a disk error."""

    def remount(pid: int) -> None:
        time.sleep(rng.uniform(0, bench.seconds))
        command = ["mount", "-o", "remount,ro", str(out.parent)]
        while subprocess.run(command, check=False, capture_output=True).returncode:
            time.sleep(1e-3)  # busy while a file is open to be written

    code = forked(lambda: go_on(out), remount)
    subprocess.run(["mount", "-o", "remount,rw", out.parent], check=True)
    return code


def contended(rng: np.random.Generator, out: Path, bench: Bench) -> int:
    """A second run in the same folder, while the first runs or just after it was killed."""

    def compete(pid: int) -> None:
        time.sleep(rng.uniform(0, bench.seconds))
        forked(lambda: go_on(out))
        os.kill(pid, signal.SIGKILL)

    return forked(lambda: go_on(out), compete)


def jumping_clock(rng: np.random.Generator, out: Path, bench: Bench) -> int:
    """The wall clock jumps by up to ten years at each reading; SIGKILL at a random moment."""
    real = time.time

    def act() -> None:
        time.time = lambda: real() + rng.uniform(-3e8, 3e8)
        go_on(out)

    def kill(pid: int) -> None:
        time.sleep(rng.uniform(0, 1.1 * bench.seconds))
        os.kill(pid, signal.SIGKILL)

    return forked(act, kill)


@contextlib.contextmanager
def anywhere(folder: Path) -> Iterator[Path]:
    yield folder / "run"


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A folder on a tmpfs of one megabyte.

    Raises:
        PermissionError: this user cannot mount one.
    """
    disk = folder / "disk"
    disk.mkdir(exist_ok=True)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "minigrad", disk],
        check=False,
        capture_output=True,
        encoding="utf-8",
    )
    if made.returncode:
        raise PermissionError(made.stderr.strip())
    try:
        yield disk / "run"
    finally:
        subprocess.run(["umount", disk], check=True)


@dataclass(frozen=True)
class Kind:
    inject: Callable[[np.random.Generator, Path, Bench], int]
    place: Callable[[Path], contextlib.AbstractContextManager[Path]] = anywhere


def _signals(*numbers: int, at_once: bool = False) -> Kind:
    return Kind(
        lambda rng, out, bench: signalled(*numbers, rng=rng, out=out, bench=bench, at_once=at_once)
    )


KINDS = {
    "SIGKILL": _signals(signal.SIGKILL),
    "SIGTERM": _signals(signal.SIGTERM),
    "Ctrl-C": _signals(signal.SIGINT),
    "Ctrl-C twice": _signals(signal.SIGINT, signal.SIGINT),
    "SIGKILL while saving": Kind(killed_while_saving),
    "file size limit": Kind(file_limit),
    "full disk": Kind(full_disk, small_disk),
    "read-only disk": Kind(read_only, small_disk),
    "two runs in one folder": Kind(contended),
    "jumping clock and SIGKILL": Kind(jumping_clock),
    "Ctrl-C at once": _signals(signal.SIGINT, at_once=True),
    "Ctrl-C twice at once": _signals(signal.SIGINT, signal.SIGINT, at_once=True),
    "SIGKILL in safetensors": Kind(killed_in_safetensors),
    "killed by a write": Kind(functools.partial(file_limit, killing=True)),
}

if __name__ == "__main__":
    main()
