"""What minigrad does not do."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn
from tests.parity.differences import (
    F,
    T,
    functions,
    generator,
    only_ours_refuses,
    row,
    sgd,
)


@row("second-order")
def second_order() -> None:
    def call(m: Any) -> Any:
        x = m.ones(1, 2, 4, 4, requires_grad=True)
        pooled = (T if m is torch else F).max_pool2d(x, 2)
        return m.autograd.grad(pooled.sum(), x, create_graph=True)

    text = "max_pool2d: create_graph=True is not supported: its derivative cannot be differentiated"
    only_ours_refuses(NotImplementedError, text, call)

    def of_half(m: Any) -> Any:
        x = m.ones(2, dtype=m.float16, requires_grad=True)
        return m.autograd.grad(x.sigmoid().sum(), x, create_graph=True)

    text = "sigmoid: create_graph=True is not supported"
    only_ours_refuses(NotImplementedError, text, of_half)


@row("inference-results")
def inference_results() -> None:
    def call(m: Any) -> Any:
        with m.inference_mode():
            x = m.ones(2) * 2
        return (x * m.ones(2, requires_grad=True)).sum().backward()

    call(mg)
    with pytest.raises(RuntimeError, match="Inference tensors cannot be saved"):
        call(torch)


@row("hook-order")
def hook_order() -> None:
    def order(m: Any) -> list[str]:
        found: list[str] = []
        x = m.ones(1, requires_grad=True)
        first, other = x * 2, x * 3
        then, other_then = first * 2, other * 3
        named = {"first": first, "other": other, "then": then, "other then": other_then}
        for name, t in named.items():
            t.register_hook(lambda g, n=name: found.append(n))
        (then + other_then).backward()
        return found

    assert order(torch) == ["other then", "then", "other", "first"]
    assert order(mg) == ["other then", "other", "then", "first"]


@row("hook-gradients")
def hook_gradients() -> None:
    def grads(m: Any) -> tuple[Any, Any]:
        x, w = (m.ones(1, requires_grad=True) for _ in "xw")
        y = x * 2
        y.register_hook(lambda g: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            (y * w).backward()
        return x.grad, w.grad

    assert grads(torch) == (None, torch.tensor([2.0]))
    assert grads(mg) == (None, None)
    seen: list[Any] = []
    tx, mx = torch.ones(1, requires_grad=True), mg.ones(1, requires_grad=True)
    for x in (tx, mx):
        x.register_hook(seen.append)
    _NoGradient.apply(tx).backward()
    assert seen == [None]
    mg.op(lambda x: (x + 1, lambda g, needs: (None,)))(mx).backward()
    assert seen == [None]


class _NoGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x + 1

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> None:
        return None


@row("hook-arguments")
def hook_arguments() -> None:
    def call(m: Any) -> Any:
        model = m.nn.Identity()
        model.register_forward_pre_hook(lambda *_: (m.ones(1), {}), with_kwargs=True)
        return model(m.ones(1))

    only_ours_refuses(TypeError, "hook: its result: expected None or a tuple (args, kw", call)


@row("no-in-place")
def no_in_place() -> None:
    def doubled(m: Any) -> Any:
        return m.ones(2, requires_grad=True) * 2

    for call in (
        lambda m: doubled(m).add_(1),
        lambda m: m.ones(2).copy_(doubled(m)),
        lambda m: operator.setitem(doubled(m), 0, 3),
    ):
        only_ours_refuses(NotImplementedError, "cannot be changed in place", call)
    for m, same in ((torch, True), (mg, False)):
        x = before = doubled(m)
        x += 1
        assert (x is before) == same
        assert x.tolist() == [3, 3]


def nested_schedules(library: Any) -> None:
    schedules, optimizer = library.optim.lr_scheduler, sgd(library)
    parts = [schedules.ChainedScheduler([schedules.StepLR(optimizer, 1)])]
    schedules.SequentialLR(optimizer, [*parts, schedules.StepLR(optimizer, 1)], [2])


OPTIONS: list[tuple[str, Callable[[Any], Any]]] = [
    ("equation='ii->i'", lambda m: m.einsum("ii->i", m.ones(2, 2))),
    ("p='nuc'", lambda m: m.norm(m.ones(2, 2), "nuc")),
    ("dim=0", lambda m: m.unique(m.ones(2, 2), dim=0)),
    ("decorating a generator", lambda m: m.no_grad()(lambda: (yield))),
    (
        "negative amounts are not supported",
        lambda m: functions(m).pad(m.ones(1, 3), (-1, 1), mode="replicate"),
    ),
    (
        "return_indices=True",
        lambda m: functions(m).max_pool2d(m.ones(1, 2, 2), 2, return_indices=True),
    ),
    ("reduce=True", lambda m: functions(m).mse_loss(m.ones(2), m.ones(2), reduce=True)),
    ("size_average=True", lambda m: functions(m).mse_loss(m.ones(2), m.ones(2), True)),
    (
        "gradients of target probabilities",
        lambda m: functions(m).cross_entropy(m.ones(1, 2), m.ones(1, 2, requires_grad=True)),
    ),
    (
        "track_running_stats=True",
        lambda m: m.nn.InstanceNorm2d(1, track_running_stats=True),
    ),
    ("max_norm=1.0", lambda m: m.nn.Embedding(2, 1, max_norm=1.0)),
    ("add_bias_kv=True", lambda m: m.nn.MultiheadAttention(2, 1, add_bias_kv=True)),
    ("add_zero_attn=True", lambda m: m.nn.MultiheadAttention(2, 1, add_zero_attn=True)),
    (
        "enable_gqa=True",
        lambda m: functions(m).scaled_dot_product_attention(
            *[m.ones(1, 1, 1, 1)] * 3, enable_gqa=True
        ),
    ),
    (
        "mode='bicubic'",
        lambda m: functions(m).interpolate(m.ones(1, 1, 2, 2), 3, mode="bicubic"),
    ),
    (
        "antialias=True",
        lambda m: functions(m).interpolate(m.ones(1, 1, 2, 2), 3, mode="bilinear", antialias=True),
    ),
    (
        "output_size=[1, 1]",
        lambda m: m.nn.ConvTranspose2d(1, 1, 1)(m.ones(1, 1, 1, 1), output_size=[1, 1]),
    ),
    ("track_running_stats=False", lambda m: m.nn.BatchNorm2d(1, track_running_stats=False)),
    ("momentum=None", lambda m: m.nn.BatchNorm1d(1, momentum=None)),
    ("device='cpu'", lambda m: m.nn.Linear(1, 1, device="cpu")),
    ("out=tensor", lambda m: m.cat([m.ones(2)], out=m.ones(2))),
    ("generator=", lambda m: m.nn.init.normal_(m.ones(2), generator=generator(m))),
    ("epoch=3", lambda m: m.optim.lr_scheduler.StepLR(sgd(m), 1).step(3)),
    ("ChainedScheduler within SequentialLR is not supported", nested_schedules),
]


@row("options", ("is not supported", "are not supported"))
def options() -> None:
    for text, call in OPTIONS:
        only_ours_refuses(NotImplementedError, text, call)


@row("names")
def names() -> None:
    x = mg.ones(2, 3)
    assert (str(x.dtype), x.shape, str(x.device)) == ("float32", (2, 3), "cpu")
    assert str(torch.ones(2).dtype) == "torch.float32"
    torch.ones(2).to(torch.float64)
    assert x.to("float64").to(np.float32).dtype == np.dtype("float32")


@row("error-types")
def error_types() -> None:
    for call in (lambda m: m.ones(2, 3) @ m.ones(2, 3), lambda m: m.ones(6).reshape(4, 2)):
        with pytest.raises(RuntimeError):
            call(torch)
        with pytest.raises(ValueError, match=r"inner sizes|cannot reshape"):
            call(mg)


@row("focal-loss")
def focal_loss() -> None:
    assert not hasattr(T, "focal_loss")
    assert not hasattr(torch.nn, "FocalLoss")
    assert F.focal_loss(mg.ones(1, 2), mg.tensor([0]), 0.0).item() == pytest.approx(math.log(2))
    assert isinstance(nn.FocalLoss(), nn.Module)
