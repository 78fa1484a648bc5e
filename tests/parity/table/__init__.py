"""The table: for every public operation, how to draw calls of it, and both libraries' function.

Each file of this package adds a family of operations; a new file is imported by itself. Arguments
are drawn from a little beyond what is right, so that refusals are compared too.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

import torch

import minigrad as mg
from minigrad import nn
from tests.parity.driver import Call, Drawer, Entry

F, T = mg.functional, torch.nn.functional
ENTRIES: dict[str, Entry] = {}
MANY, FEW = 200, 60  # calls


def entry(
    name: str,
    ours: Callable[..., Any] | None = None,
    theirs: Callable[..., Any] | None = None,
    bound: str = "each",
    examples: int | None = None,
) -> Callable[[Callable[[Drawer], Call]], Callable[[Drawer], Call]]:
    """Put the calls that the decorated function draws into the table; by default of the functions
    called ``name`` ("Tensor.sum", "functional.relu") in both libraries. A layer has few, because
    its function has an entry of its own."""
    place, _, called = name.rpartition(".")
    homes = {
        "Tensor": (mg.Tensor, torch.Tensor),
        "functional": (F, T),
        "nn": (nn, torch.nn),
        "": (mg, torch),
    }
    first, second = homes[place]

    def add(draw: Callable[[Drawer], Call]) -> Callable[[Drawer], Call]:
        mine, other = ours or getattr(first, called), theirs or getattr(second, called)
        count = examples or (FEW if place == "nn" else MANY)
        ENTRIES[name] = Entry(name, mine, other, draw, bound, count)
        return draw

    return add


def layer(name: str, *parameters: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Both libraries' layer ``name`` as a function of its input, of the tensors that take the place
    of ``parameters``, and of its options."""

    def of(library: Any) -> Callable[..., Any]:
        def apply(x: Any, *rest: Any, **options: Any) -> Any:
            made = getattr(library, name)(*rest[len(parameters) :], **options)
            for parameter, value in zip(parameters, rest, strict=False):
                if library is torch.nn:
                    del made._parameters[parameter]
                vars(made)[parameter] = value
            return made(x)

        return apply

    return of(nn), of(torch.nn)


for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
