"""A table of a model's modules: the result of each, and its number of parameters."""

from __future__ import annotations

import sys
from typing import Any, TextIO

from ..console import aligned, byte_count, dimensions, one_line
from ..events import Listener, listen
from ..tape import no_grad
from ..tensor import Tensor


class _Calls(Listener):
    """Records the calls of modules in the order in which they begin."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, int, Any]] = []  # module, depth, result
        self._open: list[int] = []

    def enter(self, module: Any, inputs: tuple[Any, ...]) -> None:
        self._open.append(len(self.calls))
        self.calls.append((module, len(self._open) - 1, None))

    def leave(self, module: Any, inputs: tuple[Any, ...], result: Any) -> None:
        number = self._open.pop()
        self.calls[number] = (module, self.calls[number][1], result)


def summary(model: Any, inputs: tuple[Any, ...], file: TextIO | None) -> None:
    """The implementation of :meth:`Module.summary`."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        with no_grad(), listen(calls := _Calls()):
            model.eval()(*inputs)
    finally:
        for module, mode in modes:
            module.training = mode
    print(_table(model, calls.calls), file=file or sys.stdout)


def _table(model: Any, calls: list[tuple[Any, int, Any]]) -> str:
    names = {id(module): path.rpartition(".")[2] for path, module in model.named_modules()}
    rows = [("module", "result", "parameters")]
    counted: set[int] = set()
    for module, depth, result in calls:
        name, kind = names.get(id(module), ""), type(module).__name__
        own = [p for p in module.parameters(recurse=False) if id(p) not in counted]
        counted.update(map(id, own))
        count = sum(p.numel() for p in own)
        label = one_line(f"{name} {kind}" if name else kind)
        rows.append(("  " * depth + label, _shapes(result), f"{count:,}" if count else ""))
    parameters = list(model.parameters())
    learnt = sum(p.numel() for p in parameters if p.requires_grad)
    frozen = sum(p.numel() for p in parameters) - learnt
    size = sum(p.data.nbytes for p in parameters)
    total = f"{learnt:,} parameters are learnt{f', {frozen:,} frozen' if frozen else ''}"
    return f"{aligned(rows, right=(2,))}\n{total}; {byte_count(size)}"


def _shapes(result: Any) -> str:
    if isinstance(result, Tensor):
        return dimensions(result.shape)
    if isinstance(result, (tuple, list)):
        return ", ".join(map(_shapes, result))
    return type(result).__name__
