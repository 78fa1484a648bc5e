"""Activations beside those of one node."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..graph import Graph, Value, rule


@rule
def _hardtanh(g: Graph, y: Value, x: Any, *, low: float, high: float) -> str:
    return g("Clip", x, np.asarray(low, y.dtype), np.asarray(high, y.dtype))


@rule
def _hardsigmoid(g: Graph, y: Value, x: Any) -> str:
    return g("HardSigmoid", x, alpha=1 / 6, beta=0.5)


@rule
def _hardswish(g: Graph, y: Value, x: Any) -> str:
    return g("HardSwish", x)


@rule
def _prelu(g: Graph, y: Value, x: Any, w: Any) -> str:
    return g("PRelu", x, w)


@rule
def _silu(g: Graph, y: Value, x: Any) -> str:
    return g("Mul", x, g("Sigmoid", x))


@rule
def _mish(g: Graph, y: Value, x: Any) -> str:
    return g("Mish", x)


@rule
def _softplus(g: Graph, y: Value, x: Any, *, beta: float, threshold: float) -> str:
    scaled = g("Mul", x, np.asarray(beta, y.dtype))
    bent = g("Div", g("Softplus", scaled), np.asarray(beta, y.dtype))
    return g("Where", g("Greater", scaled, np.asarray(threshold, y.dtype)), x, bent)


@rule
def _logsigmoid(g: Graph, y: Value, x: Any) -> str:
    return g("Neg", g("Softplus", g("Neg", x)))


@rule
def _elu(g: Graph, y: Value, x: Any, *, alpha: float, scale: float, rate: float) -> str:
    if rate == 1:
        return g("Selu", x, alpha=alpha, gamma=scale)
    return g("Celu", x, alpha=alpha)
