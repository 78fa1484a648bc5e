"""The source of a function: its file and lines."""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .record import Code

ROOT = Path(__file__).parents[2]


def code(function: Callable[..., Any]) -> Code | None:
    """The source of ``function``; None if there is no file, as in a prompt."""
    try:
        file = inspect.getsourcefile(function)
        lines, first = inspect.getsourcelines(function)
    except (OSError, TypeError):
        return None
    name = getattr(function, "__name__", type(function).__name__)
    return Code(name, _shown(Path(file or "?")), first, inspect.cleandoc("".join(lines)))


def _shown(file: Path) -> str:
    """A path from the folder that holds minigrad or from the current one, or the name alone."""
    for base in (ROOT, Path.cwd()):
        if file.is_relative_to(base):
            return file.relative_to(base).as_posix()
    return file.name


def maker(backward: Callable[..., Any]) -> Callable[..., Any] | None:
    """The function that returned the derivative ``backward``: the implementation that ran."""
    while isinstance(backward, types.FunctionType) and "in_float32" in backward.__qualname__:
        inner = dict(zip(backward.__code__.co_freevars, backward.__closure__ or (), strict=True))
        backward = inner["backward"].cell_contents
    outer = getattr(backward, "__qualname__", "").partition(".")[0]
    function = getattr(sys.modules.get(getattr(backward, "__module__", "")), outer, None)
    function = getattr(function, "definition", function)  # an operation, for its function
    return inspect.unwrap(function) if isinstance(function, types.FunctionType) else None


def argument_names(function: Callable[..., Any]) -> list[str]:
    """The positional arguments of an operation's definition; one that takes any number ends in …"""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):
        return []
    kind = inspect.Parameter
    shown = {kind.POSITIONAL_ONLY: "", kind.POSITIONAL_OR_KEYWORD: "", kind.VAR_POSITIONAL: "…"}
    return [f"{p.name}{shown[p.kind]}" for p in parameters if p.kind in shown]
