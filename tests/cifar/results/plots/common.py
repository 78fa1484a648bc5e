"""What several of these tests use."""

from __future__ import annotations

import dataclasses

from cifar.results.metrics import EpochMetrics
from cifar.results.record import Record
from tests.cifar import tiny

HISTORY = [
    EpochMetrics(
        epoch=i + 1,
        train_loss=2.0 - 0.5 * i,
        test_loss=2.1 - 0.5 * i,
        train_accuracy=0.2 + 0.1 * i,
        test_accuracy=0.25 + 0.1 * i,
    )
    for i in range(3)
]

DATA = tiny.load("", "test")


def record(dataset="cifar10"):
    claim = {"test_accuracy": 0.7, "train_loss": 1.5}
    recipe = dataclasses.replace(tiny.RECIPE, claim=claim)
    return Record(recipe, dataset, ("cat", "owl"), seed=3)


def compared(steps, epochs, reruns=(), apart=0.0, speed=True):
    """What ``cifar compare`` found: losses and figures, PyTorch's ``apart`` from minigrad's."""
    names = ("minigrad", "PyTorch", *reruns)
    falling = [2.0 - i / steps for i in range(steps)]
    line = {f"{q}_relative": apart for q in ("logits", "gradients", "weights")}

    def figures(i):
        return {"train_loss": 2.43931 + apart * i, "train_accuracy": 0.4,
                "test_loss": 2.43931, "test_accuracy": 0.4}  # fmt: skip

    return {
        "record": {
            "recipe": {"name": "tiny", "batch_size": 8},
            "dataset": "synthetic", "dtype": "float32", "device": "cpu", "seed": 0,
        },
        "losses": dict.fromkeys(names, falling),
        "accuracies": {name: [x / 2 for x in falling] for name in names},
        "differences": {
            name: [{"step": 1 + i, **line} for i in range(steps)] for name in (names[0], *reruns)
        },
        "epochs": [
            {"epoch": 1 + n, **{name: figures(i) for i, name in enumerate(names)}}
            for n in range(epochs)
        ],
        "speed": {name: {"seconds_per_step": 0.5, "peak_memory_mb": 12345.0} for name in names[:2]}
        if speed else {},
    }  # fmt: skip


COURSE = {2: {"test_accuracy": 0.25, "train_loss": 1.0}, 4: {"test_accuracy": 0.5}}


def texts(axis):
    return {(int(t.get_position()[0]), int(t.get_position()[1])): t.get_text() for t in axis.texts}
