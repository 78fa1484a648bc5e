"""Counting kernels and copies; on a GPU, against copies that are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg
from benchmarks import traffic
from benchmarks.traffic import Traffic


def copy(name, size):
    return {"cat": "gpu_memcpy", "name": name, "args": {"bytes": size}}


def test_counted():
    events = [
        {"ph": "M"},
        {"cat": "kernel", "name": "Memcpy HtoD"},
        {"cat": "cuda_driver", "name": "cuLaunchKernel"},
        copy("Memcpy HtoD (Pinned -> Device)", 12),
        copy("Memcpy HtoD (Pageable -> Device)", 30),
        copy("Memcpy DtoD (Device -> Device)", 1000),
        copy("Memcpy DtoH (Device -> Pageable)", 4),
        {"cat": "gpu_memset", "name": "Memset (Device)", "args": {"bytes": 7}},
        {"cat": "kernel", "name": "correlate"},
    ]
    found = traffic.counted(events)
    assert found == Traffic(2, 2, 1, 42, 4)
    assert found.per(2) == Traffic(1, 1, 0.5, 21, 2)


def test_where_nothing_would_be_seen():
    if torch.cuda.is_available():
        pytest.skip("PyTorch sees a GPU")
    with pytest.raises(RuntimeError, match="without CUDA, or sees no GPU"):
        traffic.watched(lambda: None)


def test_what_is_known_on_a_gpu(device):
    """CuPy's kernels and copies are seen, though it is PyTorch that looks."""
    if device == "cpu" or not torch.cuda.is_available():
        pytest.skip("needs a GPU, and PyTorch with CUDA")
    x = mg.tensor(np.ones(1000, np.float32), device=device)
    mg.functional.dropout(x, 0.5)  # compiles

    def work():
        y = mg.tensor(np.ones(500, np.float32), device=device)
        mg.functional.dropout(x, 0.5)
        y.cpu()
        y.cpu()

    found = traffic.watched(work)
    assert found.to_gpu == 2  # the array, and the number of the draw
    assert found.bytes_to_gpu == 4 * 500 + 24
    assert (found.to_host, found.bytes_to_host) == (2, 2 * 4 * 500)
    assert found.kernels >= 1
