"""Gradient modes: whether operations are recorded, for each thread."""

from __future__ import annotations

import contextlib
import inspect
import threading
from typing import Any


class _Mode(threading.local):
    grad_enabled = True
    inference = False


_mode = _Mode()


def is_grad_enabled() -> bool:
    """Whether this thread records operations (see :class:`no_grad`)."""
    return _mode.grad_enabled


def is_inference_mode_enabled() -> bool:
    """Whether this thread is inside :class:`inference_mode`."""
    return _mode.inference


class _Switch(contextlib.ContextDecorator):
    """Base of :class:`no_grad` and similar classes: a context manager, and a decorator with or
    without parentheses."""

    def __new__(cls, orig_func: Any = None) -> Any:
        return super().__new__(cls) if orig_func is None else cls()(orig_func)

    def _mode(self) -> tuple[bool, bool]:
        """``grad_enabled`` and ``inference`` inside."""
        raise NotImplementedError

    def __enter__(self) -> None:
        before = (_mode.grad_enabled, _mode.inference)
        self._before = [*getattr(self, "_before", ()), before]
        _mode.grad_enabled, _mode.inference = self._mode()

    def __exit__(self, *_: object) -> None:
        _mode.grad_enabled, _mode.inference = self._before.pop()

    def _recreate_cm(self) -> Any:
        return type(self)()

    def __call__(self, func: Any) -> Any:
        name = type(self).__name__
        if not callable(func):
            raise TypeError(f"{name}: expected a function to decorate, got {type(func).__name__}")
        if inspect.isgeneratorfunction(func) or inspect.iscoroutinefunction(func):
            # The body runs after the call has returned, in another mode.
            raise NotImplementedError(
                f"{name}: decorating a generator or coroutine is not supported; "
                f"write 'with {name}():' inside it"
            )
        return super().__call__(func)


class no_grad(_Switch):
    """Context manager and decorator that turns off recording, so nothing is kept for backward."""

    def _mode(self) -> tuple[bool, bool]:
        return False, _mode.inference


class enable_grad(_Switch):
    """Context manager and decorator under which operations are recorded, also inside
    :class:`no_grad`; inside :class:`inference_mode` it changes nothing."""

    def _mode(self) -> tuple[bool, bool]:
        return not _mode.inference, _mode.inference


class set_grad_enabled(_Switch):
    """Turn recording on or off: a function, a context manager and a decorator.

    Args:
        mode: whether to record. It takes effect at once, and lasts until the end of the ``with``
            block if there is one.
    """

    def __new__(cls, mode: bool) -> Any:
        return object.__new__(cls)

    def __init__(self, mode: bool) -> None:
        if not isinstance(mode, bool):
            raise TypeError(f"mode: expected True or False, got {type(mode).__name__}")
        self.mode = mode
        self._outside = _mode.grad_enabled
        _mode.grad_enabled = mode and not _mode.inference

    def __enter__(self) -> None:
        """The mode holds already."""

    def __exit__(self, *_: object) -> None:
        _mode.grad_enabled = self._outside

    def _recreate_cm(self) -> Any:
        return set_grad_enabled(self.mode)

    def __call__(self, func: Any) -> Any:
        _mode.grad_enabled = self._outside  # it is to hold inside ``func`` alone
        return super().__call__(func)


class inference_mode(_Switch):
    """Context manager and decorator for code whose results never need a gradient.

    It is :class:`no_grad`, and ``enable_grad`` has no effect inside it. (PyTorch also refuses
    gradients through results that were made inside; here they are ordinary constants.)

    Args:
        mode: False leaves the mode that an outer ``inference_mode`` has entered.
    """

    def __new__(cls, mode: Any = True) -> Any:
        return object.__new__(cls) if isinstance(mode, bool) else cls()(mode)

    def __init__(self, mode: bool = True) -> None:
        self.mode = mode

    def _mode(self) -> tuple[bool, bool]:
        return not self.mode, self.mode

    def _recreate_cm(self) -> Any:
        return inference_mode(self.mode)
