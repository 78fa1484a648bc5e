"""Training steps per second and peak memory of minigrad beside PyTorch, on the CPU.

    python -m benchmarks.train_step --model simple

Each contestant runs in a process of its own, in turn, for several rounds, on the same number of
threads: forward, loss, backward and optimiser step on one random batch of the study's size.
PyTorch runs eagerly, in NCHW and in channels_last, each as it comes and once more with glibc told
to keep freed memory ("keeping"), which saves it page faults that minigrad's own pool of buffers
saves us; the ratio is to the fastest of the four. Speed is the median over all steps of all rounds;
memory is the growth of the process's peak resident size over what it held after importing the
library.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from cifar import machine

CONTESTANTS = (
    "minigrad",
    "torch nchw",
    "torch channels_last",
    "torch nchw keeping",
    "torch channels_last keeping",
)
KEEPING = {"MALLOC_MMAP_THRESHOLD_": str(2**32), "MALLOC_TRIM_THRESHOLD_": str(2**32)}


def _minigrad_step(model_name: str, batch: int, threads: int) -> Callable[[], Any]:
    import minigrad as mg
    from cifar import models, recipes

    mg.set_num_threads(threads)
    recipe = recipes.load(model_name)
    model = models.create(recipe.model)
    optimizer = getattr(mg.optim, recipe.optimizer)(
        model.parameters(), lr=recipe.lr, **recipe.optimizer_options
    )
    images = mg.randn(batch, 3, 32, 32)
    labels = mg.tensor(np.arange(batch) % 10)

    def step() -> float:
        loss = mg.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return step


def _torch_step(model_name: str, batch: int, threads: int, layout: str) -> Callable[[], Any]:
    import torch

    from cifar import recipes, reference

    torch.set_num_threads(threads)
    recipe = recipes.load(model_name)
    order = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    model = reference.create(recipe.model)
    model = model.to(memory_format=order)  # type: ignore[call-overload]
    optimizer = getattr(torch.optim, recipe.optimizer)(
        model.parameters(), lr=recipe.lr, **recipe.optimizer_options
    )
    images = torch.randn(batch, 3, 32, 32).contiguous(memory_format=order)
    labels = torch.arange(batch) % 10

    def step() -> float:
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return step


def _contest(contestant: str, model: str, batch: int, threads: int, steps: int) -> dict[str, Any]:
    """Run in the child process: step times in seconds and memory growth in MB."""
    library, *options = contestant.split()
    __import__(library)
    imported = machine.peak_memory_mb()
    if library == "minigrad":
        step = _minigrad_step(model, batch, threads)
    else:
        step = _torch_step(model, batch, threads, options[0])
    for _ in range(3):
        step()
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return {"times": times, "memory_mb": machine.peak_memory_mb() - imported}


def _in_child(**arguments: Any) -> dict[str, Any]:
    call = [sys.executable, "-m", "benchmarks.train_step", "--child", json.dumps(arguments)]
    keeping = arguments["contestant"].endswith("keeping")
    environment = {**os.environ, **(KEEPING if keeping else {})}
    result = subprocess.run(call, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def compare(model: str, batch: int, threads: int, steps: int, rounds: int) -> dict[str, Any]:
    """All contestants in turn, ``rounds`` times; speeds in images/s, memory in MB, the ratio."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in CONTESTANTS}
    for _ in range(rounds):
        for name, found in runs.items():
            found.append(
                _in_child(contestant=name, model=model, batch=batch, threads=threads, steps=steps)
            )
    table = {
        name: {
            "images_per_second": batch
            / statistics.median(t for run in found for t in run["times"]),
            "by_round": [batch / statistics.median(run["times"]) for run in found],
            "memory_mb": max(run["memory_mb"] for run in found),
        }
        for name, found in runs.items()
    }
    best = max(CONTESTANTS[1:], key=lambda name: table[name]["images_per_second"])
    ratio = table["minigrad"]["images_per_second"] / table[best]["images_per_second"]
    return {
        "model": model,
        "batch": batch,
        "threads": threads,
        "steps": steps,
        "rounds": rounds,
        "results": table,
        "best_torch": best,
        "ratio": ratio,
        "memory_ratio": table["minigrad"]["memory_mb"] / table[best]["memory_mb"],
    }


def _show(found: dict[str, Any]) -> None:
    print(f"{found['model']}, batch {found['batch']}, {found['threads']} threads, training step:")
    for name, row in found["results"].items():
        spread = f"{min(row['by_round']):.0f} to {max(row['by_round']):.0f} by round"
        print(
            f"  {name:27s} {row['images_per_second']:7.0f} images/s ({spread}), "
            f"peak memory {row['memory_mb']:6.0f} MB"
        )
    print(
        f"  minigrad / {found['best_torch']}: speed {found['ratio']:.2f}, "
        f"memory {found['memory_ratio']:.2f}"
    )


def main() -> None:
    """Command line."""
    from cifar import recipes

    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else "")
    add = parser.add_argument
    add("--model", default="simple", choices=recipes.names(), help="the recipe whose step is timed")
    add("--batch", type=int, help="images per step (default: the study's)")
    add("--threads", type=int, default=machine.cores(), help="threads of each contestant")
    add("--steps", type=int, default=20, help="timed steps per round")
    add("--rounds", type=int, default=5, help="turns of each contestant")
    add("--out", help="write the results to this JSON file")
    add("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(_contest(**json.loads(given.child))))
        return
    batch = given.batch or recipes.load(given.model).batch_size
    found = compare(given.model, batch, given.threads, given.steps, given.rounds)
    _show(found)
    if given.out:
        machine.write(given.out, {"machine": machine.describe("torch"), **found})


if __name__ == "__main__":
    main()
