"""How much of a training step runs on one core: Amdahl's law from the time on one and on two.

    python -m benchmarks.serial --out serial.json
    python -m benchmarks.serial --model gated --batch 8

Of a step that takes T₁ on one thread and T₂ on two, the fraction f = 2 T₂ / T₁ − 1 is not shared:
T₂ = f T₁ + (1 − f) T₁ / 2. It counts whatever two threads do not make faster, such as Python
between operations, the wait for a thread, and memory that both cores read. Both numbers of threads
run in turn, each in its own process; times are the smallest of all rounds.
"""

from __future__ import annotations

from typing import Any

from benchmarks import contest, study
from cifar import environment
from cifar.results.tables import table


def compare(model: str, batch: int, steps: int, rounds: int) -> dict[str, Any]:
    """Seconds of a training step on one thread and on two, and what is not shared."""
    work: dict[str, Any] = {"model": model, "batch": batch, "steps": steps}
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(rounds):
        for threads, found in seconds.items():
            turn = contest.in_child("train_step", "minigrad", threads=threads, **work)
            found.append(min(turn["times"]))
    one, two = min(seconds[1]), min(seconds[2])
    return {"model": model, "batch": batch, "one": one, "two": two, "serial": 2 * two / one - 1}


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
        print(show(rows[-1:]), flush=True)
    print(show(rows))
    if given.out:
        head = {"steps": given.steps, "rounds": given.rounds}
        environment.write(given.out, {"machine": contest.describe(), **head, "results": rows})


if __name__ == "__main__":
    contest.run(main)
