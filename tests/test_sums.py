"""Sums in any memory order and dtype, and PyTorch's accuracy wherever long sums are taken."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import ops
from minigrad.events import listen
from minigrad.ops.sync_norm import sync_batch_norm
from minigrad.sums import MAX_RUN, total
from minigrad.tape import Operation
from tests.common import LAYOUTS, Operations, grid, host, lay_out, layouts, leaf, seeds

F, T = mg.functional, torch.nn.functional


@given(
    st.lists(
        st.sampled_from([0, 1, 2, 3, MAX_RUN, MAX_RUN + 1, 2 * MAX_RUN + 5]), min_size=1, max_size=3
    ),
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


def near(shape: tuple[int, ...], value: float, seed: int = 0) -> np.ndarray:
    """Numbers of one sign, whose sum rounds as far as it can."""
    return value * (1 + 0.1 * np.random.default_rng(seed).random(shape))


def peak(shape: tuple[int, ...]) -> np.ndarray:
    """Zeros with a one in the middle, the largest element of nearly every large window."""
    x = np.zeros(shape)
    x[(..., *(n // 2 for n in shape[-2:]))] = 1
    return x


def repeated(x: Any) -> Any:
    return x[np.zeros(60_000, np.int64)]


Function = Callable[..., Any]
# What of a module, F or T, is called, and the arrays it is given; the gradient is all of one sign.
LONG_AXES: dict[str, tuple[Function, list[np.ndarray]]] = {
    "adaptive_avg_pool2d": (
        lambda m, x: m.adaptive_avg_pool2d(x, 1),
        [near((2, 2, 300, 300), 100)],
    ),
    "adaptive, uneven": (
        lambda m, x: m.adaptive_avg_pool2d(x, (3, 1)),
        [near((2, 1, 400, 300), 100)],
    ),
    "adaptive, many cells": (
        lambda m, x: m.adaptive_avg_pool2d(x, 60),
        [near((2, 1, 1, 1), 100)],
    ),
    "avg_pool2d": (lambda m, x: m.avg_pool2d(x, 100), [near((2, 2, 100, 100), 100)]),
    "avg_pool2d, overlapping": (lambda m, x: m.avg_pool2d(x, 50, 1), [near((2, 1, 100, 100), 1)]),
    "max_pool2d, overlapping": (lambda m, x: m.max_pool2d(x, 50, 1), [peak((2, 1, 100, 100))]),
    "linear": (
        lambda m, x, w, b: m.linear(x, w, b),
        [near((300, 100, 4), 1), near((3, 4), 1), near((3,), 1)],
    ),
    "conv2d": (
        lambda m, x, w, b: m.conv2d(x, w, b, padding=1),
        [near((4, 2, 96, 96), 1), near((2, 2, 3, 3), 1), near((2,), 1)],
    ),
    "conv2d by Winograd": (
        lambda m, x, w, b: m.conv2d(x, w, b, padding=1),
        [near((32, 32, 32, 32), 1), near((32, 32, 3, 3), 1), near((32,), 1)],
    ),
    "batch_norm": (
        lambda m, x, w, b: m.batch_norm(x, None, None, w, b, training=True),
        [near((100, 2, 20, 20), 1), near((2,), 1), near((2,), 1)],
    ),
    "mse_loss": (lambda m, x, y: m.mse_loss(x, y), [near((400, 300), 3), near((400, 300), 1)]),
    "index": (lambda m, x: repeated(x), [near((3, 4), 1)]),
}


# OpenBLAS adds so small a product in one run on processors with AVX-512, PyTorch's BLAS in several.
BY_BLAS = {"linear": 100}
AS_PYTORCH = {"linear", "conv2d", "conv2d by Winograd", "batch_norm"}  # by BLAS, or ill-conditioned


@pytest.mark.parametrize("layout", ["C", "batch innermost"])
@pytest.mark.parametrize("name", LONG_AXES)
@pytest.mark.usefixtures("each_way")
def test_long_axes(name, layout):
    """Results and gradients, as far off as PyTorch's or less."""
    function, arrays = LONG_AXES[name]
    arrays = [a.astype(np.float32) for a in arrays]
    ours = [leaf(a, layout=layout) for a in arrays]
    theirs, exact = (
        [torch.tensor(a, dtype=t, requires_grad=True) for a in arrays]
        for t in (torch.float32, torch.float64)
    )
    y, ty, truth = function(F, *ours), function(T, *theirs), function(T, *exact)
    g = near(tuple(truth.shape), 1, 1).astype(np.float32)
    y.backward(leaf(g, layout=layout, requires_grad=False))
    ty.backward(torch.tensor(g))
    truth.backward(torch.tensor(g, dtype=torch.float64))
    found = [
        (y, ty, truth),
        *((a.grad, b.grad, c.grad) for a, b, c in zip(ours, theirs, exact, strict=True)),
    ]
    for mine, pytorchs, right in found:
        expected = right.detach().numpy()
        first, second = errors(mine, pytorchs, expected, np.abs(expected))
        limit = 4 * second + 4 if name in AS_PYTORCH else 5
        assert first <= max(limit, BY_BLAS.get(name, 0)), (first, second)


