"""Containers of modules and parameters, in order or by name."""

from __future__ import annotations

import itertools
import math
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, TypeVar

from .. import check
from ..events import listeners
from ..tensor import Tensor
from .activation import ReLU
from .module import Module
from .normalization import BatchNorm1d, BatchNorm2d
from .parameter import Parameter

C = TypeVar("C", bound="_Chain")


class _Chain(Module):
    """Base of ordered containers, whose members are named "0", "1", … and accessed by number."""

    kind: type = Module  # of the members

    def _held(self) -> dict[str, Any]:
        return dict(self._members(self.kind))

    def _fill(self, members: Iterable[tuple[str, Any]]) -> None:
        what = f"{self.kind.__name__}s"
        for name, member in members:
            if not isinstance(member, self.kind):
                got = type(member).__name__
                raise TypeError(f"{what.lower()}: expected {what}, got {got} at {name}")
            self._check_free(f"{what.lower()}: a name", name, self.kind)
            setattr(self, name, member)

    def _renumber(self, members: Iterable[Any]) -> None:
        """Replace the current members by ``members``."""
        members = list(members)
        for name in self._held():
            delattr(self, name)
        self._fill(_numbered(members))

    def _place(self, index: Any, beyond: int = 0) -> int:
        count = len(self)
        if not -count <= check.integer("index", index, -math.inf) < count + beyond:
            what = f"{self.kind.__name__.lower()}s"
            raise IndexError(f"index: expected one of {count} {what}, got {index}")
        return int(index) % count if index < 0 else int(index)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._held().values())

    def __len__(self) -> int:
        return len(self._held())

    def __setitem__(self, index: int, module: Any) -> None:
        name = list(self._held())[self._place(index)]
        self._fill([(name, module)])

    def __delitem__(self, index: int | slice) -> None:
        """Remove a member, or several; later members move up."""
        members = list(self)
        del members[index if isinstance(index, slice) else self._place(index)]
        self._renumber(members)

    def _add(self: C, members: Iterable[Any]) -> C:
        self._fill(_numbered(members, start=len(self)))
        return self

    def __iadd__(self: C, members: Iterable[Any]) -> C:
        return self._add(check.items("members", members, f"{self.kind.__name__}s"))


class _ModuleChain(_Chain):
    """Base of Sequential and ModuleList."""

    def append(self: C, module: Module) -> C:
        """Add ``module`` at the end; returns itself."""
        return self._add([module])

    def insert(self: C, index: int, module: Module) -> C:
        """Put ``module`` before the one at ``index``; returns itself."""
        if not isinstance(module, Module):
            raise TypeError(f"module: expected a Module, got {type(module).__name__}")
        members = list(self)
        members.insert(self._place(index, beyond=1), module)
        self._renumber(members)
        return self

    def pop(self, key: int) -> Module:
        """Remove and return the module at ``key``; later modules move up."""
        module = list(self)[self._place(key)]
        del self[key]
        return module


def _in_one_pass(norm: Any, relu: Any) -> bool:
    """Whether these are batch norm and ReLU, and nothing reads the value between them: no hook, no
    forward of an instance, and no listener."""
    if type(relu) is not ReLU or type(norm) not in (BatchNorm1d, BatchNorm2d):
        return False
    own = vars(norm).keys() | vars(relu).keys()
    return not own & {"forward", "_forward_hooks"} and not listeners()


class Sequential(_ModuleChain):
    """Modules applied one after another.

    Batch norm and a ReLU after it are computed in one pass if nothing reads the value between them.

    Args:
        modules: modules, named "0", "1", … as in PyTorch; or one dict of names and modules.
    """

    def __init__(self, *modules: Any) -> None:
        named = len(modules) == 1 and isinstance(modules[0], Mapping)
        self._fill(modules[0].items() if named else _numbered(modules))

    def extend(self, sequential: Iterable[Module]) -> Sequential:
        """Add the modules of ``sequential`` at the end; returns itself."""
        return self._add(check.items("sequential", sequential, "Modules"))

    def forward(self, input: Any) -> Any:
        members = list(self)
        followers = [*members[1:], None]
        skip = False
        for module, follower in zip(members, followers, strict=True):
            if skip:
                skip = False
            elif skip := _in_one_pass(module, follower):
                input = module(input, relu=True)
            else:
                input = module(input)
        return input

    def __getitem__(self, index: int | slice) -> Any:
        """A module, or a Sequential of several, which keep their names."""
        members = list(self._members(Module))
        if isinstance(index, slice):
            return Sequential(dict(members[index]))
        return members[self._place(index)][1]


