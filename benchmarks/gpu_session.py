"""Everything that waits for a GPU, most worth first, as far as the time goes.

    python -m benchmarks.gpu_session --budget 25m --data DIR --out benchmarks/results/gpu.json

1. The tests that need a GPU, but for the calls of tests/parity: these are for every dtype and
   shape, for each of which CuPy compiles kernels, and come after the next part.
2. A training step of every model, as it is and captured, beside PyTorch's, eager and compiled, in
   the same precision. Speed is the median over turns of many steps, each turn ended by waiting for
   the GPU; GFLOP/s (as in :mod:`benchmarks.train_step`) stand beside what PyTorch reached in a big
   product in the same precision on the same card. With bf16, PyTorch's autocast also stores
   activations in 16 bits, which minigrad does not.
3. Every recipe in full, cheapest first. GPU memory that grows from epoch to epoch is an error.

What is found is in the JSON file after each part, whole at every moment. Run again with the same
--out, it goes on with what is missing, in the middle of a training too.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import minigrad as mg
from benchmarks import collect, contest, study, traffic
from cifar import environment, models, recipes
from cifar.errors import UserError
from cifar.results.tables import table
from cifar.training import train

NAME = "gpu_session"
RECIPES = (  # by the cost of a whole run
    "simple",
    "four-block",
    "long-tail-ce",
    "long-tail-cb-focal",
    "gated",
    "dense-residual",
    "resnet-82",
)
PRODUCT = "product"  # in place of a model: a square product, the yardstick
SIZE = {"gpu": 8192, "cpu": 512}  # its rows and columns
LEAST = 10.0  # seconds: with less left no part is begun
GRACE = 20.0  # seconds for interrupted tests to write their report
MOST = 240.0  # seconds of one contestant, with all that it compiles
WATCHED = 4  # steps whose traffic is counted
GROWTH = 1.01  # of a run's GPU memory after its first epoch: rounding, not a leak
TESTS = {"tests": ("not parity", 0.4), "parity": ("parity", 0.2)}  # at most of the time left
ROOT = Path(__file__).parents[1]
CIFAR = (sys.executable, "-m", "cifar")


class Clock:
    """The time that a session has."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds

    def left(self) -> float:
        return self.end - time.monotonic()

    def up(self) -> bool:
        """Whether no further part should begin."""
        return self.left() < LEAST


# ---------------------------------------------------------------------------- the parts


def run_tests(expression: str, seconds: float) -> dict[str, Any]:
    """Counts and the names of failures of the tests that pytest's ``-k expression`` selects; of
    those done by then, and an "error", where time runs out."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        words = ["-k", expression, "-p", "no:cacheprovider", f"--junitxml={report}"]
        command = [sys.executable, "-m", "pytest", *words]
        child = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
            preexec_fn=_heed_interrupts,
        )  # fmt: skip
        late = {}
        try:
            said, _ = child.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            late = {"error": f"not done after {seconds:.0f} s"}
            said = _interrupt(child)
        if late and not report.exists():
            return late
        if not late and child.returncode > 1:  # not a matter of tests that pass or fail
            lines = said.strip().splitlines() or [f"code {child.returncode}"]
            return {"error": lines[-1]}
        suite = ElementTree.parse(report).getroot()[0]
    counts = {name: int(suite.attrib[name]) for name in ("tests", "failures", "errors", "skipped")}
    failed = counts["failures"] + counts["errors"]
    return {
        "passed": counts["tests"] - failed - counts["skipped"],
        "failed": failed,
        "skipped": counts["skipped"],
        "seconds": float(suite.attrib["time"]),
        "failures": [
            f"{case.attrib['classname']}::{case.attrib['name']}"
            for case in suite.iter("testcase")
            if case.find("failure") is not None or case.find("error") is not None
        ],
        **late,
    }


def _heed_interrupts() -> None:
    """In a child: what shells start in the background ignores SIGINT, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _interrupt(child: subprocess.Popen[str]) -> str:
    """Ctrl-C, at which pytest writes its report; what the child said."""
    child.send_signal(signal.SIGINT)
    try:
        return child.communicate(timeout=GRACE)[0]
    except subprocess.TimeoutExpired:
        child.kill()
        return child.communicate()[0]


