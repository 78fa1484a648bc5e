"""Options that PyTorch has and minigrad lacks. They are accepted with PyTorch's default, and
refused by name with any other value."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from . import check

F = TypeVar("F", bound=Callable[..., Any])


def lacks(*also_by_position: str, **by_keyword: Any) -> Callable[[F], F]:
    """Let a function accept options that it does not implement, at PyTorch's default only.

    Args:
        also_by_position: options that PyTorch also takes by position, after the function's own
            parameters; their default is None.
        by_keyword: the other options, with their defaults.
    """
    defaults = dict.fromkeys(also_by_position) | by_keyword

    def decorate(function: F) -> F:
        own = inspect.signature(function)
        *kept, last = own.parameters.values()
        before = [p for p in (*kept, last) if p.kind is not p.KEYWORD_ONLY]
        room = len(before) if also_by_position else None

        @functools.wraps(function)
        def call(*args: Any, **options: Any) -> Any:
            if room is not None and len(args) > room:
                spare = dict(zip(also_by_position, args[room:], strict=False))
                args = args[:room] + args[room + len(spare) :]
                options = spare | options
            if options and not defaults.keys().isdisjoint(options):
                for name in defaults.keys() & options.keys():
                    check.unsupported(name, options.pop(name), defaults[name])
            return function(*args, **options)

        known = [
            inspect.Parameter(
                name,
                inspect.Parameter.POSITIONAL_OR_KEYWORD
                if name in also_by_position
                else inspect.Parameter.KEYWORD_ONLY,
                default=default,
            )
            for name, default in defaults.items()
        ]
        parameters = sorted((*own.parameters.values(), *known), key=lambda p: p.kind)
        call.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
        return call  # type: ignore[return-value]

    return decorate


def spread(name: str) -> Callable[[F], F]:
    """Let a function of ``*sizes`` also take them as ``name=(2, 3)``, as PyTorch does."""

    def decorate(function: F) -> F:
        parameters = inspect.signature(function).parameters.values()
        tensors = sum(p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters)  # before the sizes

        @functools.wraps(function)
        def call(*args: Any, **options: Any) -> Any:
            if name in options:
                if len(args) > tensors:
                    raise TypeError(f"{name}: given twice, by position and by name")
                args = (*args, options.pop(name))
            return function(*args, **options)

        return call  # type: ignore[return-value]

    return decorate
