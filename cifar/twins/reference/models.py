"""Our models in PyTorch: the files of :mod:`cifar.models`, run with torch's names in place of
minigrad's.

The files use what both libraries have, under the same names. So a twin has the same module tree,
and therefore the same ``state_dict``. What only minigrad has, options of batch norm that save a
pass over memory, is spelled out below.
"""

from __future__ import annotations

import builtins
import functools
import importlib.util
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MODELS = "cifar.models"


class BatchNorm2d(nn.BatchNorm2d):
    """Batch norm with minigrad's options: the sum with ``residual``, then ReLU."""

    def forward(self, x: Tensor, relu: bool = False, residual: Tensor | None = None) -> Tensor:
        y = super().forward(x)
        if residual is not None:
            y = y + residual
        return F.relu(y) if relu else y


MINIGRAD = SimpleNamespace(
    Tensor=torch.Tensor,
    functional=F,
    nn=SimpleNamespace(**{**vars(nn), "BatchNorm2d": BatchNorm2d}),
)


@functools.cache
def load(name: str) -> ModuleType:
    """The module ``cifar.models.NAME`` in PyTorch."""
    spec = importlib.util.find_spec(f"{MODELS}.{name}")
    assert spec is not None
    assert spec.origin is not None
    module = ModuleType(f"{__name__}.{name}")
    vars(module)["__builtins__"] = {**vars(builtins), "__import__": _import}
    exec(compile(Path(spec.origin).read_text("utf-8"), spec.origin, "exec"), vars(module))
    return module


def _import(name: str, *arguments: Any) -> Any:
    """In place of ``import`` in these files: minigrad is torch, and other models are twins too."""
    if name == "minigrad":
        return MINIGRAD
    if name.startswith(f"{MODELS}."):
        return load(name.rpartition(".")[2])
    return builtins.__import__(name, *arguments)