def measure(
    contestant: str, threads: int, model: str, batch: int, seconds: float
) -> dict[str, Any]:
    """In the child: "times", seconds of a step, one figure for each turn of several steps; and on
    a GPU "traffic", a step's kernels and copies, or why it is not known."""
    engine = contest.engine(contestant, threads)
    step = (
        _product(engine, batch) if model == PRODUCT else study.training_step(engine, model, batch)
    )

    def turn(steps: int) -> float:
        start = time.perf_counter()
        for _ in range(steps):
            step()
        engine.wait()
        return (time.perf_counter() - start) / steps

    for _ in range(3):  # compiles, and tries algorithms
        turn(1)
    steps = max(1, min(100, int(seconds / 10 / turn(1))))
    found: dict[str, Any] = {"times": [turn(steps) for _ in range(8)]}
    if "gpu" in contestant.split():
        try:
            found["traffic"] = traffic.watched(lambda: turn(WATCHED)).per(WATCHED)._asdict()
        except Exception as error:  # the times are worth more
            found["traffic"] = {"error": f"{type(error).__name__}: {error}"}
    return found


def _product(engine: contest.Engine, size: int) -> Callable[[], Any]:
    a, b = engine.activation(size, size), engine.parameter(size, size)
    return lambda: engine.functional.linear(a, b)


def contestants(device: str, precision: str) -> Sequence[str]:
    """minigrad and PyTorch, then their faster variants."""
    if device == "cpu":
        return "minigrad", "torch channels_last"
    ours, theirs = f"minigrad gpu {precision}", f"torch channels_last gpu {precision}"
    return ours, theirs, f"{ours} captured", f"{theirs} compiled"


def measured(contestant: str, model: str, batch: int, seconds: float) -> dict[str, Any]:
    """What :func:`measure` finds in a child, or the "error" that the child died with."""
    work = {"threads": environment.cores(), "model": model, "batch": batch, "seconds": seconds}
    try:
        found: dict[str, Any] = contest.in_child(NAME, contestant, MOST, **work)
    except contest.ContestError as error:
        return {"error": str(error)}
    return found


def yardstick(names: Sequence[str], size: int, seconds: float) -> dict[str, float | str]:
    """GFLOP/s of each contestant in a product of ``size`` rows and columns, or its error."""
    found: dict[str, float | str] = {}
    for name in names:
        seen = measured(name, PRODUCT, size, seconds)
        if "error" in seen:
            found[name] = seen["error"]
        else:
            found[name] = 2 * size**3 / statistics.median(seen["times"]) / 1e9
    return found


def compare(
    model: str, batch: int, names: Sequence[str], seconds: float, peak: float | str
) -> dict[str, Any]:
    """A training step of ``model`` by all contestants; one that fails leaves its error.

    Args:
        peak: GFLOP/s that the card can do, or why that is not known.
    """
    gflop = study.gflop_per_image(model)
    others = [name for name in names if name.startswith("torch")]
    results: dict[str, Any] = {}
    for name in names:
        seen = measured(name, model, batch, seconds)
        if "error" in seen:
            results[name] = seen
            continue
        times = seen["times"]
        speed = batch / statistics.median(times)
        results[name] = {
            "images_per_second": speed,
            "by_turn": [batch / t for t in times],
            "gflops": speed * gflop,
            "of_peak": None if isinstance(peak, str) else speed * gflop / peak,
            "traffic": seen.get("traffic"),
        }
    speeds = {k: row["images_per_second"] for k, row in results.items() if "error" not in row}
    return {
        "model": model,
        "batch": batch,
        "results": results,
        "ratios": {
            ours: {theirs: speeds[ours] / speeds[theirs] for theirs in speeds if theirs in others}
            for ours in speeds
            if ours not in others
        },
    }


