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
    return _compile(function, {"contract", "nsz"}, inline=False)


def inline(function: Callable[..., Any]) -> Callable[..., Any]:
    """:func:`jit` for the parts of a kernel, which become one piece of machine code with it.

    A part left as a function of its own would be compiled twice, alone and within the kernel, and
    the process that compiles takes the one, those that read the kernel from disk the other. The two
    are vectorised differently, and so round differently: a resumed run would not be the same.
    """
    return _compile(function, {"contract", "nsz"}, inline=True)


def inline_sum(function: Callable[..., Any]) -> Callable[..., Any]:
    """:func:`inline` for parts that may add in another order: one partial sum per vector lane."""
    return _compile(function, {"contract", "nsz", "reassoc"}, inline=True)


def _compile(function: Callable[..., Any], fastmath: set[str], inline: bool) -> Callable[..., Any]:
    options: dict[str, Any] = {
        "nogil": True,
        "error_model": "numpy",
        "fastmath": fastmath,
        "forceinline": inline,
    }
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither this folder nor the user's cache can be written to
        return numba.njit(**options)(function)
