"""A session on a GPU: checks, benchmarks and trainings, most important first, in a given time.

    python -m benchmarks.gpu_session --budget 9m --out gpu.json
    python -m benchmarks.gpu_session --budget 4m --out gpu.json    # continues the one above

1. The simple recipe trains for a minute, plain and captured, and its loss falls.
2. A few steps of every model: captured and plain steps agree bit by bit, and GPU and CPU agree.
3. A training step of the three most important models, compared with PyTorch, eager and compiled,
   in the same precision. Speed is the median over turns of many steps; each turn ends by waiting
   for the GPU. GFLOP/s are compared with those of PyTorch in a large matrix product in the same
   precision on the same GPU. With bf16, PyTorch's autocast also stores activations in 16 bits,
   which minigrad does not.
4. The tests that need a GPU, except those of tests/parity, which follow after 5.
5. The other models, compared with PyTorch.
6. Every recipe in full, cheapest first. GPU memory that grows from epoch to epoch is an error.

Each part is a process that imports only what it needs, and each figure is written to the JSON file
at once. Run again with the same --out, the session continues with the missing parts, also within
the tests or a training. Parts 1, 2, 3 and 5 need only NumPy, CuPy and PyTorch. A part that lacks a
package names it, and runs in a later session that has the package.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import json
import os
import queue
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks import gpu_report
from benchmarks.gpu_parts import PRODUCT

RECIPES = (  # by the cost of a whole run
    "simple",
    "four-block",
    "long-tail-ce",
    "long-tail-cb-focal",
    "gated",
    "dense-residual",
    "speed-94",
    "speed-95",
    "resnet-82",
)
MAIN_MODELS = ("simple", "resnet-32", "resnet-82")
MODELS = (
    *MAIN_MODELS,
    *("four-block", "gated", "gated-basic", "dense-residual", "speed-94", "speed-95"),
)
SIZE = {"gpu": 8192, "cpu": 512}  # rows and columns of the product
AGREE = 16  # images of a comparison with the CPU
LEAST = 10.0  # seconds that must be left to start a part
GRACE = 20.0  # seconds in which a stopped part may save its results
MOST = 180.0  # time limit of one figure in seconds, with compilation
FIRST = 60.0  # seconds of a first training
GROWTH = 1.01  # allowed growth of a run's GPU memory after its first epoch, for rounding
TESTS = {  # pytest's arguments, and the largest fraction of the remaining time
    "tests": (("-m", "gpu", "tests", "--ignore=tests/parity"), 0.6),
    "parity": (("-m", "gpu", "tests/parity"), 0.5),
}
# pytest treats warnings as errors, but the tests also pass, more slowly, without threadpoolctl.
NO_THREADPOOLCTL = "ignore:threadpoolctl is not installed:RuntimeWarning"
ROOT = Path(__file__).parents[1]
PARTS = (sys.executable, "-m", "benchmarks.gpu_parts")


class Clock:
    """The time budget of a session."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds

    def left(self) -> float:
        return self.end - time.monotonic()

    def up(self) -> bool:
        """Whether too little time is left to start a part."""
        return self.left() < LEAST


# ---------------------------------------------------------------------------- processes


class Late(Exception):
    """A part exceeded its time limit; ``found`` is its result so far."""

    def __init__(self, found: dict[str, Any]) -> None:
        super().__init__()
        self.found = found


def run_part(
    part: str,
    work: dict[str, Any],
    seconds: float,
    seen: Callable[[dict[str, Any]], None] = lambda _: None,
) -> dict[str, Any]:
    """Run a part in its own process; returns its last result, with "error" if it failed.

    Args:
        seen: is called with every result at once.

    Raises:
        Late: the part took longer than ``seconds``, and was stopped by SIGTERM.
    """
    child = subprocess.Popen(
        [*PARTS, part], cwd=ROOT, encoding="utf-8", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, preexec_fn=_heed_signals,
    )  # fmt: skip
    assert child.stdin
    lines: queue.Queue[str | None] = queue.Queue()
    error_lines: list[str] = []
    readers = [
        threading.Thread(target=_read, args=(child.stdout, lines.put), daemon=True),
        threading.Thread(target=_read, args=(child.stderr, error_lines.append), daemon=True),
    ]
    for reader in readers:
        reader.start()
    result: dict[str, Any] = {}
    clock = Clock(seconds)
    try:
        child.stdin.write(json.dumps(work))
        child.stdin.close()
        while (line := lines.get(timeout=max(0.0, clock.left()))) is not None:
            result = json.loads(line)
            seen(result)
    except queue.Empty:
        raise Late(result) from None
    except BrokenPipeError:  # it died before it read
        pass
    finally:
        _stop(child)
        readers[1].join(1)
    if child.returncode:
        texts = [line for line in error_lines if line] or [f"exit code {child.returncode}"]
        return {**result, "error": texts[-1].strip()}
    return result


