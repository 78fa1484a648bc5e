"""The one door to kernels compiled by Numba: an optional accelerator of the CPU.

Every operation is complete in plain NumPy, the version to read and to test against. Where Numba is
installed (``pip install 'minigrad[fast]'``) some take a compiled way instead. Results differ in
rounding only. ``MINIGRAD_COMPILED=0`` in the environment, or ``set_compiled(False)``, turns it off.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
from types import ModuleType
from typing import Any

import numpy as np


def _available() -> bool:
    return importlib.util.find_spec("numba") is not None


def _default() -> bool:
    asked = os.environ.get("MINIGRAD_COMPILED", "")
    if asked not in ("", "0", "1"):
        raise ValueError(f"MINIGRAD_COMPILED={asked!r}: expected 0 or 1")
    if asked == "1" and not _available():
        raise ModuleNotFoundError(_MISSING.format("MINIGRAD_COMPILED=1"))
    return asked != "0" and _available()


_MISSING = "{}: compiled kernels need Numba; install it with: pip install 'minigrad[fast]'"
_enabled = _default()


def is_compiled() -> bool:
    """True if operations on the CPU use compiled kernels where they have them."""
    return _enabled


def set_compiled(enabled: bool) -> None:
    """Use compiled kernels on the CPU, or plain NumPy throughout.

    Raises:
        TypeError: ``enabled`` is not a bool.
        ModuleNotFoundError: they are asked for and Numba is not installed.
    """
    global _enabled
    if not isinstance(enabled, bool):
        raise TypeError(f"enabled: expected a bool, got {type(enabled).__name__}")
    if enabled and not _available():
        raise ModuleNotFoundError(_MISSING.format("set_compiled(True)"))
    _enabled = enabled


def kernels(name: str, dtype: np.dtype[Any]) -> ModuleType | None:
    """The module ``minigrad.kernels.<name>`` for arrays of ``dtype``, or None where plain NumPy is
    to be used: Numba knows no float16."""
    return _module(name) if _enabled and dtype.char in "fd" else None


@functools.cache
def _module(name: str) -> ModuleType:
    return importlib.import_module(f"minigrad.kernels.{name}")
