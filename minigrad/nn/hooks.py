"""The forward hooks of a Module, and calls of the Module with them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .. import check
from ..hooks import Hooks


@dataclass(eq=False)
class Hook:
    """A function that a Module calls, and its options."""

    function: Callable[..., Any]
    with_kwargs: bool
    always_call: bool = False

    def __post_init__(self) -> None:
        check.function("hook", self.function)
        check.boolean("with_kwargs", self.with_kwargs)
        check.boolean("always_call", self.always_call)

    def __call__(self, module: Any, args: Any, kwargs: Any, *result: Any) -> Any:
        given = (args, kwargs) if self.with_kwargs else (args,)
        return self.function(module, *given, *result)


class ForwardHooks:
    """The hooks of a Module: those called ``before`` its forward, and those called ``after`` it."""

    def __init__(self) -> None:
        self.before, self.after = Hooks(), Hooks()

    def call(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call ``module.forward`` with the hooks before and after it."""
        result, waiting = None, None
        try:
            for hook in tuple(self.before.values()):
                changed = hook(module, args, kwargs)
                if changed is None:
                    continue
                if hook.with_kwargs:
                    args, kwargs = _arguments(changed)
                else:
                    args = changed if isinstance(changed, tuple) else (changed,)
            result = module.forward(*args, **kwargs)
            waiting = list(self.after.values())
            while waiting:
                changed = waiting.pop(0)(module, args, kwargs, result)
                result = result if changed is None else changed
        except Exception:
            for hook in tuple(self.after.values()) if waiting is None else waiting:
                if not hook.always_call:
                    continue
                try:
                    changed = hook(module, args, kwargs, result)
                    result = result if changed is None else changed
                except Exception as error:
                    text = f"a forward hook with always_call=True failed after an error: {error}"
                    warnings.warn(text, stacklevel=3)
            raise
        return result


def _arguments(changed: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments for ``forward`` returned by a pre-hook with ``with_kwargs=True``."""
    if isinstance(changed, tuple) and len(changed) == 2:
        args, kwargs = changed
        if isinstance(args, (tuple, list)) and isinstance(kwargs, Mapping):
            return tuple(args), dict(kwargs)
    got = check.shown(changed)
    raise TypeError(f"hook: its result: expected None or a tuple (args, kwargs), got {got}")
