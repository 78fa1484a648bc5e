"""The choice between the definition of a function of arrays and its faster implementations.

A definition is written to be read: plain NumPy, with the mathematics in its docstring. It does not
mention its implementations, which ``minigrad/cpu`` and ``minigrad/gpu`` register::

    @conv2d.on("cpu", when=lambda x, w, *_, **__: w.shape[2:] == (3, 3))
    def by_winograd(x, w, b, *, padding): ...

An implementation takes the same arguments and returns the same result, apart from rounding.
:func:`set_implementation` chooses between them, so a reader can step through the definition in a
debugger, and a test can compare each implementation with it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import numpy as np

from .cpu.compiled import is_available, is_compiled, set_compiled

CHOICES = ("definition", "numpy", "auto")

_only_definitions = False


def get_implementation() -> str:
    """The current choice: "definition", "numpy" or "auto"; see :func:`set_implementation`."""
    if _only_definitions:
        return "definition"
    return "auto" if is_compiled() else "numpy"


def set_implementation(choice: str) -> None:
    """Choose the code that runs operations, on all threads.

    Args:
        choice: "definition" runs the definitions in :mod:`minigrad.ops` alone. "numpy" adds the
            implementations that need no compiler, blocks of NumPy on all cores, like
            ``set_compiled(False)``. "auto", the default, adds kernels compiled by Numba if it is
            installed. A GPU runs its CUDA kernels unless the choice is "definition".

    Raises:
        ValueError: ``choice`` is none of these.
    """
    global _only_definitions
    if not isinstance(choice, str) or choice not in CHOICES:
        got = choice if isinstance(choice, str) else type(choice).__name__
        raise ValueError(f"choice: expected one of {', '.join(CHOICES)}, got {got!r}")
    _only_definitions = choice == "definition"
    if choice != "definition":
        set_compiled(choice == "auto" and is_available())


def device_type(*arrays: Any) -> str:
    """ "gpu" if the first array of ``arrays`` is on a GPU, else "cpu"."""
    for array in arrays:
        if isinstance(array, np.ndarray):
            return "cpu"
        if hasattr(type(array), "__cuda_array_interface__"):
            return "gpu"
    return "cpu"


class Implementation(NamedTuple):
    """An implementation of a function: its device, the condition under which it applies, its
    code."""

    device: str
    when: Callable[..., bool]
    function: Callable[..., Any]


def always(*args: Any, **params: Any) -> bool:
    """The condition of an implementation that applies to all arguments."""
    return True


class Dispatched:
    """A function of arrays: its definition, and the implementations registered for it.

    Attributes:
        definition: the function as it was written.
        implementations: in the order in which they are tried. The first that applies runs; if none
            does, the definition runs.
        adapted: what runs instead where a decorator of the definition such as
            :func:`minigrad.sums.in_float32` changes the arguments before the choice, so that
            implementations get the same arguments as the definition; None without one.
        run: ``run(*args, **params)`` calls the chosen function.
    """

    def __init__(self, definition: Callable[..., Any]) -> None:
        functools.update_wrapper(cast(Any, self), definition)
        self.definition = definition
        self.implementations: list[Implementation] = []
        adapt = getattr(definition, "adapt", None)
        self.adapted: Callable[..., Any] | None = adapt(self._run) if adapt else None
        self.run: Callable[..., Any] = self.adapted or self._run

    def on(
        self, device: str, when: Callable[..., bool] = always
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Register the decorated function for arrays on ``device``.

        Args:
            device: "cpu" or "gpu".
            when: ``when(*args, **params)`` is True for arguments to which the function applies.
        """

        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            self.implementations.append(Implementation(device, when, function))
            return function

        return register

    def choose(self, args: Sequence[Any], params: dict[str, Any]) -> Callable[..., Any]:
        """The function that runs for these arguments."""
        if self.implementations and not _only_definitions:
            here = device_type(*args)
            for device, when, function in self.implementations:
                if device == here and (when is always or when(*args, **params)):
                    return function
        return self.definition

    def _run(self, *args: Any, **params: Any) -> Any:
        return self.choose(args, params)(*args, **params)
