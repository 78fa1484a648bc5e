"""Module: parameters, buffers and submodules, found among the attributes in definition order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from .. import check
from ..events import listeners
from ..hooks import RemovableHandle
from ..ops.methods import chosen_gpu, destination
from ..options import lacks
from ..tensor import Tensor
from .hooks import ForwardHooks, Hook
from .parameter import Parameter, clear_gradients
from .state import IncompatibleKeys, load
from .summary import summary


class _Kind(NamedTuple):
    """The kind of a registered attribute, which from then on may be of this kind or None."""

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
        """The result of the module; each subclass defines its own. Call the module, not this."""
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
        """Make each call of the module call ``hook(module, args)`` before ``forward``. The returned
        handle removes the hook.

        Args:
            hook: returns None, or arguments that replace ``args``: a tuple, or a single one.
            prepend: call it before the existing hooks instead of after them.
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
        """Make each call of the module call ``hook(module, args, output)`` after ``forward``. The
        returned handle removes the hook.

        Args:
            hook: returns None, or a value that replaces ``output``.
            prepend: call it before the existing hooks instead of after them.
            with_kwargs: call ``hook(module, args, kwargs, output)``.
            always_call: call it also if ``forward`` or a hook raises; the exception still
                propagates, and ``output`` is None if there is none.
        """
        added = Hook(hook, with_kwargs, always_call)
        return self._make_hooks().after.add(added, check.boolean("prepend", prepend))

    def summary(self, *inputs: Any, file: TextIO | None = None) -> None:
        """Print a table of all modules that run in a call with ``inputs``, in that order, with the
        result of each and the number of its own parameters; a shared one is counted once.

        The model is called in evaluation mode, nothing is recorded, and its modes are restored.

        Args:
            inputs: arguments of the model.
            file: file to print to (default: standard output).
        """
        summary(self, inputs, file)

    # -- registering members

    def _register(self, name: str, of: type, persistent: bool = True) -> None:
        # Made here, so that a subclass need not call super().__init__().
        vars(self).setdefault("_registered", {})[name] = _Kind(of, persistent)

    def __setattr__(self, name: str, value: Any) -> None:
        was = self._registered[name].of if name in self._registered else object
        if isinstance(value, (Parameter, Module)) and name not in self._registered:
            vars(self).pop(name, None)  # members come in the order in which they were registered
        if isinstance(value, Parameter):
            self._register(name, Parameter)
        elif isinstance(value, Module) and was is not Parameter:
            self._register(name, Module)
        elif value is not None and not isinstance(value, was):
            got = type(value).__name__
            raise TypeError(f"{name}: expected a {was.__name__} or None, got {got}")
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        vars(self).get("_registered", {}).pop(name, None)

    def _check_free(self, argument: str, name: Any, of: type) -> None:
        """``name`` must have no dots, and no attribute of that name may exist unless it is an
        ``of``."""
        kind = self._registered.get(check.text(argument, name))
        if not name or "." in name or (hasattr(self, name) and (kind is None or kind.of is not of)):
            raise ValueError(f"{argument}: expected a free one without dots, got {name!r}")

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Register ``tensor`` as the attribute ``name``: state that moves with the module but is
        not learnt.

        A Tensor assigned to it later is a buffer too. None reserves the name.

        Args:
            name: without dots; not the name of another attribute.
            tensor: Tensor or None.
            persistent: include it in ``state_dict``.
        """
        self._check_free("name", name, Tensor)
        if tensor is not None:
            check.tensor("tensor", tensor)
        if isinstance(tensor, Parameter):
            raise TypeError("tensor: expected a Tensor that is not learnt, got a Parameter")
        self._register(name, Tensor, check.boolean("persistent", persistent))
        setattr(self, name, tensor)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Register ``param`` as the attribute ``name``, like an assignment. None reserves the name.

        Args:
            name: without dots; not the name of another attribute.
            param: Parameter or None.
        """
        self._check_free("name", name, Parameter)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(f"param: expected a Parameter or None, got {type(param).__name__}")
        self._register(name, Parameter)
        setattr(self, name, param)

    def add_module(self, name: str, module: Module | None) -> None:
        """Register ``module`` as the attribute ``name``, like an assignment. None reserves the
        name.

        Args:
            name: without dots; not the name of another attribute.
            module: Module or None.
        """
        self._check_free("name", name, Module)
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"module: expected a Module or None, got {type(module).__name__}")
        self._register(name, Module)
        setattr(self, name, module)

    register_module = add_module

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
        modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
        check.boolean("recurse", recurse)
        seen: set[int] = set()
        for path, module in modules if recurse else [(prefix, self)]:
            for name, value in module._own_tensors(saved):
                if not remove_duplicate or id(value) not in seen:
                    seen.add(id(value))
                    yield _joined(path, name), value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Parameters with dotted names, a shared one under its first name only."""
        named = self._named_tensors(prefix, recurse, remove_duplicate)
        return ((name, t) for name, t in named if isinstance(t, Parameter))

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, each once."""
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Buffers with dotted names, a shared one under its first name only."""
        named = self._named_tensors(prefix, recurse, remove_duplicate)
        return ((name, t) for name, t in named if not isinstance(t, Parameter))

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers, each once."""
        return (t for _, t in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """The module with dotted path ``target``; this one for "".

        Raises:
            AttributeError: there is no such module.
        """
        module = self
        path = check.text("target", target)
        for name in path.split(".") if path else ():
            module = self._found(target, module, name, Module)
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter with dotted path ``target``; AttributeError if there is none."""
        path, _, name = check.text("target", target).rpartition(".")
        return self._found(target, self.get_submodule(path), name, Parameter)

    def get_buffer(self, target: str) -> Tensor:
        """The buffer with dotted path ``target``; AttributeError if there is none."""
        path, _, name = check.text("target", target).rpartition(".")
        return self._found(target, self.get_submodule(path), name, Tensor)

    def _found(self, target: str, module: Module, name: str, of: type) -> Any:
        """The member ``name`` of ``module`` that is registered as ``of``."""
        kind, member = module._registered.get(name), vars(module).get(name)
        if kind is None or kind.of is not of or member is None:
            raise AttributeError(f"target: {type(self).__name__} has no {of.__name__} {target!r}")
        return member

    # -- state

    def train(self, mode: bool = True) -> Module:
        """Put this module and all below it in training (or evaluation) mode; returns itself."""
        if not isinstance(mode, bool):
            raise TypeError(f"mode: expected a bool, got {type(mode).__name__}")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Module:
        """Set evaluation mode: batch norm uses running statistics, and dropout does nothing."""
        return self.train(False)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Set the gradients of all parameters to None, or fill those that there are with zeros."""
        clear_gradients(self.parameters(), set_to_none)

    @lacks(memory_format=None)
    def to(
        self,
        device: Any = None,
        dtype: Any = None,
        non_blocking: bool = False,
        *,
        tensor: Tensor | None = None,
    ) -> Module:
        """Move all parameters, gradients and buffers to a device, and convert those of floating
        dtype to another floating dtype ("float64"), in place; returns itself.

        Args:
            device, dtype, non_blocking: as in :meth:`minigrad.Tensor.to`.
            tensor: a Tensor whose device and dtype are used.
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

    def float(self) -> Module:
        """All floating members as float32, in place; returns itself."""
        return self.to("float32")

    def double(self) -> Module:
        """All floating members as float64, in place; returns itself."""
        return self.to("float64")

    def half(self) -> Module:
        """All floating members as float16, in place; returns itself."""
        return self.to("float16")

    def cpu(self) -> Module:
        """All members on the CPU, in place; returns itself."""
        return self.to("cpu")

    def cuda(self, device: Any = None) -> Module:
        """All members on a GPU, by default the first, in place; returns itself.

        Raises:
            DeviceError: there is no GPU.
        """
        return self.to(chosen_gpu(device))

    def requires_grad_(self, requires_grad: bool = True) -> Module:
        """Set ``requires_grad`` of all parameters; returns itself."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
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
        """Parameters and persistent buffers by dotted name, which share memory with the module. A
        shared one appears under each of its names, as in PyTorch."""
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

        Like PyTorch, this accepts two kinds of old states: without ``num_batches_tracked``, which
        then does not change, and with scalars of shape (1,).

        Args:
            state_dict: name → Tensor or array (NumPy, CuPy, or a PyTorch tensor on the CPU) of the
                member's shape. Values are converted to the member's dtype and device.
            strict: raise for missing and unexpected names.
            assign: only False is supported.

        Returns:
            The missing and the unexpected names; empty lists if ``strict``.

        Raises:
            ValueError: entries are missing, unexpected or of a wrong shape; the text names them
                all. Nothing has changed then.
        """
        check.unsupported("assign", assign, False)
        check.boolean("strict", strict)
        own = dict(self._named_tensors(remove_duplicate=False, saved=True))
        given = check.mapping("state_dict", state_dict)
        optional = self._added_after(getattr(state_dict, "_metadata", {}))
        return load(own, given, strict, optional, type(self).__name__)

    def _added_after(self, metadata: Mapping[str, Mapping[str, int]]) -> set[str]:
        """Names that may be missing in a state that PyTorch saved with this metadata."""
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
        """The options that ``repr`` shows in parentheses."""
        return ""

    def _described(self) -> Iterator[tuple[str, str]]:
        """Name and text of each submodule, as ``repr`` shows them."""
        return ((name, repr(module)) for name, module in self._members(Module))

    def __repr__(self) -> str:
        options = self.extra_repr()
        lines = [options] if options else []
        children = [f"({name}): {text}" for name, text in self._described()]
        if not children:
            return f"{type(self).__name__}({options})"
        body = "\n".join([*lines, *children]).replace("\n", "\n  ")
        return f"{type(self).__name__}(\n  {body}\n)"


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
