"""The table: a right call of everything public, what else each argument may be, and values that are
wrong though their type is right. A new file of this package is imported by itself."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

import minigrad as mg

NAN = float("nan")
init, data = mg.nn.init, mg.data


def leaf(*shape: int) -> mg.Tensor:
    return mg.ones(*(shape or (2, 3)), requires_grad=True)


def model() -> Any:
    return mg.nn.Sequential(mg.nn.Linear(3, 4), mg.nn.BatchNorm1d(4)).eval()


# How each is called rightly, argument by argument, and the kinds of junk that one may be.
Call = tuple[Callable[..., Any], dict[str, Any], dict[str, tuple[str, ...]]]
CALLS: dict[str, Call] = {}


def calls(name: str, function: Callable[..., Any], may: dict[str, Any], /, **rightly: Any) -> None:
    CALLS[name] = (function, rightly, may)


# What is of the right type, and wrong all the same; by the call's name, argument by argument.
WRONG: dict[str, dict[str, list[Any]]] = {}

# Calls that are refused: the type of the error, the argument that its text begins with, the call.
REFUSED_CALLS: list[tuple[type[Exception], str, Callable[[], Any]]] = []

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
