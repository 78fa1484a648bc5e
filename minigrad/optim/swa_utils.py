"""Averages of a model's weights over its training: equal (SWA) or exponential (EMA)."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from .. import check, writes
from ..creation import tensor
from ..nn.module import Module
from ..nn.normalization import _BatchNorm
from ..tape import kind_of, no_grad
from ..tensor import Tensor
from .lr_scheduler import LRScheduler
from .lr_scheduler.base import checked, for_each, unchanged, whole
from .optimizer import Optimizer

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]

Average = Callable[[Tensor, Tensor, int], Tensor]
MultiAverage = Callable[[Sequence[Tensor], Sequence[Tensor], int], None]


def get_ema_multi_avg_fn(decay: float = 0.999) -> MultiAverage:
    """An exponential moving average for ``AveragedModel(multi_avg_fn=…)``, in place:
    average ← decay · average + (1 − decay) · current.

    Args:
        decay: in [0, 1].
    """
    keep = check.number("decay", decay, 0, 1)

    def update(averages: Sequence[Tensor], current: Sequence[Tensor], number: int) -> None:
        for average, now in zip(averages, current, strict=True):
            if average.dtype.kind == "f":
                average.data += (1 - keep) * (now.data - average.data)
            else:  # such as counts, which are truncated
                old, new = (t.data.astype("float32") for t in (average, now))
                average.data[...] = keep * old + (1 - keep) * new

    return update


def get_swa_multi_avg_fn() -> MultiAverage:
    """The average of equal weights for ``AveragedModel(multi_avg_fn=…)``, in place."""

    def update(averages: Sequence[Tensor], current: Sequence[Tensor], number: int) -> None:
        for average, now in zip(averages, current, strict=True):
            change = (now.data - average.data) / (number + 1)
            average.data[...] = average.data + change  # counts are truncated

    return update


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """:func:`get_ema_multi_avg_fn` of one tensor, for ``AveragedModel(avg_fn=…)``."""
    keep = check.number("decay", decay, 0, 1)
    return lambda average, current, number: keep * average + (1 - keep) * current


def get_swa_avg_fn() -> Average:
    """The average of equal weights, of one tensor, for ``AveragedModel(avg_fn=…)``."""
    return lambda average, current, number: average + (current - average) / (number + 1)


class AveragedModel(Module):
    """A copy of a model whose weights are the average of the model's (stochastic weight averaging:
    Izmailov et al., UAI 2018; or any other average, such as an exponential one).

    The first :meth:`update_parameters` copies the weights. ``state_dict`` has ``n_averaged``, and
    the model's own names after ``module.``; the functions are not saved.

    Args:
        model: copied.
        device: the copy's device; None for the model's.
        avg_fn: ``avg_fn(average, current, number averaged so far)`` returns the new average of a
            parameter; the average of equal weights by default.
        multi_avg_fn: replaces it: ``multi_avg_fn(averages, currents, number)`` writes to the
            ``data`` of many averages of one dtype.
        use_buffers: average buffers too, such as batch norm's statistics; otherwise they are copied
            from the model at each update.
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Average | None = None,
        multi_avg_fn: MultiAverage | None = None,
        use_buffers: bool = False,
    ) -> None:
        if not isinstance(model, Module):
            raise TypeError(f"model: expected a Module, got {type(model).__name__}")
        if avg_fn is not None and multi_avg_fn is not None:
            raise ValueError("avg_fn: expected it or multi_avg_fn, got both")
        self.avg_fn = None if avg_fn is None else check.function("avg_fn", avg_fn)
        several = multi_avg_fn is not None
        self.multi_avg_fn = check.function("multi_avg_fn", multi_avg_fn) if several else None
        self.use_buffers = check.boolean("use_buffers", use_buffers)
        self.module = copy.deepcopy(model)
        self.register_buffer("n_averaged", tensor(0))
        if device is not None:
            self.to(device)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Add the weights of ``model``, a module like the copied one, to the average.

        Raises:
            ValueError: it has other parameters or buffers. Nothing has changed then.
        """
        ours, theirs = _state(self.module), _state(model)
        if [(n, t.shape) for n, t in ours.items()] != [(n, t.shape) for n, t in theirs.items()]:
            raise ValueError("model: expected the parameters and buffers of the averaged model")
        learnt = {name for name, _ in self.module.named_parameters()}
        number = int(self.n_averaged.item())
        pairs = [(name, t.detach(), theirs[name].detach().to(t.device)) for name, t in ours.items()]
        copied = [
            (own, now)
            for name, own, now in pairs
            if number == 0 or (name not in learnt and not self.use_buffers)
        ]
        averaged = [
            (own, now)
            for name, own, now in pairs
            if number and (name in learnt or self.use_buffers)
        ]
        with no_grad():
            if self.avg_fn is not None:
                new = [self.avg_fn(own, now, number) for own, now in averaged]
                for (own, _), value in zip(averaged, new, strict=True):
                    if not isinstance(value, Tensor) or value.shape != own.shape:
                        got = getattr(value, "shape", type(value).__name__)
                        raise ValueError(f"avg_fn: expected shape {own.shape} from it, got {got}")
                copied += [(own, value) for (own, _), value in zip(averaged, new, strict=True)]
            else:
                average = self.multi_avg_fn or get_swa_multi_avg_fn()
                for alike in _by_kind(averaged):
                    average([own for own, _ in alike], [now for _, now in alike], number)
            for own, now in copied:
                own.data[...] = now.data
            writes.note(*[own.data for own in ours.values()])
        self.n_averaged.data += 1


def _state(model: Module) -> dict[str, Tensor]:
    return dict(model.named_parameters()) | dict(model.named_buffers())


def _by_kind(pairs: Iterable[tuple[Tensor, Tensor]]) -> Iterable[list[tuple[Tensor, Tensor]]]:
    """The pairs by device and dtype of the first."""
    found: dict[Any, list[tuple[Tensor, Tensor]]] = {}
    for own, now in pairs:
        found.setdefault(kind_of(own.data), []).append((own, now))
    return found.values()


def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Recompute the running statistics of batch norm from all batches of one pass, with equal
    weights.

    Args:
        loader: batches, or sequences whose first entry is one; the model is called with it.
        model: model, such as an :class:`AveragedModel`; its training mode is unchanged.
        device: each batch is moved there; None does not move batches.
    """
    layers = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not layers:
        return
    for layer in layers:
        layer.running_mean.data[...] = 0
        layer.running_var.data[...] = 1
        layer.num_batches_tracked.data[...] = 0
    own = [layer.momentum for layer in layers]
    was_training = [module for module in model.modules() if module.training]
    handles = [layer.register_forward_pre_hook(_count_in) for layer in layers]
    model.train()
    try:
        with no_grad():
            for batch in loader:
                input = batch[0] if isinstance(batch, (list, tuple)) else batch
                model(input if device is None else input.to(device))
    finally:
        for handle in handles:
            handle.remove()
        for layer, momentum in zip(layers, own, strict=True):
            layer.momentum = momentum
        model.eval()
        for module in was_training:
            module.training = True


