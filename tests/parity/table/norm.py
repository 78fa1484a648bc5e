"""Batch norm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import minigrad as mg
from minigrad import nn
from tests.common import grid
from tests.parity.driver import BROKEN, NEAR, ORDINARY, Call, Drawer
from tests.parity.table import F, T, entry


def _normalised(
    function: Callable[..., Any], clone: Callable[[Any], Any]
) -> Callable[..., tuple[Any, ...]]:
    """The result and the running statistics after the call, which changes them in place."""

    def apply(
        x: Any, mean: Any, var: Any, w: Any, b: Any, residual: Any = None, **options: Any
    ) -> tuple[Any, ...]:
        mean, var = (None if t is None else clone(t) for t in (mean, var))
        if residual is not None:
            options |= {"residual": residual, "relu": True}
        return function(x, mean, var, w, b, **options), mean, var

    return apply


def _residual_norm(x: Any, *statistics: Any, residual: Any, relu: bool, **options: Any) -> Any:
    """What minigrad's one pass means, in PyTorch's words."""
    if residual.shape != x.shape:
        raise ValueError("PyTorch would broadcast")
    return T.relu(T.batch_norm(x, *statistics, **options) + residual)


def moments(d: Drawer, c: int) -> list[np.ndarray | None]:
    """Running mean and variance, weight and bias of (mostly) ``c`` channels, each perhaps None."""
    kind, d.kind = d.kind, ORDINARY
    found = [
        d.array((c + d.rarely(30),), *ends, dtype=d.other_dtype()) if d.integer(0, 4) else None
        for ends in ((-2, 2), (0.5, 2), (-2, 2), (-2, 2))
    ]
    d.kind = kind
    return found


@entry(
    "functional.batch_norm",
    _normalised(F.batch_norm, lambda t: mg.Tensor(t.data.copy())),
    _normalised(T.batch_norm, torch.clone),
    bound="all",
)
def batch_norm(d: Drawer) -> Call:
    d.kind = d([ORDINARY, ORDINARY, NEAR, BROKEN])
    shape = (d.integer(1, 4), d.integer(1, 3), *(max(1, n) for n in d.shape(0, 3)))
    shape = shape[: d.integer(1, 2)] if d.rarely(20) else shape
    options = {
        "training": d([True, False]),
        "momentum": d([0.1, 0.0, 1.0, 0.7]),
        "eps": d([1e-5, 1e-3, 0.0 if d.rarely() else 0.1]),
    }
    arrays = [d.array(shape), *moments(d, shape[1] if len(shape) > 1 else 1)]
    return Call(arrays, options=options, fixed=(1, 2))


@entry(
    "functional.batch_norm with residual and relu",
    _normalised(F.batch_norm, lambda t: mg.Tensor(t.data.copy())),
    _normalised(_residual_norm, torch.clone),
    bound="all",
)
def batch_norm_residual(d: Drawer) -> Call:
    call = batch_norm(d)
    shape = call.arrays[0].shape
    call.arrays.append(d.array((*shape[:-1], 1) if d.rarely() else shape))
    return call


def _norm_layer(library: Any, loads: Callable[[Any, dict[str, Any]], Any]) -> Callable[..., Any]:
    def apply(x: Any, training: bool, state: dict[str, np.ndarray], **options: Any) -> Any:
        name = "BatchNorm2d" if x.ndim == 4 else "BatchNorm1d"
        layer = getattr(library, name)(3, **options)
        loads(layer, state)
        layer.to(x.device)
        layer.train(training)
        # Twice: what the first batch leaves behind is seen by the second.
        return layer(layer(x)), *layer.buffers()

    return apply


def _load(layer: Any, state: dict[str, np.ndarray]) -> None:
    names = layer.state_dict()
    layer.load_state_dict(
        {k: torch.tensor(v) for k, v in state.items() if k in names}, strict=False
    )


@entry("nn.BatchNorm1d", _norm_layer(nn, _load), _norm_layer(torch.nn, _load), bound="all")
@entry("nn.BatchNorm2d", _norm_layer(nn, _load), _norm_layer(torch.nn, _load), bound="all")
def batch_norm_layer(d: Drawer) -> Call:
    d.kind, d.dtype = ORDINARY, "float32"
    shape = (d.integer(1, 4), 3 + d.rarely(30), *d([(), (2,), (2, 3), (2, 3), (1, 2, 2)]))
    names = ("running_mean", "running_var", "weight", "bias")
    ends = ((-2, 2), (0.5, 2), (-2, 2), (-2, 2))
    state = {
        name: grid((3,), i, *e).astype("float32")
        for i, (name, e) in enumerate(zip(names, ends, strict=True))
    }
    options = {
        "momentum": d([0.1, 0.0, 1.0, None if d.rarely() else 0.7]),
        "eps": d([1e-5, 0.1]),
        "affine": d([True, False]),
        "bias": d([True, False]),
        "track_running_stats": not d.rarely(),
    }
    return Call([d.array(shape)], options=options | {"training": d([True, False]), "state": state})
