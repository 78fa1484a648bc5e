"""Optimisers: one pass over parameter, gradient and state, where NumPy needs one per product."""

from __future__ import annotations

from math import sqrt

from . import jit


@jit
def sgd(p, g, b, lr, momentum, keep, decay, sign, nesterov):
    """g ← sign g + decay p;  b ← momentum b + keep g;  p ← p − lr b, or lr (g + momentum b)."""
    for k in range(len(p)):
        d = sign * g[k] + decay * p[k]
        v = momentum * b[k] + keep * d
        b[k] = v
        p[k] -= lr * ((d + momentum * v) if nesterov else v)


@jit
def adam(p, g, m, v, rate, eps, one_less_beta1, beta2, decay, shrink, sign):
    """p ← shrink p;  g ← sign g + decay p;  both moments;  p ← p − rate m / (√v + eps)."""
    one_less_beta2 = p.dtype.type(1) - beta2
    for k in range(len(p)):
        q = shrink * p[k]
        d = sign * g[k] + decay * q
        m[k] += (d - m[k]) * one_less_beta1
        v[k] = beta2 * v[k] + one_less_beta2 * (d * d)
        p[k] = q - rate * (m[k] / (sqrt(v[k]) + eps))


@jit
def rmsprop(p, g, v, b, mean, lr, alpha, eps, decay, momentum, sign, centered):
    """g ← sign g + decay p;  v, the mean of g²;  p ← p − lr u with u = g / √v, or with momentum
    b ← momentum b + u,  p ← p − lr b. b and mean may be empty where they are not used."""
    one_less_alpha = p.dtype.type(1) - alpha
    for k in range(len(p)):
        d = sign * g[k] + decay * p[k]
        v[k] = alpha * v[k] + one_less_alpha * (d * d)
        spread = v[k]
        if centered:
            mean[k] += (d - mean[k]) * one_less_alpha
            spread -= mean[k] * mean[k]
        u = d / (sqrt(spread) + eps)
        if momentum != 0:
            b[k] = u = momentum * b[k] + u
        p[k] -= lr * u
