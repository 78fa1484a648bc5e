"""A run that takes a fraction of a second: a tiny recipe, model and data set in place of real ones.

``python -m tests.cifar.tiny ARGUMENTS`` is ``examples/train_cnn.py`` with them, ``python -m
tests.cifar.tiny train ARGUMENTS`` is ``cifar train``, each step slowed down so that a signal has
something to interrupt.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import minigrad as mg
from cifar import datasets, models, recipes
from cifar.datasets import augment
from cifar.results import plots
from cifar.training.run import Settings
from minigrad import nn
from minigrad.cpu import threads

TRAIN, TEST, BATCH, EPOCHS = 80, 30, 16, 2
STEPS = TRAIN // BATCH
RECIPE = recipes.Recipe(
    name="tiny",
    model="tiny",
    epochs=EPOCHS,
    batch_size=BATCH,
    optimizer="Adam",
    lr=1e-2,
    optimizer_options={"weight_decay": 1e-4},
    augmentation=augment.Augmentation(crop=1, flip=True),
    mean=(0.5, 0.5, 0.5),
    std=(0.25, 0.25, 0.25),
    claim={"test_accuracy": 0.5},
)


def load(
    name: str,
    split: str,
    data_dir: Any = None,
    options: Any = None,
    download: bool = True,
    shift: int = 0,
) -> datasets.Dataset:
    """Noisy images whose brightness gives the class away."""
    rng = np.random.default_rng(0 if split == "train" else 1)
    labels = np.arange(TRAIN if split == "train" else TEST) % 10
    images = rng.integers(0, 40, (len(labels), 3, 32, 32)) + labels[:, None, None, None] * 20
    classes = tuple(f"class {i}" for i in range(10))
    return datasets.Dataset(
        "synthetic", split, (images + shift).astype(np.uint8), labels.astype(np.int64), classes
    )


def create(name: str, num_classes: int, seed: int, image_size: int = 32) -> nn.Module:
    mg.manual_seed(seed)
    return _layers(nn, num_classes)


def create_twin(name: str, num_classes: int) -> Any:
    """The same network in PyTorch."""
    import torch

    return _layers(torch.nn, num_classes)


def _layers(nn: Any, num_classes: int) -> Any:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(3),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(100, num_classes),
    )


def install(
    patch: Callable[[Any, str, Any], None],
    each_batch: Callable[[int, mg.Tensor], mg.Tensor] = lambda number, images: images,
    pictures: bool = False,
    shared: bool = False,
) -> None:
    """Put the tiny things in place by ``patch(owner, name, value)``.

    Args:
        each_batch: changes each training batch, numbered from 0 over the whole run.
        pictures: draw them, which takes most of a second.
        shared: share even the smallest operations among threads.
    """
    if shared:
        patch(threads, "MIN_PARALLEL_SIZE", 0)
    number = iter(range(10**9))
    training = augment.training

    def transform(*options: Any) -> mg.data.Transform:
        apply = training(*options)
        return lambda images, generator: each_batch(next(number), apply(images, generator))

    patch(datasets, "load", load)
    patch(models, "create", create)
    patch(recipes, "load", lambda name: RECIPE)
    patch(augment, "training", transform)
    if not pictures:
        patch(plots, "curves", lambda *_: None)
        patch(plots, "predictions", lambda *_: None)
        patch(plots, "class_counts", lambda *_: None)


def settings(out: Path, resume: bool = False, seed: int = 0, **overrides: Any) -> Settings:
    return Settings(
        "tiny", "cpu", seed=seed, out=str(out), resume=resume, overrides=overrides, progress=False
    )


def results(out: Path) -> dict[str, Any]:
    """All that two equal runs must share: every tensor and every metric that is not a time."""
    found: dict[str, Any] = {}
    for file in ("last", "best", "state"):
        for name, value in mg.load(out / f"{file}.safetensors").items():
            found[f"{file}/{name}"] = value.numpy().tobytes()
    for line in (out / "metrics.jsonl").read_text().splitlines():
        metrics = json.loads(line)
        for clock in [name for name in metrics if "second" in name or name == "peak_memory_mb"]:
            del metrics[clock]
        found[f"epoch {metrics['epoch']}"] = metrics
    return found


def load_file(path: str) -> Any:
    """The module in a file, given from the repository's root, that lies in no installed package."""
    file = Path(__file__).parents[2] / path
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def front_door() -> Any:
    return load_file("examples/train_cnn.py")


def _slowly(number: int, images: mg.Tensor) -> mg.Tensor:
    print("batch", number, flush=True)
    time.sleep(0.1)
    return images


def _injected(number: int, frame: Any) -> None:
    raise RuntimeError("injected")


if __name__ == "__main__":
    from cifar import cli  # a GPU's tests do without its packages

    signal.signal(signal.SIGUSR1, _injected)  # for benchmarks/rank_faults.py
    for limit in ("SILENCE", "START"):
        setattr(mg.distributed, limit, float(os.environ.get(limit, getattr(mg.distributed, limit))))
    install(setattr, _slowly)
    sys.exit(cli.main() if sys.argv[1:2] == ["train"] else front_door().main())
