"""Batch norm folded into the layer before it, for inference.

In evaluation, batch norm is a fixed affine map of each channel. After a convolution,
y = s (W ⋆ x + c − μ) + β with s = γ / √(σ² + ε) is the convolution with filters s W and bias
s (c − μ) + β. Because ``forward`` is any Python code, the model is run once on an example, with
tensors that record which layers read them, to find the batch norms that follow a convolution.
"""

from __future__ import annotations

import copy
import weakref
from typing import Any

import numpy as np

from .. import functional as F
from ..device import get_xp
from ..tape import Variable, no_grad
from ..tensor import Tensor
from .conv import Conv2d
from .linear import Identity, Linear
from .module import Module
from .normalization import BatchNorm1d, BatchNorm2d
from .parameter import Parameter

# No subclasses, because their forward may use the weights differently.
_FOLLOWS: dict[type[Module], type[Module]] = {Conv2d: BatchNorm2d, Linear: BatchNorm1d}

_DATA: Any = vars(Variable)["data"]  # the slot


def _quiet(name: str) -> Any:
    """A property of a tensor that does not count as reading its values."""
    return property(lambda self: getattr(Tensor(_DATA.__get__(self)), name))


class _Watched(Parameter):
    """A tensor of the trial run that records the layers whose forward reads its values, and None
    for other code. It is a Parameter, so a ``forward`` that iterates over parameters finds it."""

    __slots__ = ("maker", "readers", "trial")

    def __init__(self, data: Any, trial: _Trial, maker: Module | None = None) -> None:
        super().__init__(data, requires_grad=False)
        self.trial, self.maker = trial, maker
        self.readers: set[Module | None] = set()

    @property
    def data(self) -> Any:
        self.readers.add(self.trial.running)
        return _DATA.__get__(self)

    @data.setter
    def data(self, array: Any) -> None:
        _DATA.__set__(self, array)

    shape, ndim, dtype, device = map(_quiet, ("shape", "ndim", "dtype", "device"))


class Folded(Identity):
    """Replaces a folded batch norm: the identity, plus the batch norm's residual and ReLU."""

    def forward(self, input: Any, residual: Tensor | None = None, relu: bool = False) -> Any:
        input = input if residual is None else input + residual
        return F.relu(input) if relu else input


def _operands(input: Any, residual: Any = None, *_: Any, **__: Any) -> tuple[Any, Any]:
    """The arguments of a layer that may be results of other layers."""
    return input, residual


