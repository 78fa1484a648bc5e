"""Kernels broken on purpose, each in a way that a card may forgive today: every one is found."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import minigrad as mg
from minigrad import functional as F
from minigrad.gpu import launch as cuda
from minigrad.gpu.norm import WHOLE
from minigrad.ops import norm, shape
from tests.emulated.kernels import KernelError
from tests.gpu.kernels.registry import FAMILIES

pytestmark = pytest.mark.usefixtures("on_cpu")


def batch_norm() -> None:
    x, g = np.random.default_rng(0).standard_normal((2, 4, 3, 70)).astype(np.float32)
    mean, var = np.zeros((2, 4), np.float32)
    options = {"mean": mean, "var": var, "batch": True, "eps": 1e-5, "relu": False}
    _, backward = norm._batch_norm.run(x, None, None, None, **options)
    backward(g, (True, False, False, False))


def long_rows() -> None:
    """A channel that several blocks have."""
    x = mg.randn(2, 1, WHOLE, requires_grad=True)
    F.batch_norm(x, None, None, training=True).sum().backward()


def convolution() -> None:
    mg.set_precision("fp32")
    x = mg.randn(4, 5, 6, 6)
    w, b = mg.randn(9, 5, 3, 3, requires_grad=True), mg.randn(9, requires_grad=True)
    F.conv2d(x, w, b, padding=1).sum().backward()


def dropout() -> None:
    F.dropout(mg.ones(3, 5), 0.5)


def relu() -> None:
    x = mg.randn(3, 5, requires_grad=True)
    F.relu(x).sum().backward()


def indexing() -> None:
    g = np.ones(4, np.float32)
    index = np.array([2, 2, 0, 2])
    _, backward = shape._getitem.run(np.zeros(3, np.float32), index=(index,), unique=False)
    backward(g, (True,))


def pooling() -> None:
    x = mg.randn(2, 3, 5, 5, requires_grad=True)
    F.max_pool2d(x, 2).sum().backward()


def classification() -> None:
    F.cross_entropy(mg.randn(3, 5), mg.tensor([0, 4, 1]))


def optimizer() -> None:
    """Of two parameters, the second in a block of its own."""
    parameters = [mg.zeros(n, requires_grad=True) for n in (5, 3)]
    for p in parameters:
        p.grad = mg.ones_like(p)
    mg.optim.SGD(parameters, lr=0.1).step()


BARRIER, RACE = "__syncthreads();", "race|nothing wrote|a copy is under way"
# What is run, the file, what stands in it, what takes its place, and what is found.
BREAKAGES: list[tuple[Callable[[], None], str, str, str, str]] = [
    (batch_norm, "reduce.cuh", f"    {BARRIER}\n    v = warps[0]", "    v = warps[0]", RACE),
    (batch_norm, "reduce.cuh", f"    {BARRIER}  // all threads have read", "    //", RACE),
    (batch_norm, "norm.cu", "i < at.size; i +=", "i <= at.size; i +=", "illegal|race"),
    (batch_norm, "reduce.cuh", "0xffffffff, v, bit", "0xffff, v, bit", "wait for each other"),
    (convolution, "conv.cu", "cp_async_wait<DEPTH - 2>();", "", "a copy is under way"),
    (convolution, "conv.cu", "_wait<DEPTH - 2>();", "_wait<DEPTH - 1>();", "a copy is under way"),
    (convolution, "conv.cu", f"        {BARRIER}  // and", "        // and", RACE),
    (
        convolution,
        "conv.cu",
        "before = stage == 0 ? DEPTH - 1 : stage - 1",
        "before = stage",
        "a copy is under way",
    ),
    (convolution, "conv.cu", "+ threadIdx.x < rows;", "+ threadIdx.x <= rows;", "illegal"),
    (convolution, "conv.cu", "i < size; i += threads) {", "i <= size; i += threads) {", "illegal"),
    (long_rows, "norm.cu", f"told[1] = second;\n    {BARRIER}", "told[1] = second;", RACE),
    (
        long_rows,
        "norm.cu",
        "segment * SEGMENT, size_of",
        "segment * SEGMENT + 1, size_of",
        "illegal",
    ),
    (dropout, "dropout.cu", "if (i < n) y[i]", "if (i <= n) y[i]", "illegal"),
    (dropout, "dropout.cu", "long long i = 8 * block + k;", "long long i = block + k;", "race"),
    (relu, "activation.cu", "if (i < n) gx[i]", "if (i <= n) gx[i]", "illegal"),
    (indexing, "index.cu", "sorted[k] % M];", "sorted[k] % M + 1];", "illegal"),
    (indexing, "index.cu", "if (k > 0 && sorted[k - 1] / M == place) return;", "", "race"),
    (pooling, "pool.cu", "if (p >= P) return;", "if (p > P) return;", "illegal"),
    (
        classification,
        "loss.cu",
        "if (m >= M) return;\n    find_shifts",
        "    find_shifts",
        "illegal",
    ),
    (optimizer, "optim.cu", "i < chunk.last", "i <= chunk.last", "illegal|race"),
    (optimizer, "optim.cu", "first + CHUNK < size ?", "first + CHUNK > size ?", "illegal"),
]


def test_every_family_is_broken():
    files = {file.partition(".")[0] for _, file, *_ in BREAKAGES}
    assert files - {"reduce"} == set(FAMILIES)


@pytest.mark.parametrize(("run", "file", "right", "wrong", "found"), BREAKAGES)
def test_is_found(run, file, right, wrong, found, monkeypatch):
    text = cuda._text

    def broken(name: str) -> str:
        if name != file:
            return text(name)
        assert right in text(name)
        return text(name).replace(right, wrong, 1)

    run()  # all is well
    monkeypatch.setattr(cuda, "_text", broken)
    cuda.source.cache_clear()
    try:
        with pytest.raises(KernelError, match=found):
            run()
    finally:
        cuda.source.cache_clear()