class ModuleList(_ModuleChain):
    """A list of modules, whose parameters are registered. It has no forward."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        self.extend(() if modules is None else modules)

    def extend(self, modules: Iterable[Module]) -> ModuleList:
        """Add ``modules`` at the end; returns itself."""
        return self._add(check.items("modules", modules, "Modules"))

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return ModuleList(list(self)[index])
        return list(self)[self._place(index)]

    def _described(self) -> Iterator[tuple[str, str]]:
        """Consecutive modules with the same ``repr`` are shown once: "0-2", "3 x ReLU()"."""
        start = 0
        for text, alike in itertools.groupby(map(repr, self)):
            count = len(list(alike))
            end = start + count - 1
            yield (f"{start}-{end}", f"{count} x {text}") if count > 1 else (f"{start}", text)
            start += count


class ParameterList(_Chain):
    """A list of parameters, which are registered. Tensors become Parameters.

    Other values, which PyTorch's ParameterList accepts, are an error.
    """

    kind = Parameter

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        self.extend(() if values is None else values)

    def _fill(self, members: Iterable[tuple[str, Any]]) -> None:
        super()._fill((name, _learnt(member)) for name, member in members)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return ParameterList(list(self)[index])
        return list(self)[self._place(index)]

    def append(self, value: Any) -> ParameterList:
        """Add ``value`` at the end; returns itself."""
        return self._add([value])

    def extend(self, values: Iterable[Any]) -> ParameterList:
        """Add ``values`` at the end; returns itself."""
        return self._add(check.items("values", values, "Parameters"))


def _learnt(value: Any) -> Any:
    plain = isinstance(value, Tensor) and not isinstance(value, Parameter)
    return Parameter(value, value.dtype.kind == "f") if plain else value


class ModuleDict(Module):
    """Modules by name, in the order of insertion. It has no forward.

    Args:
        modules: a dict, or pairs, of names and modules.
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[Any] | None = None) -> None:
        if modules is not None:
            self.update(modules)

    def _held(self) -> dict[str, Module]:
        return dict(self._members(Module))

    def __getitem__(self, key: str) -> Module:
        return self._held()[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        delattr(self, self._known(key))

    def _known(self, key: str) -> str:
        if key not in self._held():
            raise KeyError(key)
        return key

    def __len__(self) -> int:
        return len(self._held())

    def __iter__(self) -> Iterator[str]:
        return iter(self._held())

    def __contains__(self, key: str) -> bool:
        return key in self._held()

    def keys(self) -> KeysView[str]:
        """The names."""
        return self._held().keys()

    def values(self) -> ValuesView[Module]:
        """The modules."""
        return self._held().values()

    def items(self) -> ItemsView[str, Module]:
        """Names and modules."""
        return self._held().items()

    def pop(self, key: str) -> Module:
        """Remove the module called ``key`` and return it."""
        module = self[key]
        del self[key]
        return module

    def clear(self) -> None:
        """Remove all modules."""
        for key in self._held():
            del self[key]

    def update(self, modules: Mapping[str, Module] | Iterable[Any]) -> None:
        """Add modules, or replace those of the same names."""
        mapped = isinstance(modules, (Mapping, ModuleDict))
        pairs: Any = modules.items() if mapped else check.items("modules", modules, "pairs")  # type: ignore[union-attr]
        for pair in pairs:
            if not isinstance(pair, (tuple, list)) or len(pair) != 2:
                raise TypeError(f"modules: expected pairs of a name and a Module, got {pair!r}")
            self[pair[0]] = pair[1]


def _numbered(members: Iterable[Any], start: int = 0) -> Iterator[tuple[str, Any]]:
    return ((str(i), member) for i, member in enumerate(members, start))
