"""What a GPU is given to do in a step: kernels, and copies over the bus.

PyTorch's profiler records, by NVIDIA's tracing interface, all that this process asks of the GPU,
whoever asks: what CuPy launches and copies is seen like PyTorch's own. A kernel of a replayed graph
counts like any other.
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
        """The part of one of ``steps`` equal steps."""
        return Traffic(*(number / steps for number in self))


def counted(events: Iterable[Mapping[str, Any]]) -> Traffic:
    """The traffic in the "traceEvents" of a trace in Chrome's format."""
    found = dict.fromkeys(Traffic._fields, 0)
    for event in events:
        name, kind = event.get("name", ""), event.get("cat")
        if kind == "kernel":
            found["kernels"] += 1
        elif kind == "gpu_memcpy":
            for start, way in (("Memcpy HtoD", "to_gpu"), ("Memcpy DtoH", "to_host")):
                if name.startswith(start):
                    found[way] += 1
                    found[f"bytes_{way}"] += event["args"]["bytes"]
    return Traffic(**found)


def watched(work: Callable[[], object]) -> Traffic:
    """The traffic of ``work()``, which has to wait for the GPU before it returns.

    Raises:
        RuntimeError: PyTorch has no CUDA here, so that it would see nothing.
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
