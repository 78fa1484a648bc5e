"""PyTorch as the reference: twins of the models and of the recipes' training, written with torch
alone, so that nothing of minigrad can be wrong in both.

They are part of the package, not of the benchmarks, so that an installed ``cifar compare`` has
them. torch is imported only where something is made.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import minigrad as mg
from cifar.errors import UserError

if TYPE_CHECKING:
    import torch


def create(name: str, num_classes: int = 10) -> torch.nn.Module:
    """The PyTorch twin of ``cifar.models.create(name)``: same tree, so same ``state_dict`` keys."""
    module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    twin: torch.nn.Module = module.create(num_classes)
    return twin


def require_torch(what: str) -> None:
    """See that PyTorch is there, before any work is done.

    Args:
        what: needs it, for the message.

    Raises:
        UserError: it is not installed.
    """
    try:
        importlib.import_module("torch")
    except Exception as error:  # of a broken one, anything
        raise UserError(
            f"{what} needs PyTorch, which cannot be imported ({error}); "
            f"{mg.console.install('torch')}"
        ) from None
