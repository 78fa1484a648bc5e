"""Signatures of PyTorch's functions: of those written in Python as they are, of compiled ones as
PyTorch's own stubs declare them."""

from __future__ import annotations

import ast
import functools
import inspect
import re
from pathlib import Path
from typing import Any

import torch

HOME = Path(torch.__file__).parent
STUBS = {
    torch: ("_C/_VariableFunctions.pyi", ""),
    torch.nn.functional: ("_C/_nn.pyi", ""),
    torch.Tensor: ("_C/__init__.pyi", "    "),
}
Parameter = inspect.Parameter


@functools.cache
def _text(stub: str) -> str:
    return (HOME / stub).read_text(encoding="utf-8")


def overloads(owner: Any, name: str) -> list[inspect.Signature]:
    """The forms in which ``owner.name`` may be called."""
    function = {"max_pool2d": torch.nn.functional._max_pool2d}.get(name, getattr(owner, name))
    try:
        return [inspect.signature(function)]
    except ValueError:  # compiled
        for stub, indent in (STUBS[owner], STUBS[torch]):
            pattern = rf"^{indent}def {function.__name__}(\(.*?\)) -> "
            if found := re.findall(pattern, _text(stub), re.MULTILINE | re.DOTALL):
                return [_parsed(arguments) for arguments in found]
        raise


def _parsed(arguments: str) -> inspect.Signature:
    """``(input: Tensor, dim: _int = 0, *, out: Tensor | None = None)`` as a signature."""
    found = ast.parse(f"def f{arguments}: pass").body[0].args
    plain = [*found.posonlyargs, *found.args]
    defaults = [None] * (len(plain) - len(found.defaults)) + found.defaults
    kinds = [(a, d, Parameter.POSITIONAL_OR_KEYWORD) for a, d in zip(plain, defaults, strict=True)]
    if found.vararg:
        kinds.append((found.vararg, None, Parameter.VAR_POSITIONAL))
    pairs = zip(found.kwonlyargs, found.kw_defaults, strict=True)
    kinds += [(a, d, Parameter.KEYWORD_ONLY) for a, d in pairs]
    return inspect.Signature(
        [Parameter(a.arg, kind, default=_default(default)) for a, default, kind in kinds]
    )


def _default(node: ast.expr | None) -> Any:
    if node is None:
        return Parameter.empty
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ...  # a stub that does not tell
