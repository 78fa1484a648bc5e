"""The models in PyTorch: the files of :mod:`cifar.models`, run with torch's modules in place of
minigrad's.

The files use names that both libraries have. So a twin has the same module tree, and therefore the
same ``state_dict``. Options of batch norm that only minigrad has, to save a pass over memory, are
translated below.
"""

from __future__ import annotations

import ast
import builtins
import functools
import importlib.util
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

MODELS = "cifar.models"


class SpelledOut(ast.NodeTransformer):
    """Translates ``norm(x, residual=r, relu=True)`` to ``relu(norm(x) + r)``. Batch norm itself is
    torch's own class, also for its tracer and fusion."""

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        options = {keyword.arg: keyword.value for keyword in node.keywords}
        if not options.keys() & {"relu", "residual"}:
            return node
        result: ast.expr = ast.Call(node.func, node.args, [])
        if "residual" in options:
            result = ast.BinOp(result, ast.Add(), options["residual"])
        if "relu" in options:
            result = ast.Call(ast.Name("relu", ast.Load()), [result], [])
        return result


MINIGRAD = SimpleNamespace(
    Tensor=torch.Tensor,
    functional=F,
    nn=nn,
    no_grad=torch.no_grad,
)


@functools.cache
def load(name: str) -> ModuleType:
    """The module ``cifar.models.NAME`` in PyTorch."""
    spec = importlib.util.find_spec(f"{MODELS}.{name}")
    assert spec is not None
    assert spec.origin is not None
    module = ModuleType(f"{__name__}.{name}")
    tree = SpelledOut().visit(ast.parse(Path(spec.origin).read_text("utf-8")))
    vars(module)["__builtins__"] = {**vars(builtins), "__import__": _import, "relu": F.relu}
    exec(compile(ast.fix_missing_locations(tree), spec.origin, "exec"), vars(module))
    return module


def _import(name: str, *arguments: Any) -> Any:
    """The ``import`` of these files: torch in place of minigrad, and twins of other models."""
    if name == "minigrad":
        return MINIGRAD
    if name.startswith(f"{MODELS}."):
        return load(name.rpartition(".")[2])
    return builtins.__import__(name, *arguments)
