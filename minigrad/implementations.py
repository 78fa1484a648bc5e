"""All implementations there are: importing this registers them (see :mod:`minigrad.dispatch`)."""

from __future__ import annotations

from .cpu import activation as cpu_activation
from .cpu import dropout as cpu_dropout
from .cpu import norm as cpu_norm
from .cpu import pool as cpu_pool
from .cpu import shape as cpu_shape
from .gpu import activation as gpu_activation
from .gpu import dropout as gpu_dropout
from .gpu import loss as gpu_loss
from .gpu import norm as gpu_norm
from .gpu import pool as gpu_pool
from .gpu import shape as gpu_shape

__all__ = [
    "cpu_activation",
    "cpu_dropout",
    "cpu_norm",
    "cpu_pool",
    "cpu_shape",
    "gpu_activation",
    "gpu_dropout",
    "gpu_loss",
    "gpu_norm",
    "gpu_pool",
    "gpu_shape",
]
