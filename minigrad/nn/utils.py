"""Gradient clipping, and parameters as one vector, as in ``torch.nn.utils``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .. import check, writes
from ..device import get_xp
from ..ops.shape import cat
from ..options import lacks
from ..tensor import Tensor

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "get_total_norm",
    "parameters_to_vector",
    "vector_to_parameters",
]


def _tensors(name: str, tensors: Any) -> list[Tensor]:
    """A Tensor or an iterable of them."""
    if isinstance(tensors, Mapping):  # which would give its names
        raise TypeError(f"{name}: expected a sequence of Tensors, got {type(tensors).__name__}")
    listed = [tensors] if isinstance(tensors, Tensor) else check.items(name, tensors, "Tensors")
    for t in listed:
        check.tensor(name, t)
    return listed


@lacks("foreach")
@np.errstate(all="ignore")  # as in the operations
def get_total_norm(
    tensors: Tensor | Iterable[Tensor], norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """The p-norm of all elements of ``tensors``, as if they were one vector: a scalar.

    Args:
        norm_type: p > 0; infinity for the largest absolute value.
        error_if_nonfinite: raise RuntimeError if the norm is NaN or infinite.
    """
    listed = _tensors("tensors", tensors)
    p = check.number("norm_type", norm_type, 0)
    if p == 0:
        raise ValueError("norm_type: expected a number above 0, got 0")
    check.boolean("error_if_nonfinite", error_if_nonfinite)
    if not listed:
        return Tensor(np.float32(0))
    xp, dtype = get_xp(listed[0].data), listed[0].dtype
    sizes = [xp.abs(t.data.astype("float64")) for t in listed if t.numel()]
    largest = xp.asarray([s.max() for s in sizes]).max() if sizes else xp.zeros(())
    total = largest
    if p != math.inf:
        # Divided by the largest, no power overflows.
        scale = xp.where((largest > 0) & (largest < math.inf), largest, 1.0)
        terms = [((s / scale) ** p).sum() for s in sizes]
        total = sum(terms, xp.zeros(())) ** (1 / p) * scale
    norm = Tensor(xp.asarray(total, dtype))
    if error_if_nonfinite and not math.isfinite(norm.item()):
        raise RuntimeError(
            f"get_total_norm: the norm of order {norm_type} is not finite; "
            "error_if_nonfinite=False goes on all the same"
        )
    return norm


@lacks("foreach")
@np.errstate(all="ignore")
def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scale all gradients down, in place, so that their total norm is at most ``max_norm``
    (Pascanu et al., ICML 2013).

    Args:
        parameters: parameters without a gradient are skipped.
        max_norm: from 0.
        norm_type, error_if_nonfinite: see :func:`get_total_norm`.

    Returns:
        The norm before scaling.
    """
    gradients = _gradients(parameters)
    limit = check.number("max_norm", max_norm, 0)
    norm = get_total_norm(gradients, norm_type, error_if_nonfinite)
    xp = get_xp(norm.data)
    factor = xp.minimum(limit / (norm.data.astype("float64") + 1e-6), 1.0)
    for g in gradients:
        g.data[...] = g.data * factor.astype(g.dtype)
    writes.note(*[g.data for g in gradients])
    return norm


@lacks("foreach")
def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limit each element of all gradients, in place, to [-clip_value, clip_value]."""
    limit = check.number("clip_value", clip_value, 0)
    gradients = _gradients(parameters)
    for g in gradients:
        g.data[...] = g.data.clip(-limit, limit)
    writes.note(*[g.data for g in gradients])


def _gradients(parameters: Any) -> list[Tensor]:
    gradients = [p.grad for p in _tensors("parameters", parameters) if p.grad is not None]
    for g in gradients:
        check.writable("parameters", g)
    return gradients


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters joined to one vector; differentiable."""
    return cat([p.reshape(-1) for p in _tensors("parameters", parameters)])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """The inverse of :func:`parameters_to_vector`: copy parts of ``vec`` into the parameters.

    Raises:
        ValueError: the number of elements of ``vec`` differs from that of all parameters.
    """
    check.tensor("vec", vec, (1,))
    listed = _tensors("parameters", parameters)
    count = sum(p.numel() for p in listed)
    if vec.numel() != count:
        raise ValueError(f"vec: expected {count} elements as the parameters, got {vec.numel()}")
    start = 0
    for p in listed:
        check.writable("parameters", p)
        check.beside("parameters", p, vec, "vec")
    for p in listed:
        p.data[...] = vec.data[start : start + p.numel()].reshape(p.shape)
        start += p.numel()
    writes.note(*[p.data for p in listed])
