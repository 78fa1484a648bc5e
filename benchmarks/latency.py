"""How long minigrad and PyTorch take to classify one image, and eight at once, on the CPU.

    python -m benchmarks.latency --model simple

All seven models unless ``--model`` names some. Each contestant runs in a process of its own, in
turn, for several rounds, on the same number of threads: the forward pass in evaluation mode, with
no gradients (``no_grad``, ``inference_mode``), of random images. "fused" has batch norm folded into
the convolutions (``model.fuse``; ``torch.fx.experimental.optimization.fuse``). PyTorch runs eagerly
in NCHW and in channels_last. Figures are the median and the 95th percentile over all passes of all
rounds; a ratio is the time of the fastest PyTorch, fused or not as minigrad is, by minigrad's, so
that more than 1 means that minigrad is faster.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import machine

CONTESTANTS = (
    "minigrad",
    "minigrad fused",
    "torch nchw",
    "torch nchw fused",
    "torch channels_last",
    "torch channels_last fused",
)
BATCHES = (1, 8)


def _minigrad_pass(
    name: str, batch: int, threads: int, fused: bool
) -> tuple[Callable[[], Any], Any]:
    import minigrad as mg
    from cifar import models

    mg.set_num_threads(threads)
    model = models.create(name).eval()
    if fused:
        model = model.fuse(mg.zeros(1, 3, 32, 32))
    images = mg.randn(batch, 3, 32, 32)
    return lambda: model(images).numpy(), mg.no_grad()


def _torch_pass(
    name: str, batch: int, threads: int, layout: str, fused: bool
) -> tuple[Callable[[], Any], Any]:
    import torch

    from benchmarks import reference

    torch.set_num_threads(threads)
    model = reference.create(name).eval()
    if fused:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of torch.jit, inside torch.fx
            from torch.fx.experimental import optimization

        model = optimization.fuse(model)
    order = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    model = model.to(memory_format=order)  # type: ignore[call-overload]
    images = torch.randn(batch, 3, 32, 32).contiguous(memory_format=order)
    return lambda: model(images).numpy(), torch.inference_mode()


def _contest(
    contestant: str, model: str, batches: list[int], threads: int, passes: int
) -> dict[str, list[float]]:
    """Run in the child process: seconds of every pass, by batch size."""
    library, *options = contestant.split()
    fused = "fused" in options
    times: dict[str, list[float]] = {}
    for batch in batches:
        if library == "minigrad":
            forward, mode = _minigrad_pass(model, batch, threads, fused)
        else:
            forward, mode = _torch_pass(model, batch, threads, options[0], fused)
        with mode:
            for _ in range(5):
                forward()
            found = times[str(batch)] = []
            for _ in range(passes):
                start = time.perf_counter()
                forward()
                found.append(time.perf_counter() - start)
    return times


def _in_child(**arguments: Any) -> dict[str, list[float]]:
    call = [sys.executable, "-m", "benchmarks.latency", "--child", json.dumps(arguments)]
    result = subprocess.run(call, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, list[float]] = json.loads(result.stdout)
    return found


def compare(
    model: str, batches: list[int], threads: int, passes: int, rounds: int
) -> list[dict[str, Any]]:
    """All contestants in turn, ``rounds`` times; for each batch size the times in milliseconds and
    minigrad's ratios to PyTorch."""
    runs: dict[str, list[dict[str, list[float]]]] = {name: [] for name in CONTESTANTS}
    for _ in range(rounds):
        for name, found in runs.items():
            arguments = {"model": model, "batches": batches, "threads": threads, "passes": passes}
            found.append(_in_child(contestant=name, **arguments))
    rows = []
    for batch in batches:
        table = {}
        for name, found in runs.items():
            by_round = [1e3 * np.array(run[str(batch)]) for run in found]
            times = np.concatenate(by_round)
            table[name] = {
                "median_ms": float(np.median(times)),
                "p95_ms": float(np.percentile(times, 95)),
                "median_by_round": [float(np.median(t)) for t in by_round],
            }
        rows.append({"model": model, "batch": batch, "results": table, **_ratios(table)})
    return rows


def _ratios(table: dict[str, Any]) -> dict[str, float]:
    """The fastest PyTorch's median by minigrad's, as is and fused."""
    ratios = {}
    for name in ("minigrad", "minigrad fused"):
        fused = name.endswith("fused")
        rivals = [n for n in CONTESTANTS if "torch" in n and n.endswith("fused") == fused]
        best = min(table[rival]["median_ms"] for rival in rivals)
        ratios["ratio_fused" if fused else "ratio"] = best / table[name]["median_ms"]
    return ratios


def _show(row: dict[str, Any]) -> None:
    print(f"{row['model']}, batch {row['batch']}, forward pass:")
    for name, found in row["results"].items():
        low, high = min(found["median_by_round"]), max(found["median_by_round"])
        print(
            f"  {name:25s} median {found['median_ms']:8.2f} ms ({low:.2f} to {high:.2f} by round), "
            f"p95 {found['p95_ms']:8.2f} ms"
        )
    print(
        f"  speed, minigrad / fastest torch: {row['ratio']:.2f}; both fused: "
        f"{row['ratio_fused']:.2f}",
        flush=True,
    )


def main() -> None:
    """Command line."""
    from cifar import models

    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else "")
    add = parser.add_argument
    add("--model", nargs="+", default=models.names(), choices=models.names(), help="default: all")
    add("--batch", nargs="+", type=int, default=BATCHES, help="images per pass")
    add("--threads", type=int, default=machine.cores(), help="threads of each contestant")
    add("--passes", type=int, default=50, help="timed passes per round")
    add("--rounds", type=int, default=3, help="turns of each contestant")
    add("--out", help="write the results to this JSON file")
    add("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(_contest(**json.loads(given.child))))
        return
    rows = []
    for model in given.model:
        found = compare(model, list(given.batch), given.threads, given.passes, given.rounds)
        for row in found:
            _show(row)
        rows += found
    if given.out:
        settings = {name: getattr(given, name) for name in ("threads", "passes", "rounds")}
        machine.write(
            given.out, {"machine": machine.describe("torch"), **settings, "results": rows}
        )


if __name__ == "__main__":
    main()
