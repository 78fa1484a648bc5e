"""The cost of data-parallel training: bytes, measured efficiency, and a model of many ranks.

    python -m benchmarks.parallel --out parallel.json --plot parallel.png     # about two minutes
    python -m benchmarks.parallel --redraw parallel.json --plot parallel.png

On this machine, with one thread per rank, it measures a training step of one rank, of two ranks
that average their gradients, and of two that do not (which shows the loss from sharing the memory),
and sums over two ranks of arrays of many sizes. It fits a model of latency, bandwidth and computing
time to these figures, and extrapolates it to 1,024 ranks. :data:`ASSUMPTIONS` lists the model's
assumptions.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import minigrad as mg
from benchmarks import contest
from cifar import environment, models, recipes
from cifar.results import plots
from cifar.results.tables import table

F, D = mg.functional, mg.distributed

MODELS = ("resnet-82", "dense-residual")
BATCHES = (2, 4, 16, 64)  # images per step of one rank
BATCH = 16  # images on each of two ranks
STEPS = 7
MOST = 300  # seconds for one job
SIZES = tuple(2**k for k in range(3, 26, 2))  # bytes
RANKS = tuple(2**k for k in range(11))
BUCKET = 25 * 2**20  # bytes, of GradientAverager
BACKWARD = 2 / 3  # of a step's computing
NETWORKS = {  # name: (latency in seconds, bandwidth in bytes per second). The first is measured.
    "this machine's memory": None,
    "100 Gbit/s InfiniBand": (2e-6, 12.5e9),
    "10 Gbit/s Ethernet": (25e-6, 1.25e9),
}
ASSUMPTIONS = (
    "The time of a step of b images on one rank is interpolated linearly between the measured "
    "batch sizes, and extrapolated beyond them; ranks slow each other down only by messages (each "
    "has its own memory).",
    "Adding n bytes over p ranks takes 2 log2(p) L + 2 (p - 1)/p n / W, with latency L and "
    "bandwidth W (Rabenseifner's algorithm; Thakur et al. 2005); links do not share bandwidth.",
    "L and W of this machine follow from the smallest and the largest sum over two ranks; those "
    "of networks are nominal values, not measured.",
    "Packing gradients into buckets and unpacking them takes a constant time per byte, on any "
    "network: the difference between a measured step of two ranks and its model.",
    "Backward takes two thirds of a step. Buckets of 25 MiB are sent during it, as the gradients "
    "become final at a constant rate; the step waits for the messages that are not complete at "
    "its end, at least for the last bucket. Advancing messages costs no computing time.",
    "Synchronised batch norm waits for the latency of two messages per layer.",
    "All ranks are equally fast; no rank waits for data.",
)


# ---------------------------------------------------------------------------- on the ranks


def job(work: dict[str, Any]) -> None:
    """On each rank that mpirun starts: measure, and print the result on rank 0."""
    mg.set_num_threads(1)
    with D.process_group():
        result = times_of_sums() if work["model"] is None else times_of_steps(**work)
        if D.get_rank() == 0:
            print(json.dumps(result))


def slowest(seconds: list[float]) -> list[float]:
    """The maximum of each time over the ranks."""
    longest = mg.tensor(seconds, dtype="float64")
    D.all_reduce(longest, D.ReduceOp.MAX)
    return longest.tolist()


def times_of_sums() -> dict[str, float]:
    """Median seconds of ``all_reduce`` by the number of bytes."""
    medians = {}
    for size in SIZES:
        array = mg.zeros(max(1, size // 4))
        times = []
        for _ in range(12 if size > 2**20 else 60):
            D.barrier()
            started = time.perf_counter()
            D.all_reduce(array)
            times.append(time.perf_counter() - started)
        medians[str(size)] = statistics.median(slowest(times[2:]))
    return medians


def times_of_steps(model: str, average: bool, batches: list[int]) -> dict[str, Any]:
    """Seconds of training steps by the batch of each rank, and the bytes that a step sends."""
    network = models.create(model)
    averager = D.GradientAverager(network.parameters()) if average else None
    optimizer = mg.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    result: dict[str, Any] = {"bytes": averager.bytes if averager else 0, "seconds": {}}
    for batch in batches:
        images, labels = mg.randn(batch, 3, 32, 32), mg.arange(batch) % 10
        times = []
        for _ in range(STEPS + 1):
            D.barrier()
            started = time.perf_counter()
            loss = F.cross_entropy(network(images), labels)
            optimizer.zero_grad()
            if averager is None:
                loss.backward()
            else:
                averager.backward(loss, batch, batch * D.get_world_size())
            optimizer.step()
            times.append(time.perf_counter() - started)
        result["seconds"][str(batch)] = slowest(times[1:])
    return result


def on_ranks(ranks: int, launcher: list[str], **work: Any) -> dict[str, Any]:
    """The result of :func:`job` on ``ranks`` ranks."""
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    program = [sys.executable, "-m", "benchmarks.parallel", "--job", json.dumps(work)]
    try:
        done = subprocess.run(
            [*launcher, "mpirun", "--oversubscribe", "-n", str(ranks), *program],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            env=os.environ | root | {"MINIGRAD_NUM_THREADS": "1"},
            check=False,
            timeout=MOST,
        )
    except subprocess.TimeoutExpired:
        sys.exit(f"error: the job on {ranks} ranks is not done after {MOST} s")
    if done.returncode:
        sys.exit(f"error: the job ended with {done.returncode}: {done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


# ---------------------------------------------------------------------------- the model


def fitted_link(seconds: dict[str, float]) -> dict[str, float]:
    """Latency L in seconds and bandwidth W in bytes per second of 2 L + n / W for two ranks."""
    (_, least), *_, (size, most) = ((int(size), time) for size, time in seconds.items())
    return {"latency": least / 2, "bandwidth": size / (most - least)}


def computing(batch: float, step: dict[str, float]) -> float:
    """Seconds of a step of one rank, interpolated from the measured batches."""
    sizes, times = np.array([float(size) for size in step]), np.array([*step.values()])
    last = min(max(int(np.searchsorted(sizes, batch)), 1), len(sizes) - 1)
    slope = (times[last] - times[last - 1]) / (sizes[last] - sizes[last - 1])
    return float(max(times[last - 1] + (batch - sizes[last - 1]) * slope, times[0] / 2))


def sum_seconds(ranks: int, size: float, link: dict[str, float]) -> float:
    """Seconds to sum ``size`` bytes over the ranks."""
    if ranks == 1:
        return 0.0
    share = 2 * (ranks - 1) / ranks * size / link["bandwidth"]
    return 2 * math.log2(ranks) * link["latency"] + share


def step_seconds(
    ranks: int,
    batch: float,
    size: int,
    step: dict[str, float],
    link: dict[str, float],
    norms: int,
    packing: float,
) -> float:
    """Seconds of a training step in which each rank has ``batch`` images and sends ``size`` bytes,
    with ``norms`` layers of synchronised batch norm."""
    took = computing(batch, step)
    if ranks == 1:
        return took
    buckets = max(1, math.ceil(size / BUCKET))
    each = sum_seconds(ranks, size / buckets, link)
    ended = took * (1 - BACKWARD)
    for bucket in range(1, buckets + 1):
        ready = took * (1 - BACKWARD) + took * BACKWARD * bucket / buckets
        ended = max(ended, ready) + each
    return ended + 2 * norms * sum_seconds(ranks, 0, link) + packing * size


def extrapolated(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Efficiency by model, network and number of ranks: with the same batch on each rank, also with
    synchronised batch norm, and with the recipe's batch divided among the ranks."""
    rows = []
    for name, figures in results["models"].items():
        for network, link in results["links"].items():
            for ranks in RANKS:
                fixed = figures["size"], figures["step"], link, figures["packing"]

                def took(batch: float, ranks: int, norms: int, fixed: Any = fixed) -> float:
                    size, step, link, packing = fixed
                    return step_seconds(ranks, batch, size, step, link, norms, packing)

                batch = figures["recipe_batch"]
                alone = took(batch, 1, 0)
                rows.append(
                    {
                        "model": name,
                        "network": network,
                        "ranks": ranks,
                        "same_batch": alone / took(batch, ranks, 0),
                        "synchronised": alone / took(batch, ranks, figures["norms"]),
                        "divided_batch": alone / took(batch / ranks, ranks, 0) / ranks
                        if ranks <= batch
                        else None,
                    }
                )
    return rows


