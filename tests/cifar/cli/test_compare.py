"""``cifar compare`` takes every setting of a comparison."""

from __future__ import annotations

from cifar import cli
from cifar.twins import compare


def test_every_setting():
    arguments = (
        "compare simple --device gpu:1 --dataset synthetic --data-dir d --seed 4 --out o "
        "--epochs 3 --steps 5 --dtype float64 --rerun-threads 1 3 --no-timing --no-progress "
        "--set batch_size=7 --set lr=1"
    )
    assert cli.parse(arguments.split()) == compare.Settings(
        "simple", 3, 5, "float64", (1, 3), "gpu:1", "synthetic", "d", 4, "o",
        timing=False, progress=False, set=("batch_size=7", "lr=1"),
    )  # fmt: skip
    assert cli.parse(["compare", "gated"]) == compare.Settings("gated")
