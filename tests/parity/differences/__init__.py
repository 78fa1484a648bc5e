"""What differs from PyTorch by intent: the rows of docs/differences.md, each with a test that
shows it and, where drawn calls meet it, how the driver recognises it. A new file of this package
is imported by itself."""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import minigrad as mg
from tests.common import refuses
from tests.parity.driver import Call, Difference, Entry

F, T = mg.functional, torch.nn.functional
DIFFERENCES: dict[str, Difference] = {}


def row(
    name: str,
    says: tuple[str, ...] = (),
    at: tuple[str, ...] = ("",),
    differs: Callable[[Entry, Call], str] = lambda entry, call: "",
) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Put the decorated test into the table under its row's name."""

    def add(show: Callable[[], None]) -> Callable[[], None]:
        assert name not in DIFFERENCES
        DIFFERENCES[name] = Difference(show, says, at, differs)
        return show

    return add


def only_ours_refuses(error: type[Exception], text: str, call: Callable[[Any], Any]) -> None:
    """``call(library)`` works for PyTorch and is an error that says ``text`` for minigrad."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        call(torch)
    refuses(error, text, lambda: call(mg))


def functions(library: Any) -> Any:
    return library.functional if library is mg else T


def contains(call: Call, test: Callable[[np.ndarray], Any]) -> bool:
    """Whether any floating array of the call has an element that passes ``test``."""
    return any(a is not None and a.dtype.kind == "f" and bool(test(a).any()) for a in call.arrays)


def int64(library: Any) -> Any:
    return torch.int64 if library is torch else "int64"


def generator(library: Any) -> Any:
    return torch.Generator() if library is torch else "generator"


def sgd(library: Any) -> Any:
    return library.optim.SGD([library.zeros(1)], 0.1)


for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
