"""Inference latency of minigrad and PyTorch for one image and for eight, on the CPU.

    python -m benchmarks.latency --model simple

Measures all models of the studies, or those that ``--model`` names. The contestants run in turn,
each in its own process and on the same number of threads, for several rounds: the forward pass of
random images in evaluation mode, without gradients (``no_grad``, ``inference_mode``). "fused" has
batch norm folded into the convolutions (``model.fuse``;
``torch.fx.experimental.optimization.fuse``). PyTorch runs eagerly in NCHW and in channels_last.
Figures are the median and the 95th percentile over all passes of all rounds. A ratio is the time
of the fastest PyTorch (fused if minigrad is) divided by minigrad's: above 1, minigrad is faster.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from benchmarks import contest, study
from cifar import environment

NAME = "latency"
CONTESTANTS = (
    "minigrad",
    "minigrad fused",
    "torch nchw",
    "torch nchw fused",
    "torch channels_last",
    "torch channels_last fused",
)
BATCHES = (1, 8)


def measure(
    contestant: str, threads: int, model: str, batches: list[int], passes: int
) -> dict[str, list[float]]:
    """In the child: seconds of every pass, by batch size."""
    engine = contest.engine(contestant, threads)
    network = engine.create(model).eval()
    if contestant.endswith("fused"):
        network = engine.fuse(network)
    times = {}
    for batch in batches:
        images = engine.activation(batch, 3, 32, 32)
        with engine.inference():
            times[str(batch)] = contest.times(partial(_logits, network, images), passes, warm=5)
    return times


def _logits(network: Any, images: Any) -> np.ndarray:
    logits: np.ndarray = network(images).numpy()
    return logits


def compare(
    model: str, batches: list[int], threads: int, passes: int, rounds: int
) -> list[dict[str, Any]]:
    """Run all contestants; returns, for each batch size, the times in milliseconds and the ratios
    of PyTorch's time to minigrad's."""
    work = {"threads": threads, "model": model, "batches": batches, "passes": passes}
    runs = contest.rounds(NAME, CONTESTANTS, rounds, **work)
    rows = []
    for batch in batches:
        table = {}
        for name, results in runs.items():
            by_round = [1e3 * np.array(run[str(batch)]) for run in results]
            times = np.concatenate(by_round)
            table[name] = {
                "median_ms": float(np.median(times)),
                "p95_ms": float(np.percentile(times, 95)),
                "median_by_round": [float(np.median(t)) for t in by_round],
            }
        rows.append({"model": model, "batch": batch, "results": table, **_ratios(table)})
    return rows


def _ratios(table: dict[str, Any]) -> dict[str, float]:
    """The fastest PyTorch's median time divided by minigrad's, plain and fused."""
    ratios = {}
    for name in ("minigrad", "minigrad fused"):
        fused = name.endswith("fused")
        rivals = [n for n in CONTESTANTS if "torch" in n and n.endswith("fused") == fused]
        best = min(table[rival]["median_ms"] for rival in rivals)
        ratios["ratio_fused" if fused else "ratio"] = best / table[name]["median_ms"]
    return ratios


def _show(row: dict[str, Any]) -> None:
    print(f"{row['model']}, batch {row['batch']}, forward pass:")
    for name, figures in row["results"].items():
        low, high = min(figures["median_by_round"]), max(figures["median_by_round"])
        print(
            f"  {name:25s} median {figures['median_ms']:8.2f} ms "
            f"({low:.2f} to {high:.2f} by round), p95 {figures['p95_ms']:8.2f} ms"
        )
    print(
        f"  speed, minigrad / fastest torch: {row['ratio']:.2f}; both fused: "
        f"{row['ratio_fused']:.2f}",
        flush=True,
    )


def main() -> None:
    """Command line."""
    parser = contest.parser(__doc__, turns=3)
    add = parser.add_argument
    add("--model", nargs="+", default=study.MODELS, choices=study.MODELS, help="default: all")
    add("--batch", nargs="+", type=contest.positive, default=BATCHES, help="images per pass")
    add("--threads", type=contest.positive, default=environment.cores(), help="of each contestant")
    add("--passes", type=contest.positive, default=50, help="timed passes per round")
    given = parser.parse_args()
    rows = []
    for model in given.model:
        results = compare(model, list(given.batch), given.threads, given.passes, given.rounds)
        for row in results:
            _show(row)
        rows += results
    if given.out:
        head = {name: getattr(given, name) for name in ("threads", "passes", "rounds")}
        environment.write(given.out, {"machine": contest.describe(), **head, "results": rows})


if __name__ == "__main__":
    contest.run(main)