# ---------------------------------------------------------------------------- float16


def rows(m: Any, x: mg.Tensor) -> mg.Tensor:
    return x + mg.ones(3000, 4, dtype=x.dtype)


def classes(n: int) -> mg.Tensor:
    return mg.tensor(np.arange(n) % 3)


SMALL = {"max", "min", "softmax", "cross_entropy", "nll_loss", "focal_loss", "probabilities"}
# Sums beyond 65504, the largest float16, or of ones beyond 2048, where + 1 changes nothing more.
HALF: dict[str, tuple[Function, list[np.ndarray]]] = LONG_AXES | {
    "sum": (lambda m, x: x.sum(), [near((60_000,), 0.9)]),
    "mean": (lambda m, x: x.mean(), [near((70_000,), 1)]),
    "mean of rows": (lambda m, x: x.mean(0), [near((70_000, 2), 1)]),
    "var": (lambda m, x: x.var(), [near((70_000,), 1000)]),
    "std": (lambda m, x: x.std(), [near((70_000,), 1000)]),
    "max": (lambda m, x: x.max(), [np.ones(70_000)]),
    "min": (lambda m, x: x.min(), [np.ones(70_000)]),
    "broadcast": (rows, [near((4,), 1)]),
    "matmul": (lambda m, a, b: a @ b, [near((2, 3, 5000), 1), near((5000, 4), 1)]),
    "softmax": (lambda m, x: m.softmax(x, 1), [near((2, 5000), 1)]),
    "log_softmax": (lambda m, x: m.log_softmax(x, 1), [near((2, 70_000), 1)]),
    "cross_entropy": (
        lambda m, x: m.cross_entropy(x, classes(70_000)),
        [near((70_000, 3), 5)],
    ),
    "smoothed": (
        lambda m, x, w: m.cross_entropy(
            x, classes(7000), w.detach(), label_smoothing=0.1, reduction="sum"
        ),
        [near((7000, 3), 5), np.full(3, 0.5)],
    ),
    "nll_loss": (lambda m, x: m.nll_loss(x, classes(70_000)), [near((70_000, 3), -1)]),
    "focal_loss": (
        lambda m, x, w: m.focal_loss(x, classes(70_000), 2.0, w.detach()),
        [near((70_000, 3), 5), near((3,), 2)],
    ),
    "mse_loss": (lambda m, x, y: m.mse_loss(x, y), [near((70_000,), 200), near((70_000,), 9)]),
    **{
        name: (
            lambda m, x, y, n=name: getattr(m, n)(x, y),
            [near((70_000,), 200), near((70_000,), 9)],
        )
        for name in ("l1_loss", "smooth_l1_loss", "huber_loss")
    },
    "kl_div": (lambda m, x, y: m.kl_div(x, y), [near((70_000,), -1), near((70_000,), 2)]),
    "binary_cross_entropy": (
        lambda m, x, y: m.binary_cross_entropy(x, y.detach()),
        [grid((70_000,), 0, 0.1, 0.9), grid((70_000,), 1, 0.1, 0.9)],
    ),
    "bce_with_logits": (
        lambda m, x, y: m.binary_cross_entropy_with_logits(x, y.detach()),
        [near((70_000,), 3), grid((70_000,), 1, 0.1, 0.9)],
    ),
    "layer_norm": (
        lambda m, x: m.layer_norm(x, (5000,)),
        [grid((2, 5000), 0, -6e4, 6e4)],
    ),
    "group_norm": (
        lambda m, x: m.group_norm(x, 1),
        [grid((2, 2, 3000), 0, -6e4, 6e4)],
    ),
    "normalize": (lambda m, x: m.normalize(x), [near((2, 5000), 1)]),
    "prelu": (lambda m, x, w: m.prelu(x, w), [near((7000,), -1), near((1,), 0.3)]),
    "silu": (lambda m, x: m.silu(x), [np.linspace(-4, 4, 999)]),
    "gelu": (lambda m, x: m.gelu(x), [np.linspace(-4, 4, 999)]),
    "gelu, large": (lambda m, x: m.gelu(x, "tanh"), [near((9,), 2000)]),
    "batch_norm": (
        lambda m, x, w, b: m.batch_norm(x, None, None, w, b, training=True),
        [grid((3000, 2), 0, -6e4, 6e4), near((2,), 1), near((2,), 1)],
    ),
    "batch_norm of several processes": (
        lambda m, x, w, b: sync_batch_norm(
            x, *(mg.zeros(2, dtype=x.dtype) for _ in "mv"), w, b, 0.1, 1e-5, reduce=lambda _: None
        ),
        [grid((3000, 2), 0, -6e4, 6e4), near((2,), 1), near((2,), 1)],
    ),
    "batch_norm, running": (
        lambda m, x: m.batch_norm(x, mg.zeros(2, dtype=x.dtype), mg.ones(2, dtype=x.dtype)),
        [near((3000, 2), 1)],
    ),
    "logsumexp": (lambda m, x: mg.logsumexp(x, 1), [near((2, 70_000), 1)]),
    "norm": (lambda m, x: mg.norm(x), [near((70_000,), 100)]),
    "prod": (lambda m, x: mg.prod(x, 1), [np.linspace(0.9, 1.1, 60).reshape(3, 20)]),
    "cumsum": (lambda m, x: mg.cumsum(x, 0), [near((50_000,), 1)]),
    "cumprod": (lambda m, x: mg.cumprod(x, 0), [np.ones(50_000)]),
    "addmm": (
        lambda m, c, a, b: mg.addmm(c, a, b),
        [near((2, 4), 1), near((2, 5000), 1), near((5000, 4), 1)],
    ),
    "einsum": (
        lambda m, a, b: mg.einsum("ij,kj->ik", a, b),
        [near((2, 5000), 1), near((4, 5000), 1)],
    ),
    "gather": (lambda m, x: mg.gather(x, 0, classes(30_000)), [near((3,), 1)]),
    "scatter_add": (
        lambda m, x, y: mg.scatter_add(x, 0, classes(30_000), y),
        [near((3,), 1), near((30_000,), 1)],
    ),
    "attention": (
        lambda m, q, k: m.scaled_dot_product_attention(
            q, k, k.detach() * 0 + 1, attn_mask=mg.ones(2, 5000, dtype="bool")
        ),
        [near((2, 4), 1), near((5000, 4), 1)],
    ),
    "conv_transpose2d": (
        lambda m, x, w: m.conv_transpose2d(x, w),
        [near((1, 3000, 2, 2), 1), near((3000, 1, 2, 2), 1)],
    ),
    "interpolate": (
        lambda m, x: m.interpolate(x, size=(150, 150), mode="bilinear"),
        [near((1, 1, 2, 2), 1)],
    ),
    "replicated": (lambda m, x: m.pad(x, (5000, 5000), mode="replicate"), [near((1, 1, 2), 1)]),
    "adaptive_max_pool2d": (
        lambda m, x: m.adaptive_max_pool2d(x, (90, 90)),
        [np.ones((1, 1, 2, 2))],
    ),
    "unfold": (lambda m, x: m.unfold(x, 60), [near((1, 1, 119, 119), 1)]),
    "fold": (lambda m, x: m.fold(x, (119, 119), 60), [near((1, 3600, 3600), 1)]),
    "probabilities": (
        lambda m, x: m.cross_entropy(x, (x.detach() * 0 + 0.3)),
        [near((70_000, 3), 5)],
    ),
}


