"""Every model in a small edition, by minigrad and by PyTorch, and a few images to train them on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

import minigrad as mg
from cifar import datasets, models
from cifar.models import dense_residual, gated, resnet_32, resnet_82
from cifar.training import train
from cifar.twins import compare, reference
from cifar.twins.reference import dense_residual as dense_residual_twin
from cifar.twins.reference import gated as gated_twin
from cifar.twins.reference import resnet_32 as resnet_32_twin
from cifar.twins.reference import resnet_82 as resnet_82_twin
from tests.cifar import tiny

STAGES = ((8, 2), (8, 2), (16, 3), (16, 3), (512, 1))  # of dense-residual; its head takes 512


def _gated(block: Any, nn: Any, norm: bool, classes: int) -> Any:
    options = {"norm": True, "dropout": 0.1} if norm else {}
    first, second = block(3, 8, **options), block(8, 16, **options)
    pooled = nn.MaxPool2d(2), second, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, classes)
    return nn.Sequential(first, *pooled)


def _simple(nn: Any, classes: int) -> Any:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.BatchNorm2d(8),
        nn.Conv2d(8, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.BatchNorm2d(8),
        nn.Flatten(), nn.Linear(8 * 14 * 14, 32), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(32, classes),
    )  # fmt: skip


def _four_block(nn: Any, classes: int) -> Any:
    return nn.Sequential(
        nn.Conv2d(3, 4, 5, padding=2), nn.BatchNorm2d(4), nn.MaxPool2d(2), nn.ReLU(),
        nn.Conv2d(4, 8, 5, padding=1), nn.BatchNorm2d(8), nn.MaxPool2d(2, stride=1), nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2, stride=1),
        nn.Flatten(), nn.Linear(8 * 12 * 12, 16), nn.BatchNorm1d(16), nn.ReLU(),
        nn.Linear(16, classes),
    )  # fmt: skip


# minigrad's and PyTorch's, of fewer channels and blocks; dense-residual's is STAGES.
SMALL: dict[str, tuple[Callable[[int], Any], Callable[[int], Any]]] = {
    "simple": (partial(_simple, mg.nn), partial(_simple, torch.nn)),
    "four-block": (partial(_four_block, mg.nn), partial(_four_block, torch.nn)),
    "gated": (
        partial(_gated, gated.GatedBlock, mg.nn, True),
        partial(_gated, gated_twin.GatedBlock, torch.nn, True),
    ),
    "gated-basic": (
        partial(_gated, gated.GatedBlock, mg.nn, False),
        partial(_gated, gated_twin.GatedBlock, torch.nn, False),
    ),
    "resnet-32": (
        lambda classes: resnet_82.stages(resnet_32.PlainShortcutBlock, (16, 32, 64), 1, classes),
        lambda classes: resnet_82_twin.stages(
            resnet_32_twin.PlainShortcutBlock, (16, 32, 64), 1, classes
        ),
    ),
    "resnet-82": (
        lambda classes: resnet_82.resnet(10, 1, classes),
        lambda classes: resnet_82_twin.resnet(10, 1, classes),
    ),
}


@contextmanager
def small_models() -> Iterator[None]:
    """Small editions in place of the large models."""
    ours, theirs = models.create, reference.create

    def create(name: str, num_classes: int = 10, seed: int = 0) -> mg.nn.Module:
        if name not in SMALL:
            return ours(name, num_classes, seed)
        mg.manual_seed(seed)
        return SMALL[name][0](num_classes)

    def create_twin(name: str, num_classes: int = 10) -> torch.nn.Module:
        return SMALL[name][1](num_classes) if name in SMALL else theirs(name, num_classes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "create", create)
        patch.setattr(reference, "create", create_twin)
        for module in (dense_residual, dense_residual_twin):
            patch.setattr(module, "STAGES", STAGES)
        yield


# What a recipe needs for 80 images: held-out images and a tail that it can do without, and the
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
) -> tuple[train.Run, compare.Comparison]:
    """A run of recipe ``name`` on the tiny data, and a comparison to be filled by it."""
    changes = {**FEW.get(name, {}), **changes}
    settings = train.Settings(name, "cpu", seed=seed, out=str(out), overrides=changes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets, "load", tiny.load)
        recipe = train.checked_recipe(settings)
        _, this = train.prepare(settings, recipe, mg.device("cpu"), out)
    return this, compare.Comparison({**this.record, "steps": steps}, {})
