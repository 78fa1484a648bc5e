"""Fault injection into distributed jobs: kill or stop ranks, raise exceptions, cut a link.

    python -m benchmarks.rank_faults --out benchmarks/results/rank-faults-cpu.json

Each case starts the tiny recipe of ``tests/cifar/tiny.py`` on two or three ranks. At a random
moment it kills a random rank (SIGKILL), stops it (SIGSTOP), raises an exception in it, or stops all
ranks, as another program may do that needs the whole machine. The job must end within
:data:`LIMIT` seconds, say which rank failed and how, leave no process, and leave an intact state if
it has saved one. Every fourth job is resumed on one to three ranks, and must train to the end. In
the cases with a link, the two ranks run in two network namespaces; these cases need root, and are
skipped otherwise.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import minigrad as mg
from cifar import environment

KINDS = ("SIGKILL", "exception", "SIGSTOP", "SIGSTOP of all")
SIGNALS = {
    "SIGKILL": signal.SIGKILL,
    "exception": signal.SIGUSR1,  # raised by tests/cifar/tiny.py
    "SIGSTOP": signal.SIGSTOP,
    "SIGSTOP of all": signal.SIGSTOP,
}
SILENCE, START = 3.0, 30.0  # seconds, for these jobs: see minigrad.distributed
LIMIT = START + 20.0  # seconds from the fault to the end of the job
EPOCHS, BATCHES = 4, 20  # of all epochs
LASTS = 3.0  # least seconds of these epochs
ENDS = 0.3  # about the seconds from the last batch to the end of the job
MOST_SAID = 3000  # characters of a lost job's output that are kept
LAST = f"batch {BATCHES - 1}\n"
CONTINUED = "Forwarding signal 18"  # another program stopped mpirun and continued it
STATE = "state.safetensors"
TRAINING = ("-m", "tests.cifar.tiny", "train")
ROOT = Path(__file__).parents[1]
SPACES = ("minigrad-a", "minigrad-b")  # names of network namespaces
ADDRESSES = ("10.77.0.1", "10.77.0.2")
SAID = {  # a pattern that the job's output must match, where R is the rank
    "SIGKILL": r"rank {R} .*signal 9|rank {R} of .*silent",
    # mpirun names a rank that has not joined yet, or has left, as [[job,1],R] or as rank R.
    "exception": r"rank {R} .*(injected|signal 10)|(?s:injected.*\[\[\d+,1\],{R}\])",
    "SIGSTOP": r"rank {R} (of|\().*(silent|stopped)|stopped:.* rank {R}\b",
    "SIGSTOP of all": r"rank \d+ (of|\().*(silent|stopped)|stopped:.* rank",
    "link": r"rank 1 of .*silent",
}


class Job:
    """A job of ``ranks`` ranks that trains into ``out``.

    Args:
        launcher: a command to put before mpirun.
        options: options of mpirun.
    """

    def __init__(
        self,
        out: Path,
        ranks: int,
        *words: str,
        launcher: tuple[str, ...] = (),
        options: tuple[str, ...] = (),
    ) -> None:
        settings = {
            "SILENCE": str(SILENCE),
            "START": str(START),
            "MINIGRAD_NUM_THREADS": "1",
            "MINIGRAD_COMPILED": "0",  # a process starts sooner
            "OMPI_ALLOW_RUN_AS_ROOT": "1",
            "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
            "PYTHONPATH": str(ROOT),
        }
        passed = [word for name in settings for word in ("-x", name)] if options else []
        mpirun = [*launcher, "mpirun", "--oversubscribe", *options, *passed, "-n", str(ranks)]
        self.output = out.with_name(f"{out.name}.txt")
        with self.output.open("w", encoding="utf-8") as file:
            self.process = subprocess.Popen(
                [*mpirun, sys.executable, *TRAINING, *words, "--out", str(out), "--distributed"],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=os.environ | settings,
                cwd=ROOT,
                start_new_session=True,
            )
        self.out = out

    def said(self) -> str:
        """The output so far."""
        return self.output.read_text("utf-8", "replace")

    def says(self, text: str) -> bool:
        """Wait until the job prints ``text``; False if it ends, or a minute passes, before that."""
        for passed in turns(0.05):
            if text in self.said():
                return True
            if passed > 60 or self.process.poll() is not None:
                return False
        return False

    def ranks(self) -> dict[int, int]:
        """The process ID of each running rank."""
        pids = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
                if str(self.out).encode() in words and TRAINING[1].encode() == words[2]:
                    lines = (folder / "environ").read_bytes().split(b"\0")
                    pairs = dict(line.split(b"=", 1) for line in lines if b"=" in line)
                    pids[int(pairs[b"OMPI_COMM_WORLD_RANK"])] = int(folder.name)
            except (OSError, IndexError, KeyError):
                continue  # the process has just ended, or is not a rank
        return pids

    def wait(self, seconds: float) -> float | None:
        """Seconds until the job ended, or None if it did not end within ``seconds``; see
        :func:`turns`."""
        for passed in turns(0.05):
            if self.process.poll() is not None:
                return passed
            if passed > seconds:
                return None
        return None

    def end(self) -> None:
        """Kill the remaining processes of the job."""
        for pid in (*self.ranks().values(), self.process.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()


def turns(interval: float) -> Iterator[float]:
    """Yield the seconds so far, at intervals, not counting time in which this process was
    stopped."""
    passed, last = 0.0, time.monotonic()
    while True:
        yield passed
        time.sleep(interval)
        now = time.monotonic()
        passed += min(now - last, 10 * interval)
        last = now


def faulty(
    kind: str, rng: np.random.Generator, out: Path, seconds: float, resume: bool
) -> dict[str, Any] | None:
    """Run one case; returns its outcome.

    The fault comes within ``seconds`` from the start, during training, or after the last batch.
    Returns None if the job ended before the fault, had not started yet, or was stopped and
    continued by another program.
    """
    size = int(rng.integers(2, 4))
    job = Job(out, size, "tiny", "--epochs", str(EPOCHS))
    try:
        # All ranks are stopped only during training: before, minigrad cannot end the job.
        moment = 0.0 if kind == "SIGSTOP of all" else rng.random()
        least = 0.2
        if moment < 0.5:
            job.says("batch")
            seconds = LASTS
        elif moment < 0.6:
            job.says(LAST)
            least, seconds = 0.0, ENDS
        job_ended = job.wait(float(rng.uniform(least, seconds)))
        victims = job.ranks()
        if job_ended is not None or not victims:
            return None
        rank = int(rng.choice(sorted(victims)))
        if kind == "exception" and not catches(victims[rank], SIGNALS[kind]):
            return None  # the signal would kill it
        for victim in victims if kind == "SIGSTOP of all" else [rank]:
            os.kill(victims[victim], SIGNALS[kind])
        return judged(job, kind, size, rank, int(rng.integers(1, 4)) if resume else 0)
    except ProcessLookupError:
        return None
    finally:
        job.end()


def catches(process: int, number: int) -> bool:
    """Whether the process has a handler for the signal."""
    try:
        status = Path(f"/proc/{process}/status").read_text("utf-8")
    except OSError:
        return False
    (mask,) = re.findall(r"SigCgt:\s*(\w+)", status)
    return bool(int(mask, 16) >> (number - 1) & 1)


def judged(job: Job, kind: str, size: int, rank: int, resumes_on: int) -> dict[str, Any] | None:
    """The outcome of a job after its fault, and of resuming it on ``resumes_on`` ranks unless 0."""
    took = job.wait(LIMIT)
    text, left = job.said(), job.ranks()
    if CONTINUED in text:
        return None
    where = "training" if "batch" in text else "start"
    where = "end" if LAST in text else where
    case: dict[str, Any] = {"kind": kind, "ranks": size, "rank": rank, "moment": where, "lost": ""}
    if took is None:
        return case | {"lost": f"hung: {text[-MOST_SAID:]}"}
    if job.process.returncode == 0:
        return None  # the fault came too late, or was undone
    case |= {"seconds": round(took, 2), "exit code": job.process.returncode}
    if not re.search(SAID[kind].replace("{R}", str(rank)), text):
        case["lost"] = f"it does not name rank {rank}: {text[-MOST_SAID:]}"
    elif left:
        case["lost"] = f"left behind: {left}"
    else:
        if (job.out / STATE).exists():
            mg.load(job.out / STATE)  # checks the digest
        case["resumed on"] = resumes_on
        case["lost"] = resumed(job.out, resumes_on) if resumes_on else ""
    return case


def resumed(out: Path, ranks: int) -> str:
    """Why the run cannot be resumed on ``ranks`` ranks; "" if it can."""
    job = Job(out, ranks, "tiny", "--epochs", str(EPOCHS), "--resume")
    if job.wait(120) is None or job.process.returncode:
        text = job.said()
        job.end()
        return f"resuming on {ranks} ranks: {text[:500]}"
    return "" if f"after epoch {EPOCHS}" in job.said() else "resuming did not reach the end"


# ---------------------------------------------------------------------------- a link


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@contextmanager
def linked(folder: Path) -> Iterator[dict[str, Any]]:
    """Make two network namespaces with a link between them; yields the options of a job over it.

    Raises:
        OSError, subprocess.CalledProcessError: this user or system cannot make them.
    """
    agent = folder / "agent"
    agent.write_text(f'#!/bin/sh\nshift\nexec ip netns exec {SPACES[1]} sh -c "$*"\n', "utf-8")
    agent.chmod(0o700)
    made = []
    try:
        for space in SPACES:
            ip("netns", "add", space)
            made.append(space)
        ip("link", "add", "mgva", "netns", SPACES[0], "type", "veth", "peer", "name", "mgvb")
        ip("link", "set", "mgvb", "netns", SPACES[1])
        for space, name, address in zip(SPACES, ("mgva", "mgvb"), ADDRESSES, strict=True):
            ip("-n", space, "addr", "add", f"{address}/24", "dev", name)
            for device in ("lo", name):
                ip("-n", space, "link", "set", device, "up")
        net = "10.77.0.0/24"
        options = ["--mca", "plm_rsh_agent", str(agent), "--mca", "btl", "tcp,self"]
        options += ["--mca", "btl_tcp_if_include", net, "--mca", "oob_tcp_if_include", net]
        options += ["--host", ",".join(f"{address}:1" for address in ADDRESSES)]
        yield {"launcher": ("ip", "netns", "exec", SPACES[0]), "options": tuple(options)}
    finally:
        for space in made:
            ip("netns", "del", space)


def cut(rng: np.random.Generator, out: Path, resume: bool) -> dict[str, Any] | None:
    """One case: the link between two ranks goes down at a random step of the training."""
    with linked(out.parent) as over:
        job = Job(out, 2, "tiny", "--epochs", str(EPOCHS), **over)
        try:
            batch = int(rng.integers(0, BATCHES - 2))
            if not job.says(f"batch {batch}\n"):
                return {"kind": "link", "lost": f"it never trained: {job.said()[-MOST_SAID:]}"}
            ip("-n", SPACES[0], "link", "set", "mgva", "down")
            return judged(job, "link", 2, 1, int(rng.integers(1, 4)) if resume else 0)
        finally:
            job.end()


# ---------------------------------------------------------------------------- all


def undisturbed(folder: Path) -> float:
    """Seconds of a job without a fault."""
    job = Job(folder / "undisturbed", 3, "tiny", "--epochs", str(EPOCHS))
    seconds = job.wait(240)
    if job.process.returncode or seconds is None:
        job.end()
        raise RuntimeError(f"an undisturbed job failed: {job.said()}")
    return seconds


def run(
    kinds: list[str], seed: int, folder: Path, seconds: float, at_once: int = 1
) -> Iterator[dict[str, Any]]:
    """Run a case of each of ``kinds``, ``at_once`` at a time; yields the outcomes."""
    one_link = threading.Lock()

    def case(number: int, kind: str) -> dict[str, Any]:
        for attempt in range(20):
            rng = np.random.default_rng([seed, number, attempt])
            out = folder / f"{number}-{attempt}"
            resume = number % 4 == 2
            if kind == "link":
                with one_link:
                    outcome = cut(rng, out, resume)
            else:
                outcome = faulty(kind, rng, out, seconds, resume)
            shutil.rmtree(out, ignore_errors=True)
            if outcome is not None:
                return outcome
        return {"kind": kind, "lost": "no fault came in time in twenty attempts"}

    with ThreadPoolExecutor(at_once) as pool:
        yield from pool.map(case, range(len(kinds)), kinds)


def can_link() -> str:
    """Why network namespaces cannot be made; "" if they can."""
    try:
        with tempfile.TemporaryDirectory() as folder, linked(Path(folder)):
            return ""
    except (OSError, subprocess.CalledProcessError) as error:
        return str(error)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cases", type=int, default=100, help="on this machine (100)")
    parser.add_argument("--links", type=int, default=6, help="with a link that goes down (6)")
    parser.add_argument("--at-once", type=int, default=1, help="cases that run together (1)")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn (0)")
    parser.add_argument("--out", help="write the outcome here, as JSON")
    asked = parser.parse_args()
    machine = environment.describe()
    why = can_link() if asked.links else ""
    if why:
        print(f"links: skipped ({why})")
    kinds = [KINDS[i % len(KINDS)] for i in range(asked.cases)] + ["link"] * (
        0 if why else asked.links
    )
    if why == "":  # shuffled, so that the file has cases of all kinds from early on
        order = np.random.default_rng(asked.seed).permutation(len(kinds))
        kinds = [kinds[i] for i in order]
    cases: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        seconds = undisturbed(Path(folder))
        for case in run(kinds, asked.seed, Path(folder), seconds, asked.at_once):
            print(case, flush=True)
            cases.append(case)
            if asked.out:
                results = {"machine": machine, "silence": SILENCE, "start": START}
                results |= {"links_left_out": why, "summary": summarised(cases), "cases": cases}
                environment.write(asked.out, results)
    for kind, figures in summarised(cases).items():
        print(kind, figures)
    sys.exit(any(case["lost"] for case in cases))


def summarised(cases: list[dict[str, Any]]) -> dict[str, Any]:
    """Figures of each kind of case."""
    summary = {}
    for kind in sorted({case["kind"] for case in cases}):
        own = [case for case in cases if case["kind"] == kind]
        took = [case["seconds"] for case in own if "seconds" in case]
        summary[kind] = {
            "cases": len(own),
            "lost": sum(bool(case["lost"]) for case in own),
            "moments": dict(Counter(case.get("moment", "") for case in own)),
            "seconds_to_the_end": {
                "median": float(np.median(took or [0])),
                "longest": max(took, default=0),
            },
        }
    return summary


if __name__ == "__main__":
    main()
