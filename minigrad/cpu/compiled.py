"""The one door to kernels compiled by Numba: an optional accelerator of the CPU.

Every operation is complete in plain NumPy, the version to read and to test against. Where Numba is
installed (the extra ``fast``) some take a compiled way instead. Results differ in rounding only.
``MINIGRAD_COMPILED=0`` in the environment, or ``set_compiled(False)``, turns it off.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np

from ..console import install

_enabled: bool | None = None  # not decided: importing Numba takes half a second


def is_compiled() -> bool:
    """True if operations on the CPU use compiled kernels where they have them.

    Raises:
        ValueError, ImportError: MINIGRAD_COMPILED is wrong, or asks for what is not there.
    """
    global _enabled
    if _enabled is None:
        _enabled = _default()
    return _enabled


def set_compiled(enabled: bool) -> None:
    """Use compiled kernels on the CPU, or plain NumPy throughout.

    Raises:
        TypeError: ``enabled`` is not a bool.
        ImportError: they are asked for, and Numba is not installed or cannot be imported.
    """
    global _enabled
    if not isinstance(enabled, bool):
        raise TypeError(f"enabled: expected a bool, got {type(enabled).__name__}")
    if enabled:
        _require("set_compiled(True)")
    _enabled = enabled


@contextmanager
def watch_compilation(told: Callable[[str], object]) -> Iterator[None]:
    """Call ``told(name)`` whenever a kernel begins to be compiled for the CPU meanwhile, in any
    thread; kernels that an earlier process left on disk are not.

    Raises:
        TypeError: ``told`` is no function.
    """
    if not callable(told):
        raise TypeError(f"told: expected a function, got {type(told).__name__}")
    if not is_compiled():
        yield
        return
    from numba.core import event

    class Listener(event.Listener):
        def on_start(self, event: Any) -> None:
            function = event.data["dispatcher"].py_func
            if function.__module__.startswith(f"{__package__}."):
                told(function.__name__)

        def on_end(self, event: Any) -> None:
            pass

    with event.install_listener("numba:compile", Listener()):
        yield


def kernels(name: str, dtype: np.dtype[Any]) -> ModuleType | None:
    """The module ``minigrad.cpu.kernels.<name>`` for arrays of ``dtype``, or None where plain
    NumPy is to be used: Numba knows no float16."""
    return _module(name) if is_compiled() and dtype.char in "fd" else None


@functools.cache
def _module(name: str) -> ModuleType:
    return importlib.import_module(f"minigrad.cpu.kernels.{name}")


def _default() -> bool:
    """What MINIGRAD_COMPILED says; unless it says anything, whether Numba is available."""
    asked = os.environ.get("MINIGRAD_COMPILED", "")
    if asked not in ("", "0", "1"):
        raise ValueError(f"MINIGRAD_COMPILED: expected 0 or 1, got {asked!r}")
    if asked == "1":
        _require("MINIGRAD_COMPILED=1")
    return asked == "1" if asked else is_available()


def is_available() -> bool:
    """Whether Numba can be used; a broken one gives a warning."""
    if importlib.util.find_spec("numba") is None:
        return False
    try:
        _require("compiled kernels")
    except ImportError as error:
        warnings.warn(f"{error}; until then plain NumPy computes", RuntimeWarning, stacklevel=2)
        return False
    return True


def _require(what: str) -> None:
    """Import Numba, for ``what``.

    Raises:
        ImportError: it is not installed, or broken, as by another version of NumPy.
    """
    try:
        import numba  # noqa: F401
    except Exception as error:  # of a broken one, anything
        raise ImportError(
            f"{what}: needs Numba, which cannot be imported ({type(error).__name__}: {error}); "
            f"{install('fast')}"
        ) from error
