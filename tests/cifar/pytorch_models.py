"""Every model in a small edition, by minigrad and by PyTorch, and a few images to train them on."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import minigrad as mg
from cifar import datasets, models
from cifar.training import train
from cifar.training.run import Run, Settings
from cifar.twins import reference
from cifar.twins.lockstep import Comparison
from cifar.twins.reference import models as reference_models
from tests.cifar import tiny

STAGES = ((8, 2), (8, 2), (16, 3), (16, 3), (512, 1))  # of dense-residual; its head takes 512

File = Callable[[str], ModuleType]  # a model's file by name, in either library


def ours(name: str) -> ModuleType:
    return importlib.import_module(f"cifar.models.{name}")


def _gated(file: File, nn: Any, classes: int, **options: Any) -> Any:
    block = file("gated").GatedBlock
    first, second = block(3, 8, **options), block(8, 16, **options)
    pooled = nn.MaxPool2d(2), second, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, classes)
    return nn.Sequential(first, *pooled)


def _simple(file: File, nn: Any, classes: int) -> Any:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.BatchNorm2d(8),
        nn.Conv2d(8, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.BatchNorm2d(8),
        nn.Flatten(), nn.Linear(8 * 14 * 14, 32), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(32, classes),
    )  # fmt: skip


def _four_block(file: File, nn: Any, classes: int) -> Any:
    return nn.Sequential(
        nn.Conv2d(3, 4, 5, padding=2), nn.BatchNorm2d(4), nn.MaxPool2d(2), nn.ReLU(),
        nn.Conv2d(4, 8, 5, padding=1), nn.BatchNorm2d(8), nn.MaxPool2d(2, stride=1), nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2, stride=1),
        nn.Flatten(), nn.Linear(8 * 12 * 12, 16), nn.BatchNorm1d(16), nn.ReLU(),
        nn.Linear(16, classes),
    )  # fmt: skip


def _resnet_32(file: File, nn: Any, classes: int) -> Any:
    block = file("resnet_32").PlainShortcutBlock
    return file("resnet_82").stages([[block]] * 3, (16, 32, 64), classes)


# Of fewer channels and blocks; dense-residual's is STAGES.
SMALL: dict[str, Callable[[File, Any, int], Any]] = {
    "simple": _simple,
    "four-block": _four_block,
    "gated": lambda file, nn, classes: _gated(file, nn, classes, norm=True, dropout=0.1),
    "gated-basic": _gated,
    "resnet-32": _resnet_32,
    "resnet-82": lambda file, nn, classes: file("resnet_82").resnet(10, 1, classes),
    "speed-94": lambda file, nn, classes: file("speed_94").SpeedNet((4, 8, 8), 1 / 8, classes, 32),
    "speed-95": lambda file, nn, classes: file("speed_94").SpeedNet((6, 8, 9), 1 / 9, classes, 32),
}


@contextmanager
def small_models() -> Iterator[None]:
    """Small editions in place of the large models."""
    create_large, create_large_twin = models.create, reference.create

    def create(
        name: str, num_classes: int = 10, seed: int = 0, image_size: int = 32
    ) -> mg.nn.Module:
        if name not in SMALL:
            return create_large(name, num_classes, seed, image_size)
        mg.manual_seed(seed)
        return SMALL[name](ours, mg.nn, num_classes)

    def create_twin(name: str, num_classes: int = 10) -> torch.nn.Module:
        if name not in SMALL:
            return create_large_twin(name, num_classes)
        return SMALL[name](reference_models.load, torch.nn, num_classes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "create", create)
        patch.setattr(reference, "create", create_twin)
        for file in (ours, reference_models.load):
            patch.setattr(file("dense_residual"), "STAGES", STAGES)
        yield


# What a recipe needs for 80 images: validation images and a tail that it can do without, and the
# events of its schedule within five epochs.
FEW = {
    "dense-residual": {"validation": 16, "restarts": ((1, 1e-4), (3, 5e-5))},
    "four-block": {"schedule_options": {"T_max": 5}},
    "gated": {"schedule_options": {"factor": 0.1, "patience": 0, "threshold": 0.5}},
    "long-tail-cb-focal": {"long_tail": 0.3},
    "long-tail-ce": {
        "long_tail": 0.3,
        "schedule_options": {"milestones": (1, 3), "gamma": 0.1},
    },
    "resnet-82": {"schedule_options": {"T_max": 5}},
}


def prepare(
    name: str, out: Path, steps: int | None, seed: int = 0, **changes: Any
) -> tuple[Run, Comparison]:
    """A run of recipe ``name`` on the tiny data, and a comparison to be filled by it."""
    changes = {**FEW.get(name, {}), **changes}
    settings = Settings(name, "cpu", seed=seed, out=str(out), overrides=changes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets, "load", tiny.load)
        recipe = train.checked_recipe(settings)
        run, _ = train.prepare(settings, recipe, mg.device("cpu"), out)
    return run, Comparison({**run.record.as_note(), "steps": steps}, {})
