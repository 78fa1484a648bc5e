"""Sums in any memory order, and PyTorch's accuracy wherever long sums are taken."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.sums import RUN, total
from tests.common import LAYOUTS, grid, lay_out, layouts, leaf, seeds

F, T = mg.functional, torch.nn.functional


@given(
    st.lists(st.sampled_from([0, 1, 2, 3, RUN, RUN + 1, 2 * RUN + 5]), min_size=1, max_size=3),
    st.data(),
    st.booleans(),
    seeds,
    layouts,
)
def test_sum_of_any_shape(shape, data, keepdims, seed, layout):
    axes = tuple(data.draw(st.sets(st.integers(0, len(shape) - 1))))
    x = lay_out(grid(shape, seed), layout)
    y = total(x, axes, keepdims)
    expected = x.sum(axis=axes, keepdims=keepdims)
    assert y.shape == expected.shape
    assert y.dtype == x.dtype
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-9)
    assert isinstance(y, np.ndarray)


# ---------------------------------------------------------------------------- against PyTorch

KINDS = {
    "uniform": lambda draw, n: draw.random(n),
    "far from 0": lambda draw, n: 1e4 + draw.standard_normal(n),
    "alternating": lambda draw, n: np.where(np.arange(n) % 2, -1, 1) * (1 + draw.random(n) / 1e3),
}
LONG: list[tuple[tuple[int, ...], Any]] = [
    ((10**6,), None),
    ((10**7,), 0),
    ((10**5, 8), 0),
    ((8, 10**5), 1),
    ((1000, 1000), 0),
    ((16, 8, 64, 64), (0, 2, 3)),
]


def errors(ours: mg.Tensor, theirs: torch.Tensor, truth: Any, scale: Any) -> tuple[float, float]:
    """Both libraries' largest errors in units of float32's rounding of ``scale``."""
    found = (ours.detach().numpy(), theirs.detach().numpy())
    unit = np.max(scale) * 2.0**-24
    first, second = (float(np.abs(y.astype(np.float64) - truth).max() / unit) for y in found)
    return first, second


def as_good(ours: mg.Tensor, theirs: torch.Tensor, truth: Any, scale: Any) -> None:
    mine, pytorchs = errors(ours, theirs, truth, scale)
    assert mine <= 4 * pytorchs + 4, f"off by {mine:.1f} units, PyTorch by {pytorchs:.1f}"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("shape", "dim"), LONG, ids=str)
def test_long_sums_means_and_variances(kind, shape, dim):
    values = KINDS[kind](np.random.default_rng(0), int(np.prod(shape))).reshape(shape)
    x = values.astype(np.float32)
    exact, t = x.astype(np.float64), torch.tensor(x)
    for layout in ("C", "Fortran") if len(shape) > 1 else ("C",):
        m = mg.Tensor(lay_out(x, layout))
        magnitude = np.abs(exact).sum(axis=dim)
        as_good(m.sum(dim), t.sum(dim), exact.sum(axis=dim), magnitude)
        count = exact.size / max(magnitude.size, 1)
        as_good(m.mean(dim), t.mean(dim), exact.mean(axis=dim), magnitude / count)
        variance = exact.var(axis=dim, ddof=1)
        as_good(m.var(dim), t.var(dim), variance, variance)


def test_gradients_of_what_was_broadcast():
    g = (1e3 + np.random.default_rng(0).standard_normal((10**5, 4))).astype(np.float32)
    b, tb = leaf(np.zeros(4, np.float32)), torch.zeros(4, requires_grad=True)
    (b + mg.ones(*g.shape)).backward(mg.Tensor(g))
    (tb + torch.ones(g.shape)).backward(torch.tensor(g))
    exact = g.astype(np.float64).sum(axis=0)
    as_good(b.grad, tb.grad, exact, exact)


@pytest.mark.parametrize("layout", LAYOUTS[:3])
@pytest.mark.parametrize("offset", [0, 1e4, -1e4])
def test_softmax_and_losses_of_many_classes(layout, offset):
    draw = np.random.default_rng(0)
    x = (offset + 3 * draw.standard_normal((4, 20_000))).astype(np.float32)
    target = draw.integers(0, x.shape[1], 4)
    m, t = leaf(x, layout=layout), torch.tensor(x, requires_grad=True)
    exact = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    for name in ("softmax", "log_softmax"):
        truth = getattr(exact, name)(1).detach().numpy()
        as_good(getattr(m, name)(1), getattr(t, name)(1), truth, np.abs(truth).max())
    losses = [
        F.cross_entropy(m, mg.tensor(target), label_smoothing=0.1),
        *(T.cross_entropy(a, torch.tensor(target), label_smoothing=0.1) for a in (t, exact)),
    ]
    for loss in losses:
        loss.backward()
    truth = losses[2].item()
    as_good(losses[0], losses[1], truth, truth)
    as_good(m.grad, t.grad, exact.grad.numpy(), exact.grad.abs().max().item())


@pytest.mark.parametrize("layout", ["C", "batch innermost"])
@pytest.mark.parametrize(
    ("offset", "scale"),
    [
        (0, 1),
        (1e4, 1),
        (1e3, 1e3),
        (-300, 1e-2),
    ],
)
def test_batch_norm(layout, offset, scale):
    shape, c = (64, 8, 32, 32), 8
    x = (offset + scale * np.random.default_rng(0).standard_normal(shape)).astype(np.float32)
    exact, over = x.astype(np.float64), (0, 2, 3)
    mean, var = exact.mean(axis=over), exact.var(axis=over)
    ours, theirs = (
        [one.zeros(c), one.ones(c)] for one in (mg, torch)
    )  # momentum 1: the statistics of this batch
    y = F.batch_norm(leaf(x, layout=layout), *ours, training=True, momentum=1.0)
    ty = T.batch_norm(torch.tensor(x), *theirs, training=True, momentum=1.0)
    as_good(ours[0], theirs[0], mean, np.abs(exact).mean())
    unbiased = exact.var(axis=over, ddof=1)
    as_good(ours[1], theirs[1], unbiased, unbiased)
    by = [a.reshape(1, c, 1, 1) for a in (mean, np.sqrt(var + 1e-5))]
    truth = (exact - by[0]) / by[1]
    # The mean itself is rounded to float32, which moves every value by up to offset / std units.
    as_good(y, ty, truth, np.abs(truth).max() + abs(offset) / by[1].min())