class _Trial:
    """One run of a model that records which layers read which results. It spoils the model."""

    def __init__(self, model: Module) -> None:
        self.model = model
        self.running: Module | None = None  # the layer whose forward is running
        self.own: dict[Module, list[set[Module | None]]] = {}  # readers of a layer's tensors
        self.results: dict[Module, list[tuple[set[Module | None], weakref.ref[Tensor]]]] = {}
        self.sources: dict[Module, set[Module | None]] = {}  # of a batch norm's inputs
        self.paths = {module: path for path, module in model.named_modules()}
        for module in self.paths:
            known = type(module) in _FOLLOWS or type(module) in _FOLLOWS.values()
            # A hook, or an instance's own forward, may use weights and results differently.
            if known and not vars(module).keys() & {"_forward_hooks", "forward"}:
                self._watch(module)

    def _watch(self, module: Module) -> None:
        tensors = {name: _Watched(t.data, self) for name, t in module._members(Tensor)}
        vars(module).update(tensors)
        self.own[module] = [t.readers for t in tensors.values()]
        self.results[module], self.sources[module] = [], set()
        module.register_forward_pre_hook(self._begin, with_kwargs=True)
        module.register_forward_hook(self._end)

    def _begin(self, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        input, residual = _operands(*args, **kwargs)
        if isinstance(residual, _Watched):  # a residual is not the batch norm's input
            residual.readers.add(None)
        # With three axes the channels are the middle axis for batch norm, the last for Linear.
        known = isinstance(input, _Watched) and (type(module) is not BatchNorm1d or input.ndim == 2)
        self.sources[module].add(input.maker if known else None)
        self.running = module

    def _end(self, module: Module, args: tuple[Any, ...], y: Tensor) -> Tensor:
        self.running = None
        if type(module) in _FOLLOWS:
            y = _Watched(y.data, self, maker=module)
            self.results[module].append((y.readers, weakref.ref(y)))
        return y

    def pairs(self, example: tuple[Any, ...]) -> list[tuple[str, str]]:
        """Paths of layers and their batch norms, where the batch norm reads all results of the
        layer and nothing else, and nothing else reads these results."""
        with no_grad():
            output = self.model(*example)
        found = []
        for norm, sources in self.sources.items():
            layer = next(iter(sources), None)
            if layer is None or len(sources) > 1 or _FOLLOWS[type(layer)] is not type(norm):
                continue
            # A result that is still alive was returned or stored.
            results = self.results[layer]
            alone = all(readers == {norm} and ref() is None for readers, ref in results)
            if alone and all(r <= {m} for m in (layer, norm) for r in self.own[m]):
                found.append((self.paths[layer], self.paths[norm]))
        del output
        return found


def fuse(model: Module, *example: Any) -> Module:
    """A copy of ``model`` for inference, with each batch norm folded into the layer it directly
    follows; also a method, ``model.fuse(example)``.

    BatchNorm2d is folded into Conv2d, and BatchNorm1d into Linear, if the batch norm reads only the
    results of that layer, nothing else reads these results or the layer's weights, and neither has
    hooks. Batch norm after anything else (ReLU, pooling, a sum) is unchanged. ``forward`` runs once
    on ``example``, so it must use the same layers in the same way for every input.

    Args:
        example: arguments of ``forward``, such as ``minigrad.zeros(1, 3, 32, 32)``; values do not
            matter.

    Returns:
        A model of the same tree and dtype, in which folded batch norms are ``Folded`` and their
        layers have a bias. Results differ only in rounding. No parameter requires a gradient. The
        model shares no memory with ``model``, which is unchanged.

    Raises:
        TypeError: no example is given.
        RuntimeError: a module is in training mode.
    """
    if not isinstance(model, Module):
        raise TypeError(f"model: expected a Module, got {type(model).__name__}")
    if not example:
        raise TypeError(
            "fuse: expected an example of the model's input, such as minigrad.zeros(1, 3, 32, 32)"
        )
    for path, module in model.named_modules():
        if module.training:
            where = f"'{path}' ({type(module).__name__})" if path else type(module).__name__
            raise RuntimeError(f"fuse: {where} is in training mode; call eval() on the model first")
    pairs = _Trial(_copy(model)).pairs(example)
    fused = _copy(model)
    modules = dict(fused.named_modules())
    for layer, norm in pairs:
        _fold(modules[layer], modules[norm])
    for p in fused.parameters():
        p.requires_grad, p.grad = False, None
    return fused


def _copy(model: Module) -> Module:
    """A copy, in which results of earlier calls that modules put aside are constants."""
    kept = [x for module in model.modules() for x in vars(module).values() if isinstance(x, Tensor)]
    results = {id(x): x.detach().clone() for x in kept if not x.is_leaf}
    return copy.deepcopy(model, results)


def _fold(layer: Any, norm: Any) -> None:
    """Give ``layer`` the effect of both layers, and turn ``norm`` into a Folded."""
    weight, shift = layer.weight.data, 0.0 if layer.bias is None else layer.bias.data
    xp = get_xp(weight)
    with np.errstate(all="ignore"):  # as inside operations
        scale = 1 / xp.sqrt(norm.running_var.data.astype("float64") + norm.eps)
        if norm.weight is not None:
            scale = scale * norm.weight.data
        shift = (shift - norm.running_mean.data.astype("float64")) * scale
        if norm.bias is not None:
            shift = shift + norm.bias.data
        weight = weight * scale.reshape(-1, *(1,) * (weight.ndim - 1))
    layer.weight = Parameter(weight.astype(layer.weight.dtype))
    layer.bias = Parameter(shift.astype(layer.weight.dtype))
    # Change the object in place, because it may be held elsewhere, such as in a list of layers.
    vars(norm).clear()
    norm.__class__ = Folded
    norm.training = False


Module.fuse = fuse  # type: ignore[assignment, method-assign]
