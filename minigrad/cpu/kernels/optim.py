"""Optimisers: one pass over parameter, gradient and state, where NumPy needs one per product.

The caller computes numbers that follow from an option, such as take = 1 − keep, in float64.
"""

from __future__ import annotations

from math import sqrt

from . import jit


@jit
def sgd(p, g, b, lr, momentum, take, decay, sign, nesterov):
    """g ← sign g + decay p;  b ← momentum b + take g;  p ← p − lr b, or lr (g + momentum b)."""
    for k in range(len(p)):
        d = sign * g[k] + decay * p[k]
        v = momentum * b[k] + take * d
        b[k] = v
        p[k] -= lr * ((d + momentum * v) if nesterov else v)


@jit
def adam(p, g, m, v, v_max, rate, eps, keep1, take1, keep2, take2, decay, shrink, sign, amsgrad):
    """p ← shrink p;  g ← sign g + decay p;  update m, the mean of g, and v, the mean of g²;
    p ← p − rate m / (√v + eps). With amsgrad, v_max ← max(v_max, v) replaces v in the last step;
    otherwise v_max may be empty."""
    near = take1 < 0.5
    for k in range(len(p)):
        q = shrink * p[k]
        d = sign * g[k] + decay * q
        away = d - m[k]
        m[k] = m[k] + away * take1 if near else d - away * keep1
        v[k] = spread = keep2 * v[k] + take2 * (d * d)
        if amsgrad:
            v_max[k] = spread = v_max[k] if spread <= v_max[k] else spread
        p[k] = q - rate * (m[k] / (sqrt(spread) + eps))


@jit
def rmsprop(p, g, v, b, mean, lr, keep, take, eps, decay, momentum, sign, centered):
    """g ← sign g + decay p;  update v, the mean of g²;  p ← p − lr u with u = g / √v, or with
    momentum b ← momentum b + u,  p ← p − lr b. b and mean may be empty if they are not used."""
    near = take < 0.5
    for k in range(len(p)):
        d = sign * g[k] + decay * p[k]
        v[k] = keep * v[k] + take * (d * d)
        spread = v[k]
        if centered:
            away = d - mean[k]
            mean[k] = mean[k] + away * take if near else d - away * keep
            spread -= mean[k] * mean[k]
        u = d / (sqrt(spread) + eps)
        if momentum != 0:
            b[k] = u = momentum * b[k] + u
        p[k] -= lr * u
