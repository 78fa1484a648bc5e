"""Events: what runs on a thread, told to those who listen.

Hooks of tensors and modules see one of them; a :class:`Listener` sees all operations, derivatives,
gradients and modules of its thread, in their order.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from .device import Array


class Listener:
    """Base of those who follow what runs on a thread (see :func:`listen`): override what you need.

    Modules announce themselves with :meth:`enter` and :meth:`leave`, so a listener knows in which
    one an operation runs.
    """

    def begin_operation(
        self, operation: Any, inputs: tuple[Any, ...], params: dict[str, Any]
    ) -> None:
        """``operation`` is about to run on ``inputs``."""

    def operation(
        self, name: str, inputs: tuple[Any, ...], params: dict[str, Any], result: Any
    ) -> None:
        """An operation has run on ``inputs`` and made the Tensor ``result``."""

    def begin_derivative(self, node: Any, g: Array) -> None:
        """The derivative of ``node`` is about to run on ``g``, the complete gradient of its
        result."""

    def derivative(self, node: Any, g: Array, gradients: tuple[Array | None, ...]) -> None:
        """The derivative of ``node`` has made ``gradients`` of ``g``."""

    def gradient(self, node: Any, number: int, target: Any, term: Array, total: Array) -> None:
        """``node`` has sent ``term`` to its input ``number``, which is the result of the node
        ``target`` or the leaf ``target``; ``total`` is the sum of what has come there so far.

        The next term may be added into the memory of ``total``: take what you need of it at once.
        """

    def leaf(self, x: Any, gradient: Array) -> None:
        """``gradient``, the sum of all terms, has been added to the gradient of the leaf ``x``."""

    def enter(self, module: Any, inputs: tuple[Any, ...]) -> None:
        """The forward pass of ``module`` begins."""

    def leave(self, module: Any, inputs: tuple[Any, ...], result: Any) -> None:
        """The forward pass of ``module`` has ended; ``result`` is None if by an exception."""


class _Thread(threading.local):
    listeners: tuple[Listener, ...] = ()


_thread = _Thread()


@contextlib.contextmanager
def listen(listener: Listener) -> Iterator[None]:
    """Tell ``listener`` of all events on this thread."""
    before = _thread.listeners
    _thread.listeners = (*before, listener)
    try:
        yield
    finally:
        _thread.listeners = before


def listeners() -> tuple[Listener, ...]:
    """Those who listen on this thread."""
    return _thread.listeners
