"""Rounding error of the gradients of a training's first step, relative to float64, on the CPU.

    python -m benchmarks.rounding                       # all recipes, about two minutes
    python -m benchmarks.rounding --recipe four-block

minigrad and PyTorch take the step with the same weights, augmented batch and dropout masks (see
:mod:`cifar.twins.sides`), in float64 and in float32. Figures are the largest difference of any
gradient from PyTorch's in float64, divided by the largest of PyTorch's: first for minigrad in
float64, which shows that the arithmetic is the same, then for each in float32. In float32, rounding
may change the sign of a value before ReLU, or the maximum of a pooling window; one such element
changes a gradient by far more than the rounding error.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import minigrad as mg
from benchmarks import contest
from cifar import environment, recipes
from cifar.results.tables import table
from cifar.training import train
from cifar.training.run import Settings
from cifar.twins.lockstep import difference
from cifar.twins.sides import OURS, THEIRS, make_sides

Gradients = dict[str, np.ndarray]
HEADER = ("recipe", "float64", "float32", "float32, plain NumPy", "PyTorch, float32")


def first_gradients(recipe: str, dtype: str, dataset: str = "auto") -> dict[str, Gradients]:
    """The gradients of minigrad and PyTorch, by side and parameter."""
    settings = Settings(recipe, "cpu", dataset, seed=0, progress=False)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        place = Path(folder)
        run, _ = train.prepare(settings, train.checked_recipe(settings), mg.device("cpu"), place)
    sides = make_sides(run, dtype, "cpu")
    images, labels = (t.numpy() for t in next(iter(run.train.epoch(0))))
    gradients = {}
    for name, side in sides.items():
        side.start_epoch(0)
        mg.manual_seed(settings.seed, 0, 0)  # for dropout
        side.step(images, labels)
        gradients[name] = {key: value.astype(np.float64) for key, value in side.gradients().items()}
    return gradients


def measure(recipe: str, dataset: str = "auto") -> dict[str, Any]:
    """The recipe's figures, by the names in :data:`HEADER`."""
    exact = first_gradients(recipe, "float64", dataset)
    rounded = first_gradients(recipe, "float32", dataset)
    compiled = mg.is_compiled()
    mg.set_compiled(False)
    try:
        plain = first_gradients(recipe, "float32", dataset)
    finally:
        mg.set_compiled(compiled)
    compared = (exact[OURS], rounded[OURS], plain[OURS], rounded[THEIRS])
    errors = (difference(gradients, exact[THEIRS])[1] for gradients in compared)
    return dict(zip(HEADER, (recipe, *errors), strict=True))


def show(rows: Sequence[dict[str, Any]]) -> str:
    """A table of the figures."""
    return table(HEADER, [(r["recipe"], *(f"{r[name]:.1e}" for name in HEADER[1:])) for r in rows])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--recipe", action="append", choices=recipes.names(), help="only this one")
    parser.add_argument("--dataset", default="auto", help="cifar10, synthetic or auto")
    parser.add_argument("--out", type=contest.new_file, help="write the results to this JSON file")
    options = parser.parse_args()
    rows = [measure(name, options.dataset) for name in options.recipe or recipes.names()]
    print(show(rows))
    if options.out:
        environment.write(options.out, {"machine": contest.describe(), "results": rows})


if __name__ == "__main__":
    contest.run(main)
