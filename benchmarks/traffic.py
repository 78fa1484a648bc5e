"""The kernels of a step on a GPU, and its copies between host and GPU.

PyTorch's profiler uses NVIDIA's tracing interface, which records all GPU work of the process, also
that of CuPy. Kernels of a replayed graph are counted too.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple


class Traffic(NamedTuple):
    """Kernels, copies each way between host and GPU, and their bytes."""

    kernels: float = 0
    to_gpu: float = 0
    to_host: float = 0
    bytes_to_gpu: float = 0
    bytes_to_host: float = 0

    def per(self, steps: int) -> Traffic:
        """The traffic of one of ``steps`` equal steps."""
        return Traffic(*(number / steps for number in self))


def counted(events: Iterable[Mapping[str, Any]]) -> Traffic:
    """The traffic in the "traceEvents" of a trace in Chrome's format."""
    counts = dict.fromkeys(Traffic._fields, 0)
    for event in events:
        name, kind = event.get("name", ""), event.get("cat")
        if kind == "kernel":
            counts["kernels"] += 1
        elif kind == "gpu_memcpy":
            for start, direction in (("Memcpy HtoD", "to_gpu"), ("Memcpy DtoH", "to_host")):
                if name.startswith(start):
                    counts[direction] += 1
                    counts[f"bytes_{direction}"] += event["args"]["bytes"]
    return Traffic(**counts)


def watched(work: Callable[[], object]) -> Traffic:
    """The traffic of ``work()``, which must wait for the GPU before it returns.

    Raises:
        RuntimeError: PyTorch has no CUDA, so its profiler would record nothing.
    """
    import torch
    from torch.profiler import ProfilerActivity, profile

    if not torch.cuda.is_available():
        raise RuntimeError("traffic: PyTorch is installed without CUDA, or sees no GPU")
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        work()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trace.json"
        seen.export_chrome_trace(str(file))
        return counted(json.loads(file.read_text("utf-8"))["traceEvents"])