def _read(stream: Any, put: Callable[[Any], object]) -> None:
    for line in stream:
        put(line)
    put(None)


def _stop(child: subprocess.Popen[str]) -> None:
    """Stop the child with SIGTERM, so that it can save its results; kill it if it does not end."""
    try:
        child.wait(1)
    except subprocess.TimeoutExpired:
        child.terminate()
        try:
            child.wait(GRACE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _heed_signals() -> None:
    """In a child: restore SIGINT, which a shell ignores in programs started in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run_tests(words: Sequence[str], report: Path, seconds: float, workers: int) -> dict[str, Any]:
    """Run the tests that pytest selects by ``words``; returns counts and the names of failures, so
    far and with "late" if time runs out. Test files that cannot be imported are skipped."""
    command = [
        *(sys.executable, "-m", "pytest", "-p", "benchmarks.gpu_report", "-p", "no:cacheprovider"),
        *("--continue-on-collection-errors", "-W", NO_THREADPOOLCTL, *words),
        *(("-n", str(workers)) if workers > 1 and importlib.util.find_spec("xdist") else ()),
    ]
    # Remove the variables of an enclosing pytest, for example that this process is its worker.
    environ = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    report.parent.mkdir(parents=True, exist_ok=True)
    with report.with_suffix(".log").open("ab") as log:
        child = subprocess.Popen(
            command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, encoding="utf-8",
            env={**environ, "GPU_REPORT": str(report.resolve())}, preexec_fn=_heed_signals,
        )  # fmt: skip
        try:
            child.wait(seconds)
            late = False
        except subprocess.TimeoutExpired:
            late = True
            child.send_signal(signal.SIGINT)
        finally:
            _stop(child)
    outcomes = gpu_report.read(report)
    counts = {k: sum(v == k for v in outcomes.values()) for k in ("passed", "failed", "skipped")}
    failures = sorted(test for test, outcome in outcomes.items() if outcome == "failed")
    result: dict[str, Any] = {**counts, "failures": failures, "late": late}
    if not late and child.returncode not in (0, 1, 2, 5):  # others are errors of pytest itself
        result["error"] = f"pytest: exit code {child.returncode}"
    return result


# ---------------------------------------------------------------------------- results


def contestants(device: str, precision: str) -> Sequence[str]:
    """The contestants: minigrad and PyTorch, then captured and compiled."""
    if device == "cpu":
        return "minigrad", "torch channels_last"
    ours, theirs = f"minigrad gpu {precision}", f"torch channels_last gpu {precision}"
    return ours, theirs, f"{ours} captured", f"{theirs} compiled"


def row(measured: dict[str, Any], peak: float | None) -> dict[str, Any]:
    """A contestant's figures from its measurement, or its error.

    Args:
        peak: the GPU's peak GFLOP/s, if known.
    """
    if "times" not in measured:
        return measured
    speeds = [1 / seconds for seconds in measured["times"]]
    gflops = statistics.median(speeds) * measured["gflop"]
    return {
        "batch": measured["batch"],
        "images_per_second": statistics.median(speeds) * measured["batch"],
        "by_turn": [speed * measured["batch"] for speed in speeds],
        "gflops": gflops,
        "of_peak": gflops / peak if peak else None,
        "traffic": measured.get("traffic"),
    }


def ratios(results: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Our images per second over PyTorch's, each of ours by each of theirs."""
    speeds = {k: r["images_per_second"] for k, r in results.items() if "images_per_second" in r}
    theirs = [name for name in speeds if name.startswith("torch")]
    return {
        ours: {name: speeds[ours] / speeds[name] for name in theirs}
        for ours in speeds
        if ours not in theirs
    }


def growth(megabytes: Sequence[float | None]) -> str | None:
    """An error message if a run's GPU memory after its epochs grows beyond that of the first.

    Args:
        megabytes: the memory after each epoch; None for an epoch on another device.
    """
    known = [m for m in megabytes if m is not None]
    if not known or known[-1] <= GROWTH * known[0]:
        return None
    return f"GPU memory grew from {known[0]} MB after an epoch to {known[-1]} MB after the last"


def falls(losses: Sequence[float]) -> bool | None:
    """Whether the loss of a first training fell, from the first interval to the last three."""
    return statistics.mean(losses[-3:]) < losses[0] if len(losses) > 1 else None


# ---------------------------------------------------------------------------- the session


class Session:
    """The results so far, which the file ``given.out`` holds at every moment.

    Args:
        given: the command line.
        asked: the options that must be the same when a session continues the file.
    """

    def __init__(self, given: argparse.Namespace, asked: dict[str, Any]) -> None:
        self.given, self.clock, self.lock = given, Clock(given.budget), threading.Lock()
        self.folder: Path = given.out.resolve().with_suffix("")
        self.found: dict[str, Any] = {"asked": asked, "sessions": []}
        if given.out.exists():
            self.found = json.loads(given.out.read_text("utf-8"))
            if self.found["asked"] != asked:
                sys.exit(f"error: out: {given.out} is of a session with {self.found['asked']}")
        self.precision: str = "fp32"

    def keep(self, part: str, name: str | None, result: Any) -> None:
        """Write a result to the file."""
        with self.lock:
            place = self.found if name is None else self.found.setdefault(part, {})
            place[part if name is None else name] = result
            text = json.dumps(self.found, indent=1, ensure_ascii=False) + "\n"
            beside = self.given.out.with_name(self.given.out.name + ".part")
            beside.write_text(text, encoding="utf-8")
            os.replace(beside, self.given.out)

    def do(
        self, part: str, name: str, kind: str, most: float, work: dict[str, Any],
        finish: Callable[[dict[str, Any]], dict[str, Any]] = lambda result: result,
    ) -> None:  # fmt: skip
        """Run a part and keep its result, unless the file has it or too little time is left.

        A part that the session's budget cut short is kept as "unfinished", and repeated later.
        """
        previous = self.found.get(part, {}).get(name)
        if self.clock.up() or (previous and not previous.get("unfinished")):
            return

        def seen(result: dict[str, Any]) -> None:
            self.keep(part, name, {**finish(result), "unfinished": True})

        seconds = min(most, self.clock.left() - LEAST / 2)
        try:
            result = finish(run_part(kind, work, seconds, seen))
        except Late as late:
            result = finish(late.found)
            if seconds < most:
                result["unfinished"] = True
            else:
                result["error"] = f"not done after {seconds:.0f} s"
        if result.get("error", "").startswith("ModuleNotFoundError"):
            result["unfinished"] = True  # a later session may have it
        self.keep(part, name, result)
        print(f"{part}, {name}: {show(result)}", flush=True)

    # ------------------------------------------------------------------------ parts, in order

    def describe(self) -> None:
        """Record the machine; exit if it lacks the device."""
        work = {"device": self.given.device, "precision": self.given.precision}
        try:
            machine = run_part("describe", work, self.clock.left())
        except Late:
            sys.exit(f"error: {self.given.device}: no answer within the budget")
        if "error" in machine:
            sys.exit(f"error: {machine['error'].removeprefix('minigrad.device.DeviceError: ')}")
        self.precision = machine["precision"]
        with self.lock:
            self.found["sessions"].append({**machine, "budget": self.given.budget})
        self.keep("precision", None, self.precision)

    def first_trainings(self) -> None:
        given, seconds = self.given, min(FIRST, self.given.first)
        for name in ("plain", "captured") if self.on_gpu() else ("plain",):
            work = {**self.settings(), "seconds": seconds, "batch": given.batch}
            work |= {"side": given.side, "capture": name == "captured"}
            self.do("first", name, "first", given.most + seconds, work, lambda result: (
                {**result, "falls": falls(result["losses"])} if "losses" in result else result
            ))  # fmt: skip

    def agreement(self) -> None:
        """Compare all models, in parallel, so that kernels are compiled on all cores."""
        batch = min(AGREE, self.given.batch or AGREE)

        def one(model: str) -> None:
            work = {"model": model, "device": self.given.device, "batch": batch}
            work["side"] = self.given.side
            self.do("agreement", model, "agree", self.given.most, work)

        with ThreadPoolExecutor(self.given.workers) as pool:
            list(pool.map(one, self.models(MODELS)))

    def compare(self, models: Sequence[str]) -> None:
        """Compare the speed of ``models``; compiled PyTorch comes last, because it takes long."""
        names = contestants("gpu" if self.on_gpu() else "cpu", self.precision)
        for name in names[:2]:
            self.measure("yardstick", name, PRODUCT, self.given.size)
        quick, slow = names[:3], names[3:]
        for some in (quick, slow):
            for model in self.models(models):
                for name in some:
                    self.measure(f"steps {model}", name, model, self.given.batch)
        for model in self.models(models):
            if results := self.found.get(f"steps {model}"):
                self.keep("ratios", model, ratios(results))

    def measure(self, part: str, name: str, model: str, batch: int | None) -> None:
        peaks = self.found.get("yardstick", {}).values()
        peak = max((r.get("gflops", 0.0) for r in peaks), default=0.0)
        work = {"contestant": name, "model": model, "batch": batch, "seconds": self.given.seconds}
        self.do(part, name, "measure", self.given.most, work, functools.partial(row, peak=peak))

    def tests(self, part: str) -> None:
        if not self.given.tests or self.clock.up() or not self.found.get(part, {}).get("late", 1):
            return
        words, share = TESTS[part]
        if self.given.tests != "all":
            words = (*words, "-k", self.given.tests)
        seconds = share * (self.clock.left() - LEAST / 2)
        report = self.folder / f"{part}.jsonl"
        self.keep(part, None, run_tests(words, report, seconds, self.given.workers))
        print(f"{part}: {show(self.found[part])}", flush=True)

    def trainings(self) -> None:
        """Train the recipes; a run that was stopped resumes from its saved state."""

        def finish(result: dict[str, Any]) -> dict[str, Any]:
            if "runs" in result:
                epochs = result["runs"][0]["epochs"]
                if grown := growth([line.get("gpu_memory_mb") for line in epochs]):
                    result["error"] = grown
            return result

        for recipe in self.given.recipe or RECIPES:
            work = {**self.settings(), "recipe": recipe, "out": str(self.folder / recipe)}
            work["overrides"] = {"epochs": self.given.epochs} if self.given.epochs else {}
            work["capture"] = self.given.capture
            self.do("trainings", recipe, "training", 24 * 3600, work, finish)

    def settings(self) -> dict[str, Any]:
        """The settings that all trainings share."""
        given = self.given
        where = {"device": given.device, "dataset": given.dataset, "data_dir": given.data}
        return {**where, "precision": given.precision}

    def models(self, names: Sequence[str]) -> list[str]:
        return [name for name in names if name in (self.given.model or MODELS)]

    def on_gpu(self) -> bool:
        return not str(self.given.device).startswith("cpu")


def show(result: dict[str, Any]) -> str:
    """A result as one line: its numbers and its error."""
    shown = []
    for name, value in result.items():
        if isinstance(value, float):
            shown.append(f"{name} {value:.4g}")
        elif isinstance(value, (bool, int, str)):
            shown.append(f"{name} {value}")
        elif name in ("losses", "failures") and value:
            shown.append(f"{name} {value[0]} … {value[-1]}")
    return ", ".join(shown) or "nothing"


def duration(text: str) -> float:
    """Parse a number with s, m or h into seconds, for argparse."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if not match or not float(match[1]):
        raise argparse.ArgumentTypeError(f"expected a time such as 90s, 25m or 1h, got {text!r}")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    add = parser.add_argument
    add("--budget", type=duration, required=True, help="time for all of it, such as 9m")
    add("--out", type=Path, required=True, help="the JSON file; runs and tests are put next to it")
    add("--data", help="folder of CIFAR-10 (default: the usual places)")
    add("--device", default="gpu", help="gpu, gpu:N or cpu (gpu)")
    add("--dataset", default="auto", help="cifar10, synthetic, or auto: CIFAR-10 if found (auto)")
    add("--precision", help="fp32, tf32 or bf16 (the GPU's default)")
    add("--capture", action="store_true", help="train recipes with captured steps")
    add("--epochs", type=int, help="epochs of each recipe (the recipe's)")
    add("--batch", type=int, help="images per step (the recipe's)")
    add("--size", type=int, help="rows and columns of the matrix product (8192)")
    add("--side", type=int, default=32, help="height and width of images in parts 1 and 2 (32)")
    add("--seconds", type=float, default=4.0, help="approximate seconds of a measurement (4)")
    add("--most", type=float, default=MOST, help="time limit of a figure in seconds (180)")
    add("--first", type=float, default=FIRST, help="seconds of each first training (60)")
    cores = min(8, os.cpu_count() or 1)
    add("--workers", type=int, default=cores, help=f"processes of tests and comparisons ({cores})")
    add("--tests", default="all", help="pytest's -k among the GPU's tests; '' for none (all)")
    add("--model", action="append", choices=MODELS, help="only this one; repeatable")
    add("--recipe", action="append", choices=RECIPES, help="train this one; repeatable")
    given = parser.parse_args()
    given.size = given.size or SIZE["cpu" if given.device.startswith("cpu") else "gpu"]
    names = ("device", "dataset", "precision", "epochs", "batch", "side", "capture", "tests")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("error: stopped; what was found is kept"))
    session = Session(given, {name: getattr(given, name) for name in names})
    session.describe()
    session.first_trainings()
    session.agreement()
    session.compare(MAIN_MODELS)
    session.tests("tests")
    session.compare(MODELS)
    session.tests("parity")
    session.trainings()


if __name__ == "__main__":
    main()