# ---------------------------------------------------------------------------- all


def measure(launcher: list[str]) -> dict[str, Any]:
    """All measurements, and the model that is fitted to them."""
    sums = on_ranks(2, launcher, model=None)
    link = fitted_link(sums)
    links = {
        name: link if given is None else dict(zip(("latency", "bandwidth"), given, strict=True))
        for name, given in NETWORKS.items()
    }
    results: dict[str, Any] = {"sums": sums, "links": links, "models": {}}
    for name in MODELS:
        batch = [BATCH]
        alone = on_ranks(1, launcher, model=name, average=False, batches=BATCHES)
        separate = on_ranks(2, launcher, model=name, average=False, batches=batch)
        both = on_ranks(2, launcher, model=name, average=True, batches=batch)
        first, second, third = (
            statistics.median(one["seconds"][str(batch[0])]) for one in (alone, separate, both)
        )
        step = {size: statistics.median(times) for size, times in alone["seconds"].items()}
        modelled = step_seconds(2, BATCH, both["bytes"], step, link, 0, 0.0)
        network = models.create(name)
        norm = (mg.nn.BatchNorm1d, mg.nn.BatchNorm2d)
        recipe = recipes.load(name)
        results["models"][name] = {
            "batch": batch[0],
            "size": both["bytes"],
            "norms": sum(isinstance(module, norm) for module in network.modules()),
            "recipe_batch": recipe.batch_size,
            "seconds": {"one rank": alone["seconds"], "two apart": separate["seconds"]}
            | {"two": both["seconds"]},
            "efficiency": {
                "two ranks that average nothing": first / second,
                "two ranks": first / third,
                "of the averaging alone": second / third,
            },
            "step": step,
            "packing": max(0.0, third - second + first - modelled) / both["bytes"],
        }
    results["ranks"] = extrapolated(results)
    return results


