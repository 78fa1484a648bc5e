"""PyTorch twins of the models, written with torch alone: the other side of every comparison."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def create(name: str, num_classes: int = 10) -> torch.nn.Module:
    """The PyTorch twin of ``cifar.models.create(name)``: same tree, so same ``state_dict`` keys."""
    module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    twin: torch.nn.Module = module.create(num_classes)
    return twin
