"""How much of a training step runs on one core: Amdahl's law from the time on one and on two.

    python -m benchmarks.serial --out serial.json
    python -m benchmarks.serial --model gated --batch 8

Of a step that takes T₁ on one thread and T₂ on two, the fraction f = 2 T₂ / T₁ − 1 is not shared:
T₂ = f T₁ + (1 − f) T₁ / 2. It counts whatever two threads do not make faster, such as Python
between operations, the wait for a thread, and memory that both cores read. Both numbers of threads
run in turn, each in its own process; times are the smallest of all rounds.

A second table says where: in which operations, forward and backward, in the optimiser or in the
rest, which is mostly Python between them. Each part has its own T₁ and T₂, of the fastest step.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import minigrad as mg
from benchmarks import contest, study
from cifar import environment
from cifar.results.tables import table

NAME = "serial"
REST = "the rest"
Operation: Any = type(mg.op(lambda x: (x, None)))


class Clock:
    """Seconds of each part of a step. Parts do not contain each other, except the rest."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function``, whose time is added to that of ``part``."""

        def call(*args: Any, **params: Any) -> Any:
            start = time.perf_counter()
            result = function(*args, **params)
            self.seconds[part] += time.perf_counter() - start
            return result

        return call

    def watch(self) -> None:
        """Time all operations and optimisers of this process."""
        choose, step = Operation.choose, mg.optim.Optimizer.step

        def choose_timed(operation: Any, args: Any, params: Any) -> Any:
            forward = self.timed(f"{operation.name}, forward", choose(operation, args, params))

            def run(*args: Any, **params: Any) -> Any:
                y, backward = forward(*args, **params)
                return y, self.timed(f"{operation.name}, backward", backward)

            return run

        Operation.choose = choose_timed
        mg.optim.Optimizer.step = self.timed("optimiser", step)  # type: ignore[method-assign]


def measure(contestant: str, threads: int, model: str, batch: int, steps: int) -> dict[str, float]:
    """In the child: seconds of each part of the fastest of ``steps`` steps."""
    clock = Clock()
    clock.watch()
    step = clock.timed(REST, study.training_step(contest.engine(contestant, threads), model, batch))
    step()
    best: dict[str, float] = {}
    for _ in range(steps):
        clock.seconds.clear()
        step()
        if not best or clock.seconds[REST] < best[REST]:
            best = dict(clock.seconds)
    best[REST] -= sum(best.values()) - best[REST]
    return best


def compare(model: str, batch: int, steps: int, rounds: int) -> dict[str, Any]:
    """Seconds of a training step on one thread and on two, what is not shared, and its parts."""
    work: dict[str, Any] = {"model": model, "batch": batch, "steps": steps}
    seconds: dict[int, list[float]] = {1: [], 2: []}
    turns: dict[int, list[dict[str, float]]] = {1: [], 2: []}
    for _ in range(rounds):
        for threads, found in seconds.items():
            turn = contest.in_child("train_step", "minigrad", threads=threads, **work)
            found.append(min(turn["times"]))
            turns[threads].append(contest.in_child(NAME, "minigrad", threads=threads, **work))
    one, two = (min(found) for found in seconds.values())
    first, second = (min(found, key=lambda turn: sum(turn.values())) for found in turns.values())
    parts = [{"part": part, "one": first[part], "two": second[part]} for part in first]
    head = {"model": model, "batch": batch, "one": one, "two": two, "serial": 2 * two / one - 1}
    return {**head, "parts": sorted(parts, key=lost, reverse=True)}


def lost(part: dict[str, Any]) -> float:
    """Seconds of a step by which a part is longer on two threads than half of that on one, twice:
    the part's share of f T₁."""
    seconds: float = 2 * part["two"] - part["one"]
    return seconds


def show(rows: list[dict[str, Any]]) -> str:
    """The rows as a table."""
    header = ("model, batch", "1 thread, ms", "2 threads, ms", "speed-up", "not shared")
    lines = [
        (
            f"{row['model']}, {row['batch']}",
            f"{1e3 * row['one']:.1f}",
            f"{1e3 * row['two']:.1f}",
            f"{row['one'] / row['two']:.2f}",
            f"{row['serial']:.0%}",
        )
        for row in rows
    ]
    return table(header, lines)


def show_parts(row: dict[str, Any]) -> str:
    """The parts of a row that lose most, down to a hundredth of the step, as a table."""
    header = ("part", "1 thread, ms", "2 threads, ms", "not shared, ms", "of the step")
    lines = [
        (
            part["part"],
            f"{1e3 * part['one']:.1f}",
            f"{1e3 * part['two']:.1f}",
            f"{1e3 * lost(part):.1f}",
            f"{lost(part) / row['one']:.0%}",
        )
        for part in row["parts"]
        if lost(part) > row["one"] / 100
    ]
    return table(header, lines)


def main() -> None:
    """Command line."""
    parser = contest.parser(__doc__, turns=2)
    add = parser.add_argument
    add("--model", nargs="+", default=study.MODELS, choices=study.MODELS, help="default: all")
    add("--batch", type=contest.positive, help="images per step (default: the recipe's)")
    add("--steps", type=contest.positive, default=2, help="timed steps of a turn (2)")
    given = parser.parse_args()
    rows = []
    for model in given.model:
        batch = given.batch or study.recipe(model).batch_size
        rows.append(compare(model, batch, given.steps, given.rounds))
        print(show(rows[-1:]), show_parts(rows[-1]), sep="\n\n", end="\n\n", flush=True)
    print(show(rows))
    if given.out:
        head = {"steps": given.steps, "rounds": given.rounds}
        environment.write(given.out, {"machine": contest.describe(), **head, "results": rows})


if __name__ == "__main__":
    contest.run(main)
