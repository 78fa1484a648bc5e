"""Module: parameters, buffers and submodules found by walking attributes in definition order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ..backend import device, move
from ..tensor import Tensor


class Parameter(Tensor):
    """A Tensor that a Module learns: assigning it to an attribute is enough to register it."""

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(data, requires_grad)


class Module:
    """Base of all layers and models: subclass it, assign members in ``__init__``, write ``forward``.

    Nothing is registered: a member that is a Parameter is one, one that is another Tensor is a
    buffer (state that is saved but not learnt), one that is a Module is a child. Names are the
    attribute paths joined by dots, as in PyTorch, so ``state_dict`` keys equal PyTorch's for the
    same tree.
    """

    training: bool = True

    def forward(self, *args: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} defines no forward()")

    def __call__(self, *args: Any) -> Any:
        return self.forward(*args)

    # -- finding members

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Direct submodules with their attribute names."""
        return ((k, v) for k, v in vars(self).items() if isinstance(v, Module))

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all below it, each once, with dotted paths ("" for itself)."""
        seen: set[int] = set()
        pending: list[tuple[str, Module]] = [(prefix, self)]
        while pending:
            path, module = pending.pop()
            if id(module) in seen:
                continue
            seen.add(id(module))
            yield path, module
            dot = f"{path}." if path else ""
            pending += reversed([(dot + name, m) for name, m in module.named_children()])

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def _named_tensors(self) -> Iterator[tuple[str, Tensor]]:
        for path, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, Tensor):
                    yield (f"{path}.{name}" if path else name), value

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Parameters with dotted names, a shared one under its first name only."""
        seen: set[int] = set()
        for name, value in self._named_tensors():
            if isinstance(value, Parameter) and id(value) not in seen:
                seen.add(id(value))
                yield name, value

    def parameters(self) -> Iterator[Parameter]:
        """All parameters, each once."""
        return (p for _, p in self.named_parameters())

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """Buffers with dotted names."""
        return ((n, t) for n, t in self._named_tensors() if not isinstance(t, Parameter))

    def buffers(self) -> Iterator[Tensor]:
        """All buffers."""
        return (t for _, t in self.named_buffers())

    # -- state

    def train(self, mode: bool = True) -> Module:
        """Put this module and all below it in training (or evaluation) mode; returns itself."""
        if not isinstance(mode, bool):
            raise TypeError(f"mode: expected a bool, got {type(mode).__name__}")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Module:
        """Evaluation mode: batch norm uses running statistics, dropout does nothing."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for p in self.parameters():
            p.grad = None

    def to(self, where: str | device) -> Module:
        """Move all parameters, gradients and buffers to a device, in place; returns itself."""
        target = device(where)
        for _, t in self._named_tensors():
            t.data = move(t.data, target)
            if t.grad is not None:
                t.grad.data = move(t.grad.data, target)
        return self

    def apply(self, fn: Callable[[Module], Any]) -> Module:
        """Call ``fn`` on every module below, then on this one; returns itself."""
        for _, child in self.named_children():
            child.apply(fn)
        fn(self)
        return self

    def state_dict(self) -> dict[str, Tensor]:
        """Parameters and buffers by dotted name: the live arrays, not copies."""
        return {name: value.detach() for name, value in self._named_tensors()}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> None:
        """Copy values into parameters and buffers of the same names.

        Args:
            state_dict: name → Tensor or array of the member's shape; floating values are converted
                to its dtype and moved to its device.
            strict: also fail on names that are missing or not expected.

        Raises:
            ValueError: naming every missing, unexpected and misshapen entry at once. Nothing has
                been changed then.
        """
        own = dict(self._named_tensors())
        values = {k: v.data if isinstance(v, Tensor) else v for k, v in state_dict.items()}
        problems = []
        if strict:
            problems += [f"missing {name}" for name in own if name not in values]
            problems += [f"unexpected {name}" for name in values if name not in own]
        for name in own.keys() & values.keys():
            if tuple(np.shape(values[name])) != own[name].shape:
                problems.append(
                    f"{name}: expected shape {own[name].shape}, got {tuple(np.shape(values[name]))}"
                )
        if problems:
            raise ValueError(f"state_dict for {type(self).__name__}: " + "; ".join(problems))
        for name in own.keys() & values.keys():
            own[name].data[...] = move(values[name], own[name].device)

    # -- printing

    def extra_repr(self) -> str:
        """The options shown between the parentheses of ``repr``."""
        return ""

    def __repr__(self) -> str:
        children = [
            f"({name}): {module!r}".replace("\n", "\n  ") for name, module in self.named_children()
        ]
        inside = [self.extra_repr()] if not children and self.extra_repr() else []
        body = "\n  ".join(["", *children]) + "\n" if children else "".join(inside)
        return f"{type(self).__name__}({body})"


class Sequential(Module):
    """Modules applied one after another; their names are "0", "1", … as in PyTorch."""

    def __init__(self, *modules: Module) -> None:
        _number(self, modules)

    def forward(self, x: Any) -> Any:
        for module in self:
            x = module(x)
        return x

    def __iter__(self) -> Iterator[Module]:
        return (module for _, module in self.named_children())

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, index: int | slice) -> Any:
        found = list(self)[index]
        return Sequential(*found) if isinstance(found, list) else found


class ModuleList(Module):
    """A list of modules whose parameters are found; it has no forward of its own."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        _number(self, modules)

    __iter__ = Sequential.__iter__
    __len__ = Sequential.__len__

    def __getitem__(self, index: int | slice) -> Any:
        found = list(self)[index]
        return ModuleList(found) if isinstance(found, list) else found

    def append(self, module: Module) -> ModuleList:
        """Add ``module`` at the end; returns itself."""
        _number(self, [module], start=len(self))
        return self


def _number(parent: Module, modules: Iterable[Module], start: int = 0) -> None:
    for i, module in enumerate(modules, start):
        if not isinstance(module, Module):
            raise TypeError(f"modules: expected Modules, got {type(module).__name__} at {i}")
        setattr(parent, str(i), module)