@pytest.mark.parametrize("name", HALF)
@pytest.mark.usefixtures("each_way")
def test_float16_is_added_up_in_float32(name):
    """As in float64, but for one rounding."""
    function, arrays = HALF[name]
    arrays = [a.astype(np.float16) for a in arrays]
    found = []
    for dtype in (np.float16, np.float64):
        inputs = [leaf(a.astype(dtype)) for a in arrays]
        y = function(F, *inputs)
        g = near(y.shape, 1000 if name in SMALL else 1, 1).astype(np.float16)
        y.backward(mg.Tensor(g.astype(dtype)))
        found.append([y, *(x.grad for x in inputs if x.grad is not None)])
    for half, truth in zip(*found, strict=True):
        assert half.dtype == np.float16
        exact = host(truth)
        assert np.isfinite(exact.astype(np.float16)).all()
        limit = 2.0**-21 + 2e-5 * np.abs(exact).max()  # sums of terms that cancel are not quite 0
        np.testing.assert_allclose(host(half).astype(np.float64), exact, 2.0**-10, limit)


def test_a_network_in_float16(device):
    """As in float32 with the same numbers, on every device, running statistics included."""
    found = []
    for dtype in ("float16", "float32"):
        mg.manual_seed(0)
        nn = mg.nn
        layers = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1)
        net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(3, 4)).to("float16").to(dtype)
        x = np.random.default_rng(0).standard_normal((8, 2, 6, 6)).astype(np.float16)
        x = leaf(x.astype(dtype), device)[np.arange(8)]
        y = net.to(device)(x)
        F.cross_entropy(y, mg.tensor(np.arange(8) % 4, device=device)).backward()
        statistics = net[1].running_mean, net[1].running_var
        found.append([y, *statistics, *(p.grad for p in net.parameters())])
    for half, single in zip(*found, strict=True):
        assert half.dtype == np.float16
        np.testing.assert_allclose(host(half), host(single), 0.01, 0.003)


