"""Overhead of an operation: minigrad and PyTorch on tensors of 4 x 4.

    python -m benchmarks.tiny --out tiny.json     # half a minute

Each row is one whole call: the forward pass of an operation, recorded or not, or the operation and
a sum with the backward pass to the operands. "network" is a training step of the four-block model
on two images of 12 x 12 pixels: some 40 operations and an update of 22 parameters. Microseconds are
the smallest mean over 20 successive calls, on one thread. A ratio is PyTorch's time divided by
minigrad's: above 1, minigrad is faster.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable
from typing import Any

from benchmarks import contest, study
from benchmarks.contest import Engine
from cifar import environment, models

NAME = "tiny"
CONTESTANTS = ("minigrad", "torch nchw")
CALLS = 20  # in a run
ROWS = (
    *("matmul", "add", "mul", "relu", "sum", "linear"),
    *("add, unrecorded", "relu, unrecorded", "linear, unrecorded"),
    *("matmul, backward", "add, backward", "mul, backward", "relu, backward", "linear, backward"),
    *("SGD step", "network"),
)


def work(engine: Engine, row: str) -> Callable[[], object]:
    """A function that makes the call of ``row``."""
    if row == "network":
        return _network(engine)
    a, b, w = (_leaf(engine, 4, 4) for _ in range(3))
    c = _leaf(engine, 4)
    if row == "SGD step":
        parameters = [a, b, w, c]
        for p in parameters:
            p.grad = engine.like(p)
        update: Callable[[], object] = engine.optim.SGD(parameters, lr=1e-9, momentum=0.9).step
        return update
    name, _, part = row.partition(", ")
    for x in (a, b, w, c):
        x.requires_grad = part != "unrecorded"
    run: Callable[[], Any] = {
        "matmul": lambda: a @ b,
        "add": lambda: a + b,
        "mul": lambda: a * b,
        "relu": lambda: engine.functional.relu(a),
        "sum": lambda: a.sum(),
        "linear": lambda: engine.functional.linear(a, w, c),
    }[name]
    return (lambda: run().sum().backward()) if part == "backward" else run


def _leaf(engine: Engine, *shape: int) -> Any:
    leaf = engine.library.ones(*shape)
    leaf.requires_grad = True
    return leaf


def _network(engine: Engine) -> Callable[[], object]:
    if engine.library.__name__ == "minigrad":
        model = models.create("four-block", image_size=12)
    else:
        from cifar.twins.reference import models as twins

        model = twins.load("four_block").create(image_size=12)
    update = study.optimizer(engine, "four-block", model.parameters())
    images, labels = engine.activation(2, 3, 12, 12), engine.labels(2)

    def step() -> None:
        loss = engine.functional.cross_entropy(model(images), labels)
        update.zero_grad()
        loss.backward()
        update.step()

    return step


def measure(contestant: str, threads: int, rows: list[str], seconds: float) -> dict[str, float]:
    """In the child: microseconds of a call, by row."""
    engine = contest.engine(contestant, threads)
    return {row: 1e6 * least(work(engine, row), seconds) for row in rows}


def least(call: Callable[[], object], seconds: float) -> float:
    """The smallest mean time over a run of :data:`CALLS` calls, of runs within ``seconds``."""
    for _ in range(CALLS):
        call()
    gc.collect()
    best, end = math.inf, time.perf_counter() + seconds
    while (start := time.perf_counter()) < end or best == math.inf:
        for _ in range(CALLS):
            call()
        best = min(best, (time.perf_counter() - start) / CALLS)
    return best


def compare(rows: list[str], seconds: float, rounds: int) -> list[dict[str, Any]]:
    """For each row, the microseconds of both libraries and the ratio."""
    runs = contest.rounds(NAME, CONTESTANTS, rounds, threads=1, rows=rows, seconds=seconds)
    results = []
    for row in rows:
        ours, theirs = (min(run[row] for run in runs[name]) for name in CONTESTANTS)
        results.append({"row": row, "minigrad": ours, "torch": theirs, "ratio": theirs / ours})
    return results


def main() -> None:
    """Command line."""
    given = contest.parser(__doc__, turns=2, per_turn=0.5).parse_args()
    rows = compare(list(ROWS), given.seconds, given.rounds)
    print(f"{'':18s} {'minigrad':>9s} {'PyTorch':>9s} {'ratio':>6s}   (microseconds)")
    for row in rows:
        print(
            f"{row['row']:18s} {row['minigrad']:9.1f} {row['torch']:9.1f} {row['ratio']:6.2f}",
            flush=True,
        )
    if given.out:
        head = {"machine": contest.describe(), "seconds": given.seconds, "rounds": given.rounds}
        environment.write(given.out, {**head, "results": rows})


if __name__ == "__main__":
    contest.run(main)
