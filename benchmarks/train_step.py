"""Speed and peak memory of a training step, compared with PyTorch, on the CPU.

    python -m benchmarks.train_step                      # all models; the speed ones take longest
    python -m benchmarks.train_step --model simple --model gated
    python -m benchmarks.train_step --batch 2000 --skip-plain --steps 1 --rounds 1    # memory

The contestants (see :mod:`benchmarks.contest`) run in turn on the same number of threads: forward,
cross-entropy, backward and optimiser step on one random batch of the recipe's size. Speed is the
median over all steps of all rounds; the ratio is to the fastest of PyTorch's variants. GFLOP/s
count the convolutions and linear layers by their definition, and are compared with a large matrix
product on the same machine just before. Winograd's convolution needs fewer operations than counted,
so values above 100 % are possible.

Memory is the growth of the process's peak resident size during the steps, the median over rounds.
The library, the model's code and, for minigrad, Numba with LLVM are loaded before, by one small
operation. All contestants run the same number of steps. If Numba's cache is empty, the first turn
compiles, and its memory is larger.
"""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks import contest, study
from benchmarks.contest import OURS, TORCH
from cifar import environment
from cifar.results.tables import table

NAME = "train_step"
CONTESTANTS = (*OURS, *TORCH)
LEAST, MOST = 2, 20  # steps of a turn


def measure(contestant: str, threads: int, model: str, batch: int, steps: int) -> dict[str, Any]:
    """In the child: seconds of each step, and growth of peak memory in MB."""
    engine = contest.engine(contestant, threads)
    before = environment.peak_memory_mb()
    step = study.training_step(engine, model, batch)
    times = contest.times(step, least=steps, warm=max(1, steps // 6))
    return {"times": times, "memory_mb": environment.peak_memory_mb() - before}


def steps_of(gflop: float, peak: float, seconds: float) -> int:
    """The number of steps of ``gflop`` each that take ``seconds`` at half of the peak GFLOP/s."""
    return min(max(int(seconds * peak / 2 / gflop), LEAST), MOST)


def compare(
    model: str,
    batch: int,
    threads: int,
    steps: int,
    rounds: int,
    peak: float,
    contestants: tuple[str, ...] = CONTESTANTS,
) -> dict[str, Any]:
    """Run all ``contestants`` in turn, for several rounds.

    Args:
        peak: the machine's peak GFLOP/s.
    """
    work = {"threads": threads, "model": model, "batch": batch, "steps": steps}
    runs = contest.rounds(NAME, contestants, rounds, **work)
    gflop = study.gflop_per_image(model)
    results = {}
    for name, turns in runs.items():
        speed = batch / statistics.median(t for turn in turns for t in turn["times"])
        results[name] = {
            "images_per_second": speed,
            "by_round": [batch / statistics.median(turn["times"]) for turn in turns],
            "gflops": speed * gflop,
            "of_peak": speed * gflop / peak,
            "memory_mb": statistics.median(turn["memory_mb"] for turn in turns),
        }
    best = max(TORCH, key=lambda name: results[name]["images_per_second"])
    ours, theirs = results["minigrad"], results[best]
    return {
        "model": model,
        "recipe": study.recipe(model).name,
        "batch": batch,
        "steps": steps,
        "gflop_per_image": gflop,
        "results": results,
        "best_torch": best,
        "ratio": ours["images_per_second"] / theirs["images_per_second"],
        "memory_ratio": ours["memory_mb"] / theirs["memory_mb"],
    }


def show(result: dict[str, Any]) -> str:
    """The contestants of one model as a table."""
    header = ("contestant", "images/s", "by round", "GFLOP/s", "of peak", "memory MB")
    rows = [
        (
            name,
            f"{row['images_per_second']:.1f}",
            f"{min(row['by_round']):.1f} – {max(row['by_round']):.1f}",
            f"{row['gflops']:.1f}",
            f"{row['of_peak']:.0%}",
            f"{row['memory_mb']:.0f}",
        )
        for name, row in result["results"].items()
    ]
    return (
        f"{result['model']}, batch {result['batch']}, {result['gflop_per_image']:.3f} GFLOP/image, "
        f"{result['steps']} steps a turn\n{table(header, rows)}\n"
        f"minigrad / {result['best_torch']}: "
        f"speed {result['ratio']:.2f}, memory {result['memory_ratio']:.2f}\n"
    )


def summary(results: list[dict[str, Any]]) -> str:
    """minigrad and the fastest PyTorch, with a line for each model."""
    header = (
        "model, batch",
        "minigrad images/s",
        "NumPy only",
        "best PyTorch images/s",
        "ratio",
        "of peak",
        "memory MB, minigrad / PyTorch",
    )
    rows = []
    for model in results:
        compiled, plain = (model["results"].get(name) for name in OURS)
        best = model["results"][model["best_torch"]]
        rows.append(
            (
                f"{model['model']}, {model['batch']}",
                f"{compiled['images_per_second']:.0f}",
                f"{plain['images_per_second']:.0f}" if plain else "–",
                f"{best['images_per_second']:.0f}",
                f"{model['ratio']:.2f}",
                f"{compiled['of_peak']:.0%}",
                f"{compiled['memory_mb']:.0f} / {best['memory_mb']:.0f}",
            )
        )
    return table(header, rows)


def main() -> None:
    """Command line."""
    parser = contest.parser(__doc__, turns=3, per_turn=2.0)
    add = parser.add_argument
    add("--model", action="append", choices=study.MODELS, help="this one; several times for more")
    add("--batch", type=contest.positive, help="images per step (default: the recipe's)")
    help = f"timed steps per turn (default: {LEAST} to {MOST}, by --seconds and the model's cost)"
    add("--steps", type=contest.positive, help=help)
    add("--threads", type=contest.positive, default=environment.cores(), help="of each contestant")
    add("--skip-plain", action="store_true", help="leave out minigrad in plain NumPy, the slowest")
    given = parser.parse_args()
    contestants = tuple(c for c in CONTESTANTS if not (given.skip_plain and c == OURS[1]))
    peaks = environment.peaks(given.threads)
    print(contest.heading(given.threads, peaks), flush=True)
    results = []
    for model in given.model or study.MODELS:
        batch = given.batch or study.recipe(model).batch_size
        cost = study.gflop_per_image(model) * batch
        steps = given.steps or steps_of(cost, peaks["gflops"], given.seconds)
        work = model, batch, given.threads, steps, given.rounds, peaks["gflops"]
        results.append(compare(*work, contestants))
        print(show(results[-1]), flush=True)
    print(summary(results))
    if given.out:
        head = {"threads": given.threads, "rounds": given.rounds, "peaks": peaks}
        environment.write(given.out, {"machine": contest.describe(), **head, "models": results})


if __name__ == "__main__":
    contest.run(main)
