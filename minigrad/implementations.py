"""All implementations there are: importing this registers them (see :mod:`minigrad.dispatch`)."""

from __future__ import annotations

from .cpu import activation as cpu_activation
from .cpu import norm as cpu_norm
from .cpu import pool as cpu_pool
from .gpu import activation as gpu_activation
from .gpu import norm as gpu_norm
from .gpu import pool as gpu_pool

__all__ = [
    "cpu_activation",
    "cpu_norm",
    "cpu_pool",
    "gpu_activation",
    "gpu_norm",
    "gpu_pool",
]
