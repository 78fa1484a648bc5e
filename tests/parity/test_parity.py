"""Hundreds of drawn calls of every public operation: PyTorch's values, gradients, dtypes, shapes
and refusals, or an intended difference."""

from __future__ import annotations

import os
import random
import re
from pathlib import Path

import pytest

import minigrad as mg
from minigrad.ops import inplace
from tests.common import tensor_names
from tests.parity.differences import DIFFERENCES
from tests.parity.driver import check, drawn
from tests.parity.table import ENTRIES

# The same calls every time, 200 of most; MINIGRAD_EXAMPLES=5000 tries as many new ones of each.
EXAMPLES = os.environ.get("MINIGRAD_EXAMPLES")


@pytest.mark.parametrize("name", ENTRIES)
def test_as_pytorch(device, name):
    entry, failures = ENTRIES[name], []
    first = random.randrange(1, 1 << 62) if EXAMPLES else 0
    for number in range(first, first + int(EXAMPLES or entry.examples)):
        call, layout, wanted = drawn(entry, number)
        try:
            check(entry, call, layout, wanted, device, DIFFERENCES)
        except Exception as error:
            size = sum(a.size for a in call.arrays if a is not None)
            text = f"number {number}, {layout}, gradients of {[*wanted]}: {call}"
            failures.append((size, number, text, error))
    if failures:
        _, _, text, error = min(failures)
        raise AssertionError(f"{len(failures)} calls; the smallest: {text}") from error


# Names that no table of drawn calls can hold, and where they are tested instead.
ELSEWHERE = {
    "CaptureError", "CapturedStep", "Generator",
    "DeviceError", "checkpoint", "console", "data", "detect_anomaly", "device", "distributed",
    "functional", "OutOfMemoryError", "get_num_threads", "get_xp", "gradcheck",
    "is_compiled", "is_gpu_available", "load", "manual_seed", "memory", "nn",
    "Diagonal", "Multilinear", "Rerun", "autograd", "enable_grad", "gradgradcheck",
    "inference_mode", "is_grad_enabled",
    "is_inference_mode_enabled", "no_grad", "set_grad_enabled", "Tensor.grad_fn",
    "onnx", "op", "optim", "save",
    "get_implementation", "set_implementation",
    "set_compiled", "set_flush_denormal", "set_num_threads", "set_precision", "get_precision",
    "Tensor",
    "Tensor.backward", "Tensor.data", "Tensor.device", "Tensor.dtype", "Tensor.grad",
    "Tensor.gpu", "Tensor.is_leaf", "Tensor.node", "Tensor.numpy", "Tensor.requires_grad",
    "Tensor.register_hook", "Tensor.retain_grad", "Tensor.retains_grad", "Tensor.__reduce_ex__",
    "Tensor.__deepcopy__",
    "Tensor.requires_grad_", "Tensor.zero_grad", "Tensor.__init__", "Tensor.__repr__",
    "nn.Module", "nn.ModuleDict", "nn.ModuleList", "nn.Parameter", "nn.ParameterList",
    "nn.Sequential", "nn.SyncBatchNorm", "nn.TransformerEncoder", "nn.TransformerEncoderLayer",
    "nn.functional", "nn.fuse", "nn.init", "nn.utils",
    "watch_compilation", "draw", "explore", "trace", "utils", "Tensor.cuda",
    "Tensor.is_cuda", "concat", "concatenate",
    "e", "inf", "nan", "pi",
    "dtype", "finfo", "iinfo", "float16", "float32", "float64", "double", "half",
    "int8", "int16", "int32", "int64", "long", "short", "uint8", "uint16", "uint32", "uint64",
}  # fmt: skip


def test_every_public_name_is_in_the_table():
    own = tensor_names() - set(inplace.METHODS)  # in tests/ops/test_inplace.py
    named = {
        *mg.__all__,
        *(f"Tensor.{n}" for n in own - {"__hash__"}),
        *(f"functional.{n}" for n in mg.functional.__all__),
        *(f"nn.{n}" for n in mg.nn.__all__),
    }
    methods = vars(mg.Tensor)
    same = {n for n in mg.__all__ if f"Tensor.{n}" in ENTRIES and getattr(mg, n) is methods[n]}
    assert named - set(ENTRIES) - same == ELSEWHERE


@pytest.mark.parametrize("name", DIFFERENCES)
def test_difference(name):
    DIFFERENCES[name].show()


def test_every_difference_is_written_down():
    """The rows of docs/differences.md are those tested here."""
    text = (Path(__file__).parents[2] / "docs/differences.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE)) == sorted(DIFFERENCES)
