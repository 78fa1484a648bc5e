"""The functions take what PyTorch's take: the same names, order and defaults."""

from __future__ import annotations

import inspect

import pytest
import torch

import minigrad as mg

# Written in C++, without a signature: the first line of their documentation in PyTorch 2.13.
DOCUMENTED = {
    "avg_pool2d": "input kernel_size stride=None padding=0 ceil_mode=False count_include_pad=True "
    "divisor_override=None",
    "conv2d": "input weight bias=None stride=1 padding=0 dilation=1 groups=1",
    "gelu": "input approximate='none'",
    "linear": "input weight bias=None",
    "one_hot": "tensor num_classes=-1",
}

MORE = {"batch_norm": ["residual=None", "relu=False"]}  # by keyword only


def ours(name: str) -> list[str]:
    return described(getattr(mg.functional, name))


def described(function: object) -> list[str]:
    """``a`` for a parameter without a default, ``a=1`` for one with."""
    found = inspect.signature(function).parameters.values()
    return [p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in found]


@pytest.mark.parametrize("name", sorted(set(mg.functional.__all__) - {"focal_loss"}))
def test_signature_as_pytorch(name):
    if name in DOCUMENTED:
        documented = DOCUMENTED[name].split()
        assert ours(name)[1:] == documented[1:]  # the first is always called input here
        return
    module = torch.nn.functional
    theirs = described(getattr(module, f"_{name}", getattr(module, name)))
    shared = [p for p in ours(name) if p not in MORE.get(name, [])]
    assert shared == theirs[: len(shared)]
    assert set(theirs[len(shared) :]) <= {"_stacklevel=3", "dtype=None", "weight=None"}


def test_every_function_is_public():
    assert mg.functional.__all__ == sorted(mg.functional.__all__)
    assert all(callable(getattr(mg.functional, name)) for name in mg.functional.__all__)