def _count_in(layer: Any, _: Any) -> None:
    """Give the next batch the same weight as each earlier batch."""
    layer.momentum = 1 / (int(layer.num_batches_tracked.item()) + 1)


class SWALR(LRScheduler):
    """Change the rate from the current one to ``swa_lr`` in some epochs, then keep it, for the part
    of training that is averaged.

    Args:
        optimizer, last_epoch: see :class:`LRScheduler`.
        swa_lr: the last rate, or a list with one for each group.
        anneal_epochs: the number of epochs of the change.
        anneal_strategy: "cos" or "linear".
    """

    anneal_epochs: int
    _anneal_strategy: str
    _checks = LRScheduler._checks | {
        "anneal_epochs": whole(0),
        "_anneal_strategy": partial(check.choice, allowed=("cos", "linear")),
    }

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | Sequence[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        rates = for_each("swa_lr", swa_lr, checked(optimizer))
        check.choice("anneal_strategy", anneal_strategy, ("cos", "linear"))
        self._set(anneal_epochs=anneal_epochs, _anneal_strategy=anneal_strategy)
        with unchanged(optimizer):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["swa_lr"] = rate
            super().__init__(optimizer, last_epoch)

    def _share(self, epoch: int) -> float:
        """The fraction of the way to the last rate."""
        t = max(0.0, min(1.0, epoch / max(1, self.anneal_epochs)))
        return t if self._anneal_strategy == "linear" else (1 - math.cos(math.pi * t)) / 2

    def get_lr(self) -> list[float]:
        epoch = self.last_epoch if self.anneal_epochs else max(1, self.last_epoch)
        before, now = self._share(epoch - 1), self._share(epoch)
        rates = []
        for group in self.optimizer.param_groups:
            last = group.get("swa_lr", group["lr"])  # of a group added later, its own
            first = last if before == 1 else (group["lr"] - before * last) / (1 - before)
            rates.append(last * now + first * (1 - now))
        return rates

    def _restart(self) -> None:
        """As in PyTorch: begin at the current rate."""
        self._move(last_epoch=0)
