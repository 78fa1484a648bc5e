"""How many kernels a plain training step of each model launches on a GPU, ours and CuPy's, by name.

    python -m tests.emulated.launches --out benchmarks/results/launches.json

Counted where CuPy hands them to the driver, of the emulator here, which executes none of them.
Small networks wait for launches, so fewer are faster; a captured step replays all of them by one.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.emulated.__main__ import run

FAMILIES = ("activation", "conv", "dropout", "index", "loss", "norm", "optim", "pool")
COPIES = ("copy to the device", "copy to the host")  # over the bus
NO_WORK = ("wait", "graph")


def submitted() -> dict[str, int]:
    """How often each kind of work was asked for since the last call."""
    machine = ctypes.CDLL("libcuda.so.1")
    machine.emulator_submitted.restype = ctypes.c_char_p
    lines = machine.emulator_submitted().decode().splitlines()
    found = {name: int(count) for count, _, name in (line.partition(" ") for line in lines)}
    return {name: count for name, count in found.items() if name not in NO_WORK}


def of_step(model: str) -> dict[str, Any]:
    """The launches of a training step of ``model``, with its recipe's batch size and optimiser."""
    from benchmarks import contest, study
    from minigrad.gpu import launch

    ours = {name for family in FAMILIES for name in launch.declarations(family)}
    batch = study.recipe(model).batch_size
    step = study.training_step(contest.engine("minigrad gpu", 1), model, batch)
    for _ in range(2):  # the first creates the optimiser's state
        step()
    submitted()
    step()
    found = dict(sorted(submitted().items(), key=lambda item: -item[1]))
    copies = {name: found.pop(name) for name in COPIES if name in found}
    return {
        "batch": batch,
        "kernels": sum(found.values()),
        "ours": sum(count for name, count in found.items() if name in ours),
        "cupy": sum(count for name, count in found.items() if name not in ours),
        "copies": copies,
        "by_name": found,
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    from benchmarks import study
    from cifar import environment

    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--out", type=Path, help="write the results to this JSON file")
    parser.add_argument("--model", action="append", choices=study.MODELS, help="repeatable (all)")
    given = parser.parse_args(argv)
    results = {}
    print("| model | batch | ours | CuPy's | copies over the bus |\n|---|---|---|---|---|")
    for model in given.model or study.MODELS:
        found = results[model] = of_step(model)
        copies = sum(found["copies"].values())
        print(f"| {model} | {found['batch']} | {found['ours']} | {found['cupy']} | {copies} |")
    if given.out:
        machine = environment.describe("cupy-cuda13x", "nvidia-cuda-nvrtc")
        environment.write(given.out, {"machine": machine, "steps": results})


if __name__ == "__main__":
    if os.environ.get("EMULATOR_DRY") != "1":
        os.environ["EMULATOR_DRY"] = "1"
        run("tests.emulated.launches", *sys.argv[1:])
    main()
