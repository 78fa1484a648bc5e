"""Muon: momentum with orthogonalised matrices."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from .. import check
from ..device import Array, get_xp
from .optimizer import Optimizer, Rule


@Rule
def muon(
    p: Array,
    g: Array,
    b: Array,
    *,
    lr: float,
    weight_decay: float,
    momentum: float,
    nesterov: bool,
    ns_coefficients: tuple[float, float, float],
    eps: float,
    ns_steps: float,
    adjust_lr_fn: str | None,
    normalize_weight: bool,
) -> None:
    """b ← μ b + (1 − μ) g;  o = orthogonal(b), or of (1 − μ) g + μ b with Nesterov;
    p ← (1 − η λ) p − η s o,  with s from the shape; p ← √A p / ‖p‖ before that, where p is
    normalised and has A rows."""
    b[...] = momentum * b + (1 - momentum) * g
    u = (1 - momentum) * g + momentum * b if nesterov else b
    matrix = u.reshape(
        len(u), math.prod(u.shape[1:])
    )  # of a filter, all that goes into an output channel
    o = orthogonal(matrix, ns_coefficients, int(ns_steps), eps)
    if normalize_weight:
        p *= math.sqrt(len(p)) / get_xp(p).sqrt((p * p).sum())
    p *= 1 - lr * weight_decay
    p -= lr * _scale(matrix.shape, adjust_lr_fn) * o.reshape(p.shape)


def orthogonal(
    matrix: Array, coefficients: tuple[float, float, float], steps: int, eps: float
) -> Array:
    """Nearly the U Vᵀ of a matrix U S Vᵀ, in its dtype: X = matrix / max(‖matrix‖, ε), then
    ``steps`` times X ← a X + (b X Xᵀ + c (X Xᵀ)²) X, which takes each singular value s to
    a s + b s³ + c s⁵ (the Newton–Schulz iteration) and so brings it near 1."""
    xp, (a, b, c) = get_xp(matrix), coefficients
    x = matrix.astype(np.promote_types(matrix.dtype, np.float32))  # squares of float16 overflow
    x = x / xp.maximum(xp.sqrt((x * x).sum()), eps)
    tall = len(x) > x.shape[1]
    x = x.T if tall else x  # the smaller products
    for _ in range(steps):
        square = x @ x.T
        x = a * x + (b * square + c * (square @ square)) @ x
    return (x.T if tall else x).astype(matrix.dtype)


def _scale(shape: tuple[int, ...], rule: str | None) -> float:
    """The factor of the rate of a matrix."""
    rows, columns = shape
    if rule == "match_rms_adamw":
        return 0.2 * math.sqrt(max(rows, columns))
    return math.sqrt(max(1, rows / max(columns, 1)))


class Muon(Optimizer):
    """Muon: momentum, orthogonalised by a Newton–Schulz iteration (Jordan et al., *Muon: An
    optimizer for hidden layers in neural networks*, 2024, https://kellerjordan.github.io/posts/muon).

    b ← μ b + (1 − μ) g;  o = U Vᵀ, nearly, of b = U S Vᵀ, or of (1 − μ) g + μ b with Nesterov;
    p ← (1 − η λ) p − η s o.

    It is for weights of hidden layers: matrices, and filters (O, C, …), which count as matrices (O,
    C · …). Use another optimiser for biases, norms, embeddings and the last layer. The iteration
    runs in the parameter's dtype (float32 for float16).

    Args:
        params: see :class:`Optimizer`; of 2 dimensions or more.
        lr, weight_decay, momentum: η, λ, μ.
        nesterov: look ahead by the momentum.
        ns_coefficients, ns_steps: a, b, c of a s + b s³ + c s⁵, and the number of iterations.
        eps: lower bound of the norm in a division.
        adjust_lr_fn: s for a matrix (A, B): √max(1, A / B) of "original" or None, 0.2 √max(A, B) of
            "match_rms_adamw" (Liu et al., *Muon is scalable for LLM training*, arXiv 2502.16982).
        normalize_weight: before each update scale p, (A, …), to the norm √A, as Jordan does in
            *94% on CIFAR-10 in 3.29 seconds on a single GPU* (arXiv 2404.00498; the variant with
            Muon is in its repository). PyTorch's Muon has no such option.
    """

    rule = muon
    slots = ("momentum_buffer",)
    numbers: ClassVar[dict[str, float]] = {}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
        *,
        normalize_weight: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "weight_decay": weight_decay,
                "momentum": momentum,
                "nesterov": nesterov,
                "ns_coefficients": ns_coefficients,
                "eps": eps,
                "ns_steps": ns_steps,
                "adjust_lr_fn": adjust_lr_fn,
                "normalize_weight": normalize_weight,
            },
        )

    def check_options(self, group: dict[str, Any]) -> None:
        super().check_options(group)
        check.integer("ns_steps", group["ns_steps"], 0, 99)
        coefficients = group["ns_coefficients"]
        if not isinstance(coefficients, (tuple, list)) or len(coefficients) != 3:
            raise ValueError(
                f"ns_coefficients: expected three numbers, got {check.shown(coefficients)}"
            )
        for number in coefficients:
            check.number("ns_coefficients", number, -math.inf)
        if (rule := group["adjust_lr_fn"]) is not None:
            check.choice("adjust_lr_fn", rule, ("original", "match_rms_adamw"))
        for p in group["params"]:
            if p.ndim < 2:
                raise ValueError(
                    f"params: expected matrices or filters, of 2 dimensions or more, got {p.shape}"
                )
