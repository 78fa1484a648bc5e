"""``cifar train`` and ``cifar verify``: train a recipe, and check that a run is reproducible."""

from __future__ import annotations

from dataclasses import dataclass

import tyro

import minigrad as mg
from cifar.cli.command import Command
from cifar.results import tables
from cifar.training import parallel, request, train, verify


@dataclass(frozen=True)
class Train(request.Request):
    """Train a recipe's network; writes models, metrics and pictures into a folder.

    Attributes:
        recipe: the recipe's name; `cifar recipes` lists them. Not needed with --resume.
    """

    recipe: tyro.conf.Positional[str | None] = None


def run_training(options: Train) -> int:
    """Train, and print the last accuracy."""
    with parallel.job(options.distributed):
        last = train.run(mg.distributed.from_rank_0(lambda: options.settings("train")))[-1]
    print(f"test accuracy {last.test_accuracy:.2%} after epoch {last.epoch}")
    return 0


TRAIN = Command(Train, run_training)


def run_verification(settings: verify.Settings) -> int:
    """Repeat the first steps of a run, and print any differences."""
    verified = verify.run(settings)
    steps = f"the first {len(verified.then)} steps of {verified.path}"
    for change in verified.changes:
        print(f"{verified.path} was trained with {change}")
    if verified.matches:
        print(f"{steps}: losses and weights are the same, bit for bit")
        return 0
    rows = [
        (i, *pair) for i, pair in enumerate(zip(verified.then, verified.now, strict=False), start=1)
    ]
    print(tables.table(("step", "loss then", "loss now"), rows))
    print(f"{steps} are NOT the same" + (": the weights" if verified.then == verified.now else ""))
    return 1


VERIFY = Command(verify.Settings, run_verification)