def show(results: dict[str, Any]) -> str:
    """The measured figures as a table."""
    header = ("model", "MB per step", "1 rank s", "2 apart s", "2 ranks s", "efficiency")
    rows = []
    for name, figures in results["models"].items():
        times = [
            statistics.median(seconds[str(figures["batch"])])
            for seconds in figures["seconds"].values()
        ]
        shown = [f"{seconds:.3f}" for seconds in times]
        rows.append(
            (name, f"{figures['size'] / 1e6:.2f}", *shown, figures["efficiency"]["two ranks"])
        )
    return table(header, [(*row[:-1], f"{row[-1]:.1%}") for row in rows])


def draw(results: dict[str, Any], path: Path) -> None:
    """Plot efficiency over ranks, with a column for each model: above with the same batch on each
    rank, below with the recipe's batch divided."""
    colours = (plots.BLUE, plots.ORANGE, "#575f67")
    with plots.picture(path, 2, 2, (10, 7.4), sharex=True, sharey=True) as (figure, axes):
        for column, (name, figures) in enumerate(results["models"].items()):
            for colour, network in zip(colours, results["links"], strict=True):
                rows = [
                    row
                    for row in results["ranks"]
                    if (row["model"], row["network"]) == (name, network)
                ]
                curves = (
                    (0, "same_batch", "-", network),
                    (0, "synchronised", ":", None),
                    (1, "divided_batch", "-", None),
                )
                for place, key, line, label in curves:
                    known = [row for row in rows if row[key] is not None]
                    axes[place, column].plot(
                        [row["ranks"] for row in known],
                        [100 * row[key] for row in known],
                        color=colour,
                        linestyle=line,
                        label=label,
                    )
            measured = (
                ("two ranks", "black", "measured with 16 images, the ranks sharing one memory"),
                ("of the averaging alone", "white", "the same, against two ranks apart"),
            )
            for key, fill, label in measured:
                axes[0, column].plot(
                    [2],
                    [100 * figures["efficiency"][key]],
                    "o",
                    color="black",
                    markerfacecolor=fill,
                    label=label,
                )
            batch = figures["recipe_batch"]
            axes[0, column].set_title(f"{name}: {batch} images on each rank")
            axes[1, column].set_title(f"{name}: {batch} images divided among the ranks")
            axes[1, column].set(xscale="log", xlabel="ranks")
            plots.write_out(axes[1, column].xaxis, [1, 4, 16, 64, 256, 1024])
        for axis in axes.flat:
            axis.set(ylim=(0, 105))
            axis.grid(alpha=0.3)
        for axis in axes[:, 0]:
            axis.set_ylabel("efficiency (%)")
        axes[0, 0].plot([], [], ":", color="black", label="with synchronised batch norm")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
        figure.suptitle("Data-parallel training: a model fitted to one and two ranks")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add = parser.add_argument
    add("--job", type=json.loads, help=argparse.SUPPRESS)
    add("--launcher", default="", help="a command to put before mpirun")
    add("--out", help="write the results here, as JSON")
    add("--plot", type=Path, help="draw them into this PNG file")
    add("--redraw", type=Path, metavar="JSON", help="only draw what --out wrote before")
    given = parser.parse_args()
    if given.job:
        job(given.job)
        return
    if given.redraw:
        results = json.loads(given.redraw.read_text("utf-8"))
        results["ranks"] = extrapolated(results)
    else:
        machine = contest.describe()
        if given.launcher:
            machine["command"] = machine["command"].replace(given.launcher, "...")
        results = {"machine": machine | {"threads": 1}, "assumptions": ASSUMPTIONS}
        results |= measure(shlex.split(given.launcher))
        print(show(results))
        if given.out:
            environment.write(given.out, results)
    if given.plot:
        draw(results, given.plot)


if __name__ == "__main__":
    contest.run(main)
