"""Which code runs a function of arrays: its definition, or a faster implementation of it.

A definition is written to be read: plain NumPy, the mathematics in its docstring. It knows nothing
of what is registered for it, in files of their own under ``minigrad/cpu`` and ``minigrad/gpu``::

    @conv2d.on("cpu", when=lambda x, w, *_, **__: w.shape[2:] == (3, 3))
    def by_winograd(x, w, b, *, padding): ...

An implementation takes the same arguments and returns the same result, but for rounding.
:func:`set_implementation` chooses, so that a reader can step through the definition in a debugger,
and a test can run every implementation against it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np

from .cpu.compiled import is_available, is_compiled, set_compiled

CHOICES = ("definition", "numpy", "auto")

_only_definitions = False


def get_implementation() -> str:
    """The code in force: "definition", "numpy" or "auto"; see :func:`set_implementation`."""
    if _only_definitions:
        return "definition"
    return "auto" if is_compiled() else "numpy"


def set_implementation(choice: str) -> None:
    """Choose the code that runs operations, on all threads.

    Args:
        choice: "definition" runs the definitions in :mod:`minigrad.ops` as they stand. "numpy" adds
            the implementations that need no compiler: blocks of NumPy shared over cores, as
            ``set_compiled(False)`` does. "auto", the default, adds kernels compiled by Numba where
            it is installed. A GPU runs its CUDA kernels unless "definition" is chosen.

    Raises:
        ValueError: there is no such choice.
    """
    global _only_definitions
    if not isinstance(choice, str) or choice not in CHOICES:
        came = choice if isinstance(choice, str) else type(choice).__name__
        raise ValueError(f"choice: expected one of {', '.join(CHOICES)}, got {came!r}")
    _only_definitions = choice == "definition"
    if choice != "definition":
        set_compiled(choice == "auto" and is_available())


def device_type(*arrays: Any) -> str:
    """ "gpu" if the first array of ``arrays`` lies on one, else "cpu"."""
    for array in arrays:
        if isinstance(array, np.ndarray):
            return "cpu"
        if hasattr(type(array), "__cuda_array_interface__"):
            return "gpu"
    return "cpu"


class Implementation(NamedTuple):
    """One way to run a function: the device it is for, and the arguments it serves."""

    device: str
    when: Callable[..., bool]
    function: Callable[..., Any]


def always(*args: Any, **params: Any) -> bool:
    """The condition of an implementation that serves all arguments."""
    return True


class Dispatched:
    """A function of arrays: its definition, and the implementations registered for it.

    Attributes:
        definition: the function as it was written.
        implementations: in the order in which they are tried; the first that serves is run, and
            the definition where none does.
        run: ``run(*args, **params)``, what the chosen function makes of these arguments. What a
            decorator such as :func:`minigrad.sums.in_float32` does to the arguments of the
            definition, it does before the choice, so implementations see what the definition sees.
    """

    def __init__(self, definition: Callable[..., Any]) -> None:
        functools.update_wrapper(cast(Any, self), definition)
        self.definition = definition
        self.implementations: list[Implementation] = []
        adapt = getattr(definition, "adapt", None)
        self.run: Callable[..., Any] = adapt(self._run) if adapt else self._run

    def on(
        self, device: str, when: Callable[..., bool] = always
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Register the decorated function for arrays on ``device``.

        Args:
            device: "cpu" or "gpu".
            when: ``when(*args, **params)``, whether it serves these arguments.
        """

        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            self.implementations.append(Implementation(device, when, function))
            return function

        return register

    def choose(self, *args: Any, **params: Any) -> Callable[..., Any]:
        """The function that runs these arguments."""
        if self.implementations and not _only_definitions:
            here = device_type(*args)
            for device, when, function in self.implementations:
                if device == here and when(*args, **params):
                    return function
        return self.definition

    def _run(self, *args: Any, **params: Any) -> Any:
        return self.choose(*args, **params)(*args, **params)