def growth(megabytes: Sequence[float | None]) -> str | None:
    """What is wrong with the GPU memory that a run held after each of its epochs, if anything is:
    the first one shows what it needs. An epoch on another device, before a stop, has None."""
    known = [m for m in megabytes if m is not None]
    if not known or known[-1] <= GROWTH * known[0]:
        return None
    return f"GPU memory grew from {known[0]} MB after an epoch to {known[-1]} MB after the last"


def train_recipe(recipe: str, out: Path, words: Sequence[str], seconds: float) -> dict[str, Any]:
    """Train for at most that long, from where an earlier session stopped if one did.

    Args:
        words: of the command line of ``cifar train``.

    Returns:
        What :mod:`benchmarks.collect` gathers of a finished run; of another the number of "epochs"
        done so far, and the "error" if it was not time that ended it.
    """
    state = out / "state.safetensors"
    command = [*CIFAR, "train", recipe, "--out", str(out), "--no-progress", *words]
    if state.is_file():
        command.append("--resume")
    child = subprocess.Popen(command, stderr=subprocess.PIPE, encoding="utf-8")
    in_time = True
    try:
        _, said = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        in_time = False
        child.terminate()  # training saves its state and stops
        _, said = child.communicate()
    if child.returncode == 0:
        found = collect.gather([out])
        grown = growth([line.get("gpu_memory_mb") for line in found["runs"][0]["epochs"]])
        return {"finished": True, **found, **({"error": grown} if grown else {})}
    done = 0
    if state.is_file():
        done = len(mg.checkpoint.read(state)[1]["progress"]["history"])
    lines = said.strip().splitlines() or [f"exit code {child.returncode}"]
    return {"epochs": done, **({"error": lines[-1]} if in_time else {})}


# ---------------------------------------------------------------------------- the session


def describe(device: mg.device) -> dict[str, Any]:
    """The machine, with its GPU and driver if it is one that computes."""
    found = contest.describe()
    if device.type == "gpu":
        runtime = device.xp.cuda.runtime
        properties = runtime.getDeviceProperties(device.index)
        found["gpu"] = {
            "name": properties["name"].decode(),
            "compute_capability": f"{properties['major']}.{properties['minor']}",
            "memory_gib": round(properties["totalGlobalMem"] / 2**30, 1),
            "multiprocessors": properties["multiProcessorCount"],
            "cuda_of_driver": runtime.driverGetVersion(),
            "cuda_of_cupy": runtime.runtimeGetVersion(),
            "cupy": device.xp.__version__,
            "driver": _driver(),
        }
    return found


def _driver() -> str | None:
    """The version of NVIDIA's driver."""
    file = Path("/proc/driver/nvidia/version")
    match = re.search(r"\b\d+\.\d+(\.\d+)?\b", file.read_text("utf-8")) if file.exists() else None
    return match[0] if match else None


def session(given: argparse.Namespace) -> dict[str, Any]:
    """Do what is missing in the file ``given.out`` while there is time; returns what it holds."""
    clock = Clock(given.budget)
    device = train.find_device(given.device)
    train.use_precision(given.precision, device)
    precision = mg.get_precision() if device.type == "gpu" else "fp32"
    names = contestants(device.type, precision)
    asked = {
        "device": str(device),
        "dataset": given.dataset,
        "precision": precision,
        "epochs": given.epochs,
        "capture": given.capture,
        "tests": given.tests,
    }
    found: dict[str, Any] = {"asked": asked, "sessions": [], "steps": {}, "trainings": {}}
    if given.out.exists():
        found = json.loads(given.out.read_text("utf-8"))
        if found["asked"] != asked:
            raise UserError(f"out: {given.out} is of a session with {found['asked']}")
    found["sessions"].append({"machine": describe(device), "budget": given.budget})

    def keep(part: dict[str, Any], name: str, result: Any) -> None:
        part[name] = result
        environment.write(given.out, found)

    def test(part: str) -> None:
        if part not in found and given.tests and not clock.up():
            which, at_most = TESTS[part]
            expression = f"({given.tests}) and {which}"
            keep(found, part, run_tests(expression, at_most * clock.left()))
            print(f"{part}: {found[part]}", flush=True)

    test("tests")
    if "yardstick" not in found and not clock.up():
        keep(found, "yardstick", yardstick(names[:2], SIZE[device.type], given.seconds))
        print(f"GFLOP/s of a product: {found['yardstick']}", flush=True)
    for model in given.model or models.names():
        if model not in found["steps"] and not clock.up():
            batch = given.batch or study.recipe(model).batch_size
            peak = found["yardstick"][names[1]]
            keep(found["steps"], model, compare(model, batch, names, given.seconds, peak))
            print(show(found["steps"][model]), flush=True)
    test("parity")
    for recipe in given.recipe or RECIPES:
        if found["trainings"].get(recipe, {}).get("finished") or clock.up():
            continue
        out = given.out.with_suffix("") / recipe
        result = train_recipe(recipe, out, _words(given), clock.left())
        keep(found["trainings"], recipe, result)
    environment.write(given.out, found)
    return found


