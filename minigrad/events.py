"""Events: a stream of what runs on a thread.

A hook sees the events of one tensor or module; a :class:`Listener` sees all operations,
derivatives, gradients and modules of its thread, in order.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from .device import Array

__all__ = ["Listener", "listen", "listeners"]


class Listener:
    """Base of listeners (see :func:`listen`): override the methods you need.

    Modules call :meth:`enter` and :meth:`leave`, so a listener knows the module in which an
    operation runs.
    """

    def begin_operation(
        self, operation: Any, inputs: tuple[Any, ...], params: dict[str, Any]
    ) -> None:
        """``operation`` is about to run on ``inputs``."""

    def operation(
        self, name: str, inputs: tuple[Any, ...], params: dict[str, Any], result: Any
    ) -> None:
        """The operation ``name`` has computed the Tensor ``result`` from ``inputs``."""

    def begin_derivative(self, node: Any, g: Array) -> None:
        """The derivative of ``node`` is about to run on ``g``, the complete gradient of its
        result."""

    def derivative(self, node: Any, g: Array, gradients: tuple[Array | None, ...]) -> None:
        """The derivative of ``node`` has computed ``gradients`` from ``g``."""

    def gradient(self, node: Any, number: int, target: Any, term: Array, total: Array) -> None:
        """``node`` has passed ``term`` to its input ``number``. ``target`` is that input's node, or
        the leaf itself, and ``total`` the sum of its terms so far.

        The next term may be added in place to ``total``, so copy what you need from it at once.
        """

    def leaf(self, x: Any, gradient: Array) -> None:
        """``gradient``, the sum of all terms, has been added to the gradient of the leaf ``x``."""

    def enter(self, module: Any, inputs: tuple[Any, ...]) -> None:
        """The forward pass of ``module`` begins."""

    def leave(self, module: Any, inputs: tuple[Any, ...], result: Any) -> None:
        """The forward pass of ``module`` has ended; ``result`` is None after an exception."""


class _Thread(threading.local):
    listeners: tuple[Listener, ...] = ()


_thread = _Thread()


@contextlib.contextmanager
def listen(listener: Listener) -> Iterator[None]:
    """Context in which ``listener`` gets all events of this thread."""
    before = _thread.listeners
    _thread.listeners = (*before, listener)
    try:
        yield
    finally:
        _thread.listeners = before


def listeners() -> tuple[Listener, ...]:
    """The listeners of this thread."""
    return _thread.listeners
