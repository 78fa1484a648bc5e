"""The one door to kernels compiled by Numba: an optional accelerator of the CPU.

Every operation is complete in plain NumPy, the version to read and to test against. Where Numba is
installed (the extra ``fast``), some operations use a compiled kernel instead. Results differ only
in rounding. ``MINIGRAD_COMPILED=0`` in the environment, or ``set_compiled(False)``, turns this off.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np

from ..console import install

_enabled: bool | None = None  # undecided, because importing Numba takes half a second


def is_compiled() -> bool:
    """True if operations on the CPU use compiled kernels where they have them.

    Raises:
        ValueError: MINIGRAD_COMPILED is neither 0 nor 1.
        ImportError: MINIGRAD_COMPILED is 1, and Numba is missing.
    """
    global _enabled
    if _enabled is None:
        _enabled = _default()
    return _enabled


def set_compiled(enabled: bool) -> None:
    """Use compiled kernels on the CPU, or plain NumPy throughout.

    Raises:
        TypeError: ``enabled`` is not a bool.
        ImportError: ``enabled`` is True, and Numba is missing or cannot be imported.
    """
    global _enabled
    if not isinstance(enabled, bool):
        raise TypeError(f"enabled: expected a bool, got {type(enabled).__name__}")
    if enabled:
        _require("set_compiled(True)")
    _enabled = enabled


class Compilation:
    """The result of :func:`watch_compilation`.

    Attributes:
        seconds: time in which kernels were being compiled, by one thread or several.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._running, self._since, self._lock = 0, 0.0, threading.Lock()

    def _count(self, change: int) -> None:
        """Note that a kernel is begun (1) or done (-1). One is compiled within another."""
        with self._lock:
            now = time.perf_counter()
            if self._running:
                self.seconds += now - self._since
            self._running, self._since = self._running + change, now


@contextmanager
def watch_compilation(callback: Callable[[str], object]) -> Iterator[Compilation]:
    """Inside this context, call ``callback(name)`` whenever any thread starts to compile a kernel
    for the CPU; the context's value notes the time. Kernels loaded from the cache on disk do not
    count.

    Raises:
        TypeError: ``callback`` is not callable.
    """
    if not callable(callback):
        raise TypeError(f"callback: expected a function, got {type(callback).__name__}")
    seen = Compilation()
    if not is_compiled():
        yield seen
        return
    from numba.core import event

    class Listener(event.Listener):
        def on_start(self, event: Any) -> None:
            seen._count(1)
            function = event.data["dispatcher"].py_func
            if function.__module__.startswith(f"{__package__}."):
                callback(function.__name__)

        def on_end(self, event: Any) -> None:
            seen._count(-1)

    with event.install_listener("numba:compile", Listener()):
        yield seen


def kernels(name: str, dtype: np.dtype[Any]) -> ModuleType | None:
    """The module ``minigrad.cpu.kernels.<name>``, or None where plain NumPy serves arrays of
    ``dtype``: Numba has no float16."""
    enabled = is_compiled() if _enabled is None else _enabled
    return _module(name) if enabled and dtype.char in "fd" else None


@functools.cache
def _module(name: str) -> ModuleType:
    return importlib.import_module(f"minigrad.cpu.kernels.{name}")


def _default() -> bool:
    """The setting of MINIGRAD_COMPILED; if it is unset, whether Numba is available."""
    asked = os.environ.get("MINIGRAD_COMPILED", "")
    if asked not in ("", "0", "1"):
        raise ValueError(f"MINIGRAD_COMPILED: expected 0 or 1, got {asked!r}")
    if asked == "1":
        _require("MINIGRAD_COMPILED=1")
    return asked == "1" if asked else is_available()


def is_available() -> bool:
    """Whether Numba can be imported. A broken installation gives a warning."""
    if importlib.util.find_spec("numba") is None:
        return False
    try:
        _require("compiled kernels")
    except ImportError as error:
        warnings.warn(f"{error}; until then plain NumPy is used", RuntimeWarning, stacklevel=2)
        return False
    return True


def _require(what: str) -> None:
    """Import Numba, for ``what``.

    Raises:
        ImportError: Numba is not installed, or broken, for example by another version of NumPy.
    """
    try:
        import numba  # noqa: F401
    except Exception as error:  # a broken package raises anything
        raise ImportError(
            f"{what}: needs Numba, which cannot be imported ({type(error).__name__}: {error}); "
            f"{install('fast')}"
        ) from error
