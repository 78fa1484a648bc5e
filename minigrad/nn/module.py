"""Module: parameters, buffers and submodules, found among the attributes in definition order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import check
from ..device import Array, move
from ..hooks import RemovableHandle
from ..ops.methods import destination
from ..options import lacks
from ..tape import listeners
from ..tensor import Tensor
from .hooks import ForwardHooks, Hook


def raw(value: Any) -> Array:
    """The array of a Tensor, or of what NumPy can read, such as PyTorch tensors on the CPU; of
    anything else an array of objects."""
    if isinstance(value, Tensor):
        return value.data
    if hasattr(value, "__cuda_array_interface__"):
        return value
    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError):  # ragged lists; PyTorch's bfloat16, and others
        return np.array(None)


def misfit(array: Array, shape: tuple[int, ...]) -> str:
    """Why ``array`` cannot be loaded in place of one of ``shape``; "" if it can."""
    if array.dtype.kind not in "biuf":
        return f"expected numbers, got {array.dtype}"
    came = tuple(array.shape)
    return "" if came == shape else f"expected shape {shape}, got {came}"


class IncompatibleKeys(NamedTuple):
    """What ``load_state_dict(strict=False)`` left alone."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Parameter(Tensor):
    """A Tensor that a Module learns: assigning it to an attribute is enough to register it."""

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(data, requires_grad)


class _Kind(NamedTuple):
    """What an attribute was registered as, and may be from then on: one of these, or None."""

    of: type
    persistent: bool = True