def _words(given: argparse.Namespace) -> list[str]:
    """What every training is told."""
    options = {
        "device": given.device,
        "dataset": given.dataset,
        "data-dir": given.data,
        "precision": given.precision,
        "epochs": given.epochs,
    }
    words = [word for k, v in options.items() if v is not None for word in (f"--{k}", str(v))]
    return [*words, "--capture"] if given.capture else words


def show(steps: dict[str, Any]) -> str:
    """The contestants of one model as a table."""
    rows = [
        (
            name,
            row.get("error") or f"{row['images_per_second']:.0f}",
            f"{row['of_peak']:.0%}" if row.get("of_peak") else "",
            f"{row['traffic']['kernels']:.0f}" if "kernels" in (row.get("traffic") or {}) else "",
            ", ".join(f"{ratio:.2f}" for ratio in steps["ratios"].get(name, {}).values()),
        )
        for name, row in steps["results"].items()
    ]
    header = (
        f"{steps['model']}, batch {steps['batch']}",
        "images/s",
        "of peak",
        "kernels",
        "/ PyTorch",
    )
    return table(header, rows) + "\n"


def duration(text: str) -> float:
    """Seconds, for argparse, of a number with s, m or h."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if not match or not float(match[1]):
        raise argparse.ArgumentTypeError(f"expected a time such as 90s, 25m or 1h, got {text!r}")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    add = parser.add_argument
    add("--budget", type=duration, required=True, help="time for all of it, such as 25m")
    add("--data", help="folder of CIFAR-10 (default: the usual places)")
    add("--out", type=contest.new_file, required=True, help="the JSON file; runs lie beside it")
    add("--device", default="gpu", help="gpu, gpu:N or cpu (gpu)")
    add("--dataset", default="cifar10", help="cifar10 or synthetic (cifar10)")
    add("--precision", help="fp32, tf32 or bf16 (the card's default)")
    add("--capture", action="store_true", help="train with captured steps")
    add("--epochs", type=contest.positive, help="of each recipe, in place of its own")
    add("--batch", type=contest.positive, help="images per measured step (the recipe's)")
    add("--seconds", type=contest.seconds, default=4.0, help="of each measurement, about (4)")
    add("--tests", default="gpu", help="pytest's -k expression of the tests; '' for none (gpu)")
    add("--model", action="append", choices=models.names(), help="measure this one; repeatable")
    add("--recipe", action="append", choices=recipes.names(), help="train this one; repeatable")
    given = parser.parse_args()
    try:
        found = session(given)
    except (UserError, mg.DeviceError) as error:
        sys.exit(f"error: {error}")
    for recipe, result in found["trainings"].items():
        if "error" in result:
            print(f"{recipe}: error: {result['error']}")
        if "final" in result:
            print(f"{recipe}: test accuracy {result['final']['test_accuracy']['mean']:.4f}")


if __name__ == "__main__":
    contest.run(main)
