"""PyTorch as the reference: the models run with torch's modules, and the recipes' training written
with torch alone, so that the two cannot share an error of minigrad.

They are part of the package, so that an installed ``cifar compare`` has them. torch is imported
only where it is needed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import minigrad as mg
from cifar.errors import UserError

if TYPE_CHECKING:
    import torch


def create(name: str, num_classes: int = 10, **options: Any) -> torch.nn.Module:
    """The PyTorch twin of ``cifar.models.create(name)``, with the same ``state_dict`` keys."""
    from cifar.twins.reference import models

    twin: torch.nn.Module = models.load(name.replace("-", "_")).create(num_classes, **options)
    return twin


def require_torch(user: str) -> None:
    """Check that PyTorch is installed, before any work is done.

    Args:
        user: the command that needs it, for the message.

    Raises:
        UserError: it is not installed.
    """
    try:
        importlib.import_module("torch")
    except Exception as error:  # a broken one raises anything
        raise UserError(
            f"{user} needs PyTorch, which cannot be imported ({error}); "
            f"{mg.console.install('torch')}"
        ) from None