class Module:
    """Base of layers and models: assign members in ``__init__``, write ``forward``.

    Assigning a Parameter or a Module registers it; :meth:`register_buffer` registers a buffer
    (state that is saved but not learnt). Any other Tensor is a plain attribute. Names are the
    attribute paths joined by dots, as in PyTorch, so ``state_dict`` keys equal PyTorch's for the
    same tree.
    """

    training: bool = True
    _registered: Mapping[str, _Kind] = {}
    _added: Mapping[str, int] = {}  # by name, the first version of PyTorch's class that saves it
    _forward_hooks: ForwardHooks | None = None

    def forward(self, *args: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} defines no forward()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        following, hooks = listeners(), self._forward_hooks
        if hooks is None and not following:
            return self.forward(*args, **kwargs)
        result = None
        for listener in following:
            listener.enter(self, args)
        try:
            result = hooks.call(self, args, kwargs) if hooks else self.forward(*args, **kwargs)
        finally:
            for listener in following:
                listener.leave(self, args, result)
        return result

    # -- hooks

    def _make_hooks(self) -> ForwardHooks:
        if self._forward_hooks is None:
            self._forward_hooks = ForwardHooks()  # here: a subclass need not call our __init__
        return self._forward_hooks

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Have every call of the module call ``hook(module, args)`` before ``forward``; the
        handle that is returned removes the hook.

        Args:
            hook: returns None, or the arguments that take the place of ``args``: a tuple, or the
                only one.
            prepend: call it before the hooks that are there, not after them.
            with_kwargs: call ``hook(module, args, kwargs)``; it returns None or ``(args, kwargs)``.
        """
        added = Hook(hook, with_kwargs)
        return self._make_hooks().before.add(added, check.boolean("prepend", prepend))

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Have every call of the module call ``hook(module, args, output)`` after ``forward``;
        the handle that is returned removes the hook.

        Args:
            hook: returns None, or what takes the place of ``output``.
            prepend: call it before the hooks that are there, not after them.
            with_kwargs: call ``hook(module, args, kwargs, output)``.
            always_call: call it also if ``forward`` or a hook raises an exception, which goes on;
                ``output`` is None where there is none.
        """
        added = Hook(hook, with_kwargs, always_call)
        return self._make_hooks().after.add(added, check.boolean("prepend", prepend))

    # -- registering members

    def _register(self, name: str, of: type, persistent: bool = True) -> None:
        # Made here, so that a subclass need not call super().__init__().
        vars(self).setdefault("_registered", {})[name] = _Kind(of, persistent)

    def __setattr__(self, name: str, value: Any) -> None:
        was = self._registered[name].of if name in self._registered else object
        if isinstance(value, Parameter):
            self._register(name, Parameter)
        elif isinstance(value, Module) and was is not Parameter:
            self._register(name, Module)
        elif value is not None and not isinstance(value, was):
            came = type(value).__name__
            raise TypeError(f"{name}: expected a {was.__name__} or None, got {came}")
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        vars(self).get("_registered", {}).pop(name, None)

    def _check_free(self, argument: str, name: Any, of: type) -> None:
        """``name`` must be without dots, and that of no attribute but one registered as ``of``."""
        kind = self._registered.get(check.text(argument, name))
        if not name or "." in name or (hasattr(self, name) and (kind is None or kind.of is not of)):
            raise ValueError(f"{argument}: expected a free one without dots, got {name!r}")

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Make ``tensor`` the attribute ``name``, which moves with the module but is not learnt.

        A Tensor assigned to it later is a buffer too. None keeps the place for one.

        Args:
            name: without dots; that of a buffer, or of no attribute.
            tensor: Tensor or None.
            persistent: whether it is in ``state_dict``.
        """
        self._check_free("name", name, Tensor)
        if tensor is not None:
            check.tensor("tensor", tensor)
        if isinstance(tensor, Parameter):
            raise TypeError("tensor: expected a Tensor that is not learnt, got a Parameter")
        self._register(name, Tensor, check.boolean("persistent", persistent))
        setattr(self, name, tensor)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Make ``param`` the attribute ``name``, as assigning it does. None keeps the place.

        Args:
            name: without dots; that of a parameter, or of no attribute.
            param: Parameter or None.
        """
        self._check_free("name", name, Parameter)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(f"param: expected a Parameter or None, got {type(param).__name__}")
        self._register(name, Parameter)
        setattr(self, name, param)

    # -- finding members

    def _members(self, kind: type) -> Iterator[tuple[str, Any]]:
        return ((k, v) for k, v in vars(self).items() if isinstance(v, kind))

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Direct submodules with their attribute names, each once."""
        first: dict[int, tuple[str, Module]] = {}
        for name, module in self._members(Module):
            first.setdefault(id(module), (name, module))
        return iter(first.values())

    def children(self) -> Iterator[Module]:
        """Direct submodules, each once."""
        return (module for _, module in self.named_children())

    def named_modules(
        self, memo: None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all below it with dotted paths ("" for itself), each once."""
        check.unsupported("memo", memo, None)
        check.text("prefix", prefix)
        check.boolean("remove_duplicate", remove_duplicate)
        seen: set[int] = set()
        pending: list[tuple[str, Module]] = [(prefix, self)]
        while pending:
            path, module = pending.pop()
            if remove_duplicate and id(module) in seen:
                continue
            seen.add(id(module))
            yield path, module
            below = [(_joined(path, name), m) for name, m in module._members(Module)]
            pending += reversed(below)

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """This module and all below it, each once."""
        return (m for _, m in self.named_modules(remove_duplicate=remove_duplicate))

    def _own_tensors(self, saved: bool) -> Iterator[tuple[str, Tensor]]:
        """This module's parameters, then its buffers, those that are ``saved`` or all."""
        yield from self._members(Parameter)
        for name, value in self._members(Tensor):
            kind = self._registered.get(name)
            if kind and kind.of is Tensor and (kind.persistent or not saved):
                yield name, value

    def _named_tensors(
        self,
        prefix: str = "",
        recurse: bool = True,
        remove_duplicate: bool = True,
        saved: bool = False,
    ) -> Iterator[tuple[str, Tensor]]:
        """Parameters and buffers, module by module, each module's parameters first."""
        found = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
        check.boolean("recurse", recurse)
        seen: set[int] = set()
        for path, module in found if recurse else [(prefix, self)]:
            for name, value in module._own_tensors(saved):
                if not remove_duplicate or id(value) not in seen:
                    seen.add(id(value))
                    yield _joined(path, name), value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Parameters with dotted names, a shared one under its first name only."""
        found = self._named_tensors(prefix, recurse, remove_duplicate)
        return ((name, t) for name, t in found if isinstance(t, Parameter))

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, each once."""
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Buffers with dotted names, a shared one under its first name only."""
        found = self._named_tensors(prefix, recurse, remove_duplicate)
        return ((name, t) for name, t in found if not isinstance(t, Parameter))

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers, each once."""
        return (t for _, t in self.named_buffers(recurse=recurse))

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

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters."""
        check.unsupported("set_to_none", set_to_none, True)
        for p in self.parameters():
            p.grad = None

    @lacks(memory_format=None)
    def to(
        self,
        device: Any = None,
        dtype: Any = None,
        non_blocking: bool = False,
        *,
        tensor: Tensor | None = None,
    ) -> Module:
        """Move all parameters, gradients and buffers to a device, and those of floating dtype to
        another floating dtype ("float64"), in place; returns itself.

        Args:
            device, dtype, non_blocking: as :meth:`minigrad.Tensor.to` takes them.
            tensor: a Tensor, as ``device`` may be, whose device and dtype are taken.
        """
        device = device if tensor is None else check.tensor("tensor", tensor)
        if Tensor(0.0).to(device, dtype, non_blocking).dtype.kind != "f":  # nothing is changed yet
            given = device if dtype is None else dtype
            raise TypeError(f"device: expected a device or a floating dtype, got {given!r}")
        for _, t in self._named_tensors():
            where, wanted = destination(device, dtype)
            wanted = wanted if t.dtype.kind == "f" else None
            t.data = t.detach().to(where, wanted).data
            if t.grad is not None:
                t.grad = t.grad.to(where, wanted)
        return self

    def apply(self, fn: Callable[[Module], Any]) -> Module:
        """Call ``fn`` on every module below, then on this one; returns itself."""
        check.function("fn", fn)
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def state_dict(
        self, *, destination: None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Tensor]:
        """Parameters and persistent buffers by dotted name: the live arrays, not copies. A shared
        one is there under each of its names, as in PyTorch."""
        check.unsupported("destination", destination, None)
        check.unsupported("keep_vars", keep_vars, False)
        check.text("prefix", prefix)
        return {
            prefix + name: value.detach()
            for name, value in self._named_tensors(remove_duplicate=False, saved=True)
        }

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copy values into parameters and buffers of the same names.

        States that PyTorch accepts although they are old are accepted too: without
        ``num_batches_tracked``, which then stays as it is, and with a scalar of shape (1,).

        Args:
            state_dict: name → Tensor or array (NumPy's, CuPy's, or a PyTorch tensor on the CPU) of
                the member's shape; values are converted to its dtype and moved to its device.
            strict: also fail on names that are missing or not expected.
            assign: only False is supported.

        Returns:
            The names that are missing and not expected, empty lists if ``strict``.

        Raises:
            ValueError: naming every missing, unexpected and misshapen entry at once. Nothing has
                been changed then.
        """
        check.unsupported("assign", assign, False)
        check.boolean("strict", strict)
        own = dict(self._named_tensors(remove_duplicate=False, saved=True))
        given = check.mapping("state_dict", state_dict)
        values = {name: raw(value) for name, value in given.items()}
        for name in own:
            if own[name].ndim == 0 and name in values and values[name].shape == (1,):
                values[name] = values[name].reshape(())
        optional = self._added_after(getattr(state_dict, "_metadata", {}))
        missing = [name for name in own if name not in values and name not in optional]
        unexpected = [name for name in values if name not in own]
        problems = []
        if strict:
            problems += [f"missing {name}" for name in missing]
            problems += [f"unexpected {name}" for name in unexpected]
        shared = [name for name in own if name in values]
        for name in shared:
            if problem := misfit(values[name], own[name].shape):
                problems.append(f"{name}: {problem}")
            if not check.is_writable(own[name].data):
                problems.append(f"{name}: the model's own array is read-only")
        if problems:
            raise ValueError(f"state_dict for {type(self).__name__}: " + "; ".join(problems))
        with np.errstate(all="ignore"):  # infinity where a value overflows, as in PyTorch
            for name in shared:
                own[name].data[...] = move(values[name], own[name].device)
        return IncompatibleKeys(missing, unexpected)

    def _added_after(self, metadata: Mapping[str, Mapping[str, int]]) -> set[str]:
        """Names that a state may lack which PyTorch saved with this metadata (none: the oldest)."""
        return {
            _joined(path, name)
            for path, module in self.named_modules(remove_duplicate=False)
            for name, version in module._added.items()
            if metadata.get(path, {}).get("version", 0) < version
        }

    if TYPE_CHECKING:  # Bound by minigrad.nn.fusion, which knows the layers.

        def fuse(self, *example: Any) -> Module: ...

    # -- printing

    def extra_repr(self) -> str:
        """The options shown between the parentheses of ``repr``."""
        return ""

    def __repr__(self) -> str:
        options = self.extra_repr()
        lines = [options] if options else []
        children = [f"({name}): {module!r}" for name, module in self._members(Module)]
        if not children:
            return f"{type(self).__name__}({options})"
        body = "\n".join([*lines, *children]).replace("\n", "\n  ")
        return f"{type(self).__name__}(\n  {body}\n)"


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


