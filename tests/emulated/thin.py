"""The studies' networks with few channels and blocks, for a machine that executes each thread.

``python -m tests.emulated.thin PART`` is ``python -m benchmarks.gpu_parts PART`` with them, with
few small images, and with PyTorch, which knows nothing of the emulator, on the CPU.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from benchmarks import contest, gpu_parts
from cifar import datasets, recipes
from cifar.models import dense_residual, resnet_32, resnet_82, speed_94
from minigrad import nn

THINNER = 16  # times fewer channels, but of images, classes and whitened patches
PATCH = 2 * 3 * 2 * 2  # whitened
BATCH, TRAIN, TEST, SIDE = 8, 40, 16, 16  # images of a whole training, and their size

Patch = Callable[[Any, str, Any], None]


def thin(channels: int) -> int:
    return channels // THINNER if channels >= THINNER and channels != PATCH else channels


def networks(patch: Patch) -> None:
    """Put them in place of whole ones by ``patch(owner, name, value)``."""

    def layer(kind: Any, sizes: int) -> None:
        real = kind.__init__

        @functools.wraps(real)
        def make(self: Any, *args: Any, **options: Any) -> None:
            real(self, *map(thin, args[:sizes]), *args[sizes:], **options)

        patch(kind, "__init__", make)

    for kind, sizes in ((nn.Conv2d, 2), (nn.Linear, 2), (nn.BatchNorm2d, 1), (nn.BatchNorm1d, 1)):
        layer(kind, sizes)
    stages = resnet_82.stages
    for module in (resnet_32, resnet_82):
        patch(
            module,
            "stages",
            lambda blocks, *rest, **options: stages([one[:1] for one in blocks], *rest, **options),
        )
    block = resnet_32.PlainShortcutBlock.__init__

    def shortcut(self: Any, in_channels: int, out_channels: int, stride: int) -> None:
        block(self, in_channels, out_channels, stride)
        self.extra = thin(out_channels) - thin(in_channels)

    def passing(in_channels: int, out_channels: int) -> nn.Module:
        """Filters that are not drawn pass a channel on. One of zeros would have no variance."""
        conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        nn.init.dirac_(conv.weight.detach()[: conv.in_channels])
        return conv

    patch(resnet_32.PlainShortcutBlock, "__init__", shortcut)
    patch(speed_94, "passing_convolution", passing)
    patch(dense_residual, "STAGES", ((64, 2), (512, 2)))  # for small images


def work(patch: Patch) -> None:
    """Few steps, small data sets, recipes that fit them, and PyTorch on the CPU."""
    for name, value in {"EAGER": 1, "STEPS": 3, "TURNS": 2, "WATCHED": 1, "CHUNKS": 4}.items():
        patch(gpu_parts, name, value)
    load, recipe, engine = datasets.load, recipes.load, contest.engine

    def few(name: str, split: str, *where: Any) -> datasets.Dataset:
        whole = load(name, split, *where)
        count = TRAIN if split == "train" else TEST
        cut = whole.images[:count, :, :SIDE, :SIDE].copy()
        return dataclasses.replace(whole, images=cut, labels=whole.labels[:count].copy())

    def fitting(name: str) -> recipes.Recipe:
        found = recipe(name)
        return dataclasses.replace(
            found,
            batch_size=BATCH,
            whiten=min(found.whiten, TRAIN),
            validation=min(found.validation, BATCH),
            long_tail=max(found.long_tail, 0.25),
        )

    def at_hand(contestant: str, threads: int) -> contest.Engine:
        if contestant.startswith("torch"):
            contestant = contestant.replace(" gpu", "").replace(" compiled", "")
        return engine(contestant, threads)

    patch(datasets, "load", few)
    patch(recipes, "load", fitting)
    patch(contest, "engine", at_hand)


if __name__ == "__main__":
    networks(setattr)
    work(setattr)
    gpu_parts.main()
