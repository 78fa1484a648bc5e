"""Shapes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import minigrad as mg
from tests.parity.differences import (
    functions,
    only_ours_refuses,
    row,
    sgd,
)


@row("view-copies")
def view_copies() -> None:
    with pytest.raises(RuntimeError, match="view size is not compatible"):
        torch.ones(2, 3).T.view(6)
    assert mg.ones(2, 3).T.view(6).shape == (6,)


@row("mse-broadcast", ("target: expected input's shape",))
def mse_broadcast() -> None:
    call = lambda m: functions(m).mse_loss(m.ones(2, 3), m.ones(3))  # noqa: E731
    only_ours_refuses(ValueError, "target: expected input's shape (2, 3), got (3,)", call)


@row("linear-vector", ("weight: expected shape (O, F)",))
def linear_vector() -> None:
    call = lambda m: functions(m).linear(m.ones(2, 3), m.ones(3))  # noqa: E731
    only_ours_refuses(ValueError, "weight: expected shape (O, F), got (3,)", call)


@row("cat-empty-vector", ("tensors: cannot cat shapes",), ("cat",))
def cat_empty_vector() -> None:
    call = lambda m: m.cat([m.ones(2, 3), m.ones(0)])  # noqa: E731
    only_ours_refuses(ValueError, "tensors: cannot cat shapes [(2, 3), (0,)]", call)


@row("single-target", ("target: expected class indices of shape",))
def single_target() -> None:
    call = lambda m: functions(m).nll_loss(m.ones(3), m.tensor([0]))  # noqa: E731
    only_ours_refuses(ValueError, "target: expected class indices of shape", call)


@row("empty-images", ("expected at least one channel and pixel",))
def empty_images() -> None:
    call = lambda m: functions(m).adaptive_avg_pool2d(m.ones(1, 2, 0, 3), 1)  # noqa: E731
    only_ours_refuses(ValueError, "input: expected at least one channel and pixel", call)


@row("empty-channels")  # not drawn
def empty_channels() -> None:
    call = lambda m: functions(m).batch_norm(m.ones(0, 3), None, None, training=True)  # noqa: E731
    only_ours_refuses(ValueError, "input: expected more than one value per channel", call)


@row("indexing", ("something between them", "can only have a single ellipsis"))
def indexing() -> None:
    only_ours_refuses(IndexError, "a single ellipsis", lambda m: m.ones(2)[..., ...])
    call = lambda m: m.ones(3, 4, 2)[0, :, m.tensor([1, 1])]  # noqa: E731
    only_ours_refuses(NotImplementedError, "an integer and an array", call)


@row("late-groups")
def late_groups() -> None:
    def rate(library: Any) -> float:
        optimizer = sgd(library)
        schedule = library.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5**epoch)
        optimizer.add_param_group({"params": [library.zeros(1)], "lr": 3.0})
        optimizer.step()
        schedule.step()
        return optimizer.param_groups[1]["lr"]

    with pytest.raises(ValueError, match="zip"):
        rate(torch)
    assert rate(mg) == 1.5
