"""Kernels for the CPU, compiled by Numba: loops that NumPy would need many passes for.

Each is an inner loop of an operation in :mod:`minigrad.ops`, which has a plain NumPy way beside it
and takes it where Numba is missing (see :mod:`minigrad.compiled`). Kernels take flat arrays and
offsets, hold no interpreter lock and start no threads: the operation shares blocks over cores.
The ``.cu`` files beside them are the GPU's (see :mod:`minigrad.cuda`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile ``function`` for the types it is called with, and keep the result on disk.

    Products are fused with sums, but sums keep their order, so results do not depend on how a
    loop was vectorised.
    """
    return _compile(function, {"contract", "nsz"})


def jit_sum(function: Callable[..., Any]) -> Callable[..., Any]:
    """:func:`jit` for functions that may add in another order: one partial sum per vector lane."""
    return _compile(function, {"contract", "nsz", "reassoc"})


def _compile(function: Callable[..., Any], fastmath: set[str]) -> Callable[..., Any]:
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": fastmath}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither this folder nor the user's cache can be written to
        return numba.njit(**options)(function)