class _Chain(Module):
    """What the containers share: submodules in order, reached by number."""

    def _fill(self, modules: Iterable[tuple[str, Module]]) -> None:
        for name, module in modules:
            if not isinstance(module, Module):
                raise TypeError(f"modules: expected Modules, got {type(module).__name__} at {name}")
            self._check_free("modules: a name", name, Module)
            setattr(self, name, module)

    def __iter__(self) -> Iterator[Module]:
        return (module for _, module in self._members(Module))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Sequential(_Chain):
    """Modules applied one after another.

    Args:
        modules: their names are "0", "1", … as in PyTorch; or one dict of names and modules.
    """

    def __init__(self, *modules: Any) -> None:
        named = len(modules) == 1 and isinstance(modules[0], Mapping)
        self._fill(modules[0].items() if named else _numbered(modules))

    def forward(self, input: Any) -> Any:
        for module in self:
            input = module(input)
        return input

    def __getitem__(self, index: int | slice) -> Any:
        """A module, or a Sequential of several under the names they have here."""
        members = list(self._members(Module))
        if isinstance(index, slice):
            return Sequential(dict(members[index]))
        return members[_position(index, len(members))][1]


class ModuleList(_Chain):
    """A list of modules whose parameters are found; it has no forward of its own."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        self._fill(_numbered(() if modules is None else check.items("modules", modules, "Modules")))

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return ModuleList(list(self)[index])
        return list(self)[_position(index, len(self))]

    def append(self, module: Module) -> ModuleList:
        """Add ``module`` at the end; returns itself."""
        self._fill(_numbered([module], start=len(self)))
        return self


def _position(index: Any, count: int) -> int:
    if not -count <= check.integer("index", index, -math.inf) < count:
        raise IndexError(f"index: expected one of {count} modules, got {index}")
    return int(index)


def _numbered(modules: Iterable[Module], start: int = 0) -> Iterator[tuple[str, Module]]:
    return ((str(i), module) for i, module in enumerate(modules, start))
