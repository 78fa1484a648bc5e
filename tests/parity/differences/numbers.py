"""Dtypes and numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

import minigrad as mg
from tests.common import refuses
from tests.parity.differences import (
    F,
    T,
    functions,
    int64,
    only_ours_refuses,
    row,
    sgd,
)
from tests.parity.driver import Call, Entry


@row("mixed-dtypes", ("different floating dtypes", "expected one dtype", " as input, got "))
def mixed_dtypes() -> None:
    for mix in (
        lambda a, b, library: a + b,
        lambda a, b, library: a < b,
        lambda a, b, library: library.cat([a, b]),
        lambda a, b, library: functions(library).mse_loss(a, b),
    ):
        only_ours_refuses(
            TypeError,
            "dtype",
            lambda m, f=mix: f(m.tensor([1.0]), m.tensor(np.array([1.0])), m),
        )


@row("fraction-fill", ("value: expected one that fits into",), ("Tensor.masked_fill",))
def fraction_fill() -> None:
    assert torch.tensor([3]).masked_fill(torch.tensor([True]), -1.5).tolist() == [-1]
    x, mask = mg.tensor([3]), mg.tensor([True])
    text = "value: expected one that fits into int64, got -1.5"
    refuses(TypeError, text, lambda: x.masked_fill(mask, -1.5))


def _narrow_scalar(entry: Entry, call: Call) -> str:
    """A 0-d tensor of a wider integer dtype, which does not widen the result in PyTorch."""
    a = [x for x in call.arrays if x is not None and x.dtype.kind in "iu"]
    mixed = len({x.dtype for x in a}) > 1 and len({x.ndim == 0 for x in a}) > 1
    promotes = entry.name.startswith(
        ("Tensor.__", "where", "Tensor.clamp between", "Tensor.bitwise_", "Tensor.max of two")
    )
    return "all" if mixed and promotes else ""


@row("zero-dim-promotion", differs=_narrow_scalar)
def zero_dim_promotion() -> None:
    a, b = np.ones(2, np.int32), np.array(1)
    assert (torch.tensor(a) + torch.tensor(b)).dtype == torch.int32
    assert (mg.tensor(a) + mg.tensor(b)).dtype == np.int64


@row(
    "integers",
    ("expected a floating dtype",),
    (
        *("conv", "Conv", "avg_pool", "AvgPool", "ropout", "oftmax", "_loss", "Loss"),
        *("relu6", "ReLU6", "ardtanh", "nfold", ".fold", ".Fold", "nterpolate", "Upsampl"),
        "einsum",
    ),
)
def integers() -> None:
    for call in (
        lambda m: functions(m).avg_pool2d(m.ones(1, 1, 2, 2, dtype=int64(m)), 2),
        lambda m: functions(m).conv2d(*[m.ones(1, 1, 2, 2, dtype=int64(m))] * 2),
        lambda m: functions(m).dropout(m.ones(2, dtype=int64(m)), training=False),
        lambda m: functions(m).softmax(m.ones(0, dtype=int64(m)), 0),
        lambda m: functions(m).mse_loss(m.ones(2, dtype=int64(m)), m.ones(2)),
        lambda m: m.einsum("i->", m.ones(2, dtype=int64(m))),
    ):
        only_ours_refuses(TypeError, ": expected a floating dtype, got int64", call)


@row("wider-integers")  # the table hands PyTorch int64
def wider_integers() -> None:
    x, t = np.ones((1, 3), np.float32), np.array([2], np.int32)
    with pytest.raises(RuntimeError, match="Long"):
        T.cross_entropy(torch.tensor(x), torch.tensor(t))
    assert F.cross_entropy(mg.tensor(x), mg.tensor(t)).item() == pytest.approx(math.log(3))
    with pytest.raises(RuntimeError, match="index tensor"):
        T.one_hot(torch.tensor(t))
    assert F.one_hot(mg.tensor(t)).shape == (1, 3)


@row("number-overflow", ("does not fit into",))
def number_overflow() -> None:
    small = lambda m: m.tensor(np.array([1, 3], np.uint8))  # noqa: E731
    assert (small(torch) + 300).tolist() == [45, 47]
    assert small(torch).clamp(min=-1).tolist() == [255, 255]
    for call in (lambda m: small(m) + 300, lambda m: small(m).clamp(min=-1)):
        only_ours_refuses(ValueError, "does not fit into uint8", call)


def _compared_beyond(entry: Entry, call: Call) -> str:
    names = ("lt", "le", "gt", "ge", "eq", "ne")
    if entry.name.removeprefix("Tensor.").strip("_") not in names or not call.args:
        return ""
    number, dtype = call.args[0], call.arrays[0].dtype
    if not isinstance(number, int) or dtype.kind not in "iu":
        return ""
    limits = np.iinfo(dtype)
    return "" if limits.min <= number <= limits.max else "all"


@row("comparison-overflow", differs=_compared_beyond)
def comparison_overflow() -> None:
    x = np.array([1, 3], np.uint8)
    assert (torch.tensor(x) > -1).tolist() == [False, False]
    assert (mg.tensor(x) > -1).numpy().tolist() == [True, True]


def _large_integers(entry: Entry, call: Call) -> str:
    close = entry.name in ("Tensor.isclose", "Tensor.allclose")
    whole = [a for a in call.arrays if a is not None and a.dtype.kind in "iu"]
    return "all" if close and any((abs(a) > 2**24).any() for a in whole) else ""


@row("close-integers", differs=_large_integers)
def close_integers() -> None:
    def close(m: Any) -> Any:
        return m.tensor([2**24 + 1]).isclose(m.tensor([2**24]), 0, 0.5).item()

    assert close(torch)
    assert not close(mg)


@row("kinds", ("data: expected numbers",))
def kinds() -> None:
    only_ours_refuses(TypeError, "data: expected numbers", lambda m: m.tensor([1j]))
    torch.ones(2).to(torch.bfloat16)
    refuses(TypeError, "device: expected", lambda: mg.ones(2).to("bfloat16"))


@row("byte-masks", ("got uint8", "got int32"), ("__getitem__", "where"))
def byte_masks() -> None:
    def masked(m: Any) -> Any:
        return m.ones(2)[m.tensor(np.array([1, 0], np.uint8))]

    only_ours_refuses(TypeError, "index: expected bools, int32 or int64, got uint8", masked)


@row("float-indices", ("index: expected bools, int32 or int64, got float32",), ("__getitem__",))
def float_indices() -> None:
    wrong = "index: expected bools, int32 or int64, got float32"
    only_ours_refuses(TypeError, wrong, lambda m: m.ones(2)[np.array([1.5], np.float32)])


@row(
    "empty-bool-products",
    ("expected floats or integers, got bool",),
    ("matmul", "inear", "mm", "mv", "dot"),
)
def empty_bool_products() -> None:
    def product(m: Any) -> Any:
        empty = m.tensor(np.ones((1, 0), np.bool_))
        return m.tensor(np.ones((1, 1), np.bool_)) @ empty

    only_ours_refuses(TypeError, "expected floats or integers, got bool", product)


@row(
    "unchecked-numbers",
    (
        "negative_slope: expected",
        "label_smoothing: expected",
        "divisor_override: expected",
        "dilation: expected",
        "dtype: expected a floating dtype for fractions",
        "num_samples: expected as many weights",
        "alpha: expected a whole number for integers",
        "beta: expected a whole number for integers",
        "value: expected a whole number for integers",
    ),
)
def unchecked_numbers() -> None:
    for call in (
        lambda m: functions(m).leaky_relu(m.ones(2), math.nan),
        lambda m: functions(m).cross_entropy(m.ones(1, 2), m.tensor([0]), label_smoothing=-0.1),
        lambda m: functions(m).avg_pool2d(m.ones(1, 2, 2), 2, divisor_override=-1),
        lambda m: functions(m).conv2d(m.ones(0, 1, 1, 1), m.ones(1, 1, 1, 1), dilation=0),
        lambda m: m.arange(0.5, dtype=int64(m)),
        lambda m: m.multinomial(m.tensor([1.0, 0.0]), 2),
        lambda m: m.optim.lr_scheduler.StepLR(sgd(m), 1, gamma=-1),
        lambda m: m.optim.lr_scheduler.LinearLR(sgd(m), total_iters=0),
        lambda m: m.optim.lr_scheduler.CosineAnnealingLR(sgd(m), 1, eta_min=-1),
        lambda m: m.optim.lr_scheduler.LambdaLR(sgd(m), lambda epoch: -1),
    ):
        only_ours_refuses(ValueError, "expected a", call)
    index, one, matrix = (lambda m, s=s: m.ones(s, dtype=int64(m)) for s in (1, 2, (1, 1)))
    for call in (
        lambda m: one(m).index_add(0, index(m), index(m), alpha=1.5),
        lambda m: one(m).addcmul(one(m), one(m), value=1.5),
        lambda m: m.addmm(*[matrix(m)] * 3, beta=1.5),
        lambda m: m.addmm(*[matrix(m)] * 3, alpha=1.5),
    ):
        only_ours_refuses(TypeError, ": expected a whole number for integers, got 1.5", call)