# Each element on its own, or elements moved about.
SUMLESS = {
    *("abs", "cat", "clamp", "div", "dropout", "exp", "expand", "leaky_relu", "log", "neg", "pad"),
    *("permute", "pow", "relu", "sigmoid", "sqrt", "sub", "take_along", "tanh", "to_device"),
    *("to_dtype", "elu", "hardsigmoid", "hardswish", "hardtanh", "logsigmoid", "mish"),
    *("softplus", "erf", "acos", "acosh", "argsort", "asin", "asinh", "atan", "atan2", "atanh"),
    *("ceil", "clone", "cos", "cosh", "div_floor", "div_trunc", "exp2", "expm1", "flip", "floor"),
    *("floor_divide", "fmod", "frac", "in_place", "log10", "log1p", "log2", "logaddexp"),
    *("nan_to_num", "place", "power", "reciprocal", "remainder", "roll", "round", "rsqrt", "sign"),
    *("sin", "sinh", "square", "tan", "trunc", "lerp", "addcmul", "addcdiv"),
    *("bitwise_not", "diagonal", "maximum", "minimum", "tril", "triu"),
}


def test_every_operation_that_adds_up_is_tested_in_float16():
    with listen(done := Operations()):
        for function, arrays in HALF.values():
            function(F, *(mg.Tensor(a.astype(np.float16)) for a in arrays))
    names = set()
    for module in pkgutil.iter_modules(ops.__path__, f"{ops.__name__}."):
        members = vars(importlib.import_module(module.name)).values()
        names |= {f.name for f in members if isinstance(f, Operation)}
    assert names - done.names == SUMLESS, (names - done.names) ^ SUMLESS
