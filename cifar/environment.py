"""The machine of a measurement: its description, its peak speed, and the memory used."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import minigrad as mg

SGEMM_SIZE = 2048  # rows and columns of the matrices whose product shows a machine's peak
COPY_BYTES = 1 << 28  # far more than any cache holds


def describe(*packages: str) -> dict[str, Any]:
    """Processor, memory, versions of Python, NumPy and ``packages``, commit and command line.

    A package that is not installed has the version None.
    """
    return {
        "cpu": cpu(),
        "cores": cores(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: _version(name) for name in ("numpy", *packages)},
        "commit": commit(),
        "command": " ".join([*_program(), *sys.argv[1:]]),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def peak_memory_mb() -> float:
    """The largest resident size of this process so far, in MB of 10^6 bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux, where getrusage starts from the parent's figure
        peak = re.search(r"VmHWM:\s*(\d+) kB", status.read_text("utf-8"))
        if peak:
            return round(int(peak[1]) * 1024 / 1e6, 1)
    peak_rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak_rss * (1 if sys.platform == "darwin" else 1024) / 1e6, 1)


def cores() -> int:
    """The number of cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _program() -> list[str]:
    """The words that start this program on any machine: without the paths of this one, which
    :func:`cifar.process.program` has to start it again here."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is None:
        return [Path(sys.argv[0]).name]
    return ["python", "-m", spec.name.removesuffix(".__main__")]


def blas() -> str:
    """Name and version of the library in which NumPy multiplies matrices."""
    library = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{library.get('name')} {library.get('version')}"


def cpu() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text("utf-8").splitlines() if info.exists() else []
    return next(
        (x.partition(":")[2].strip() for x in lines if "model name" in x), platform.processor()
    )


def commit() -> str:
    """The commit of this source tree, with "+" if files were changed since; "" outside git."""
    here = Path(__file__)

    def git(*words: str) -> str:
        call = ["git", "-C", str(here.parent), *words]
        try:
            return subprocess.run(
                call, capture_output=True, encoding="utf-8", check=False
            ).stdout.strip()
        except OSError:  # git is not installed
            return ""

    if not git("ls-files", here.name):  # installed, perhaps within another project's tree
        return ""
    others = (":/", ":(top,exclude)benchmarks/results")
    changed = git("status", "--porcelain", "--untracked-files=no", "--", *others)
    return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")


def peaks(threads: int) -> dict[str, float]:
    """The peak speeds of this machine with ``threads`` threads, with which benchmarks compare.

    Returns:
        "gflops": NumPy's product of two square float32 matrices, 2 n³ operations;
        "gb_per_second": copying; bytes read and bytes written both count.
    """
    import threadpoolctl

    a, b = np.ones((2, SGEMM_SIZE, SGEMM_SIZE), np.float32)
    product = np.empty_like(a)
    with threadpoolctl.threadpool_limits(threads, user_api="blas"):
        gemm = _fastest(lambda: np.matmul(a, b, out=product))
    source, target = np.ones((2, threads, COPY_BYTES // threads), np.uint8)
    with ThreadPoolExecutor(threads) as pool:  # NumPy copies without the interpreter lock
        copy = _fastest(lambda: list(pool.map(np.copyto, target, source)))
    return {"gflops": 2 * SGEMM_SIZE**3 / gemm / 1e9, "gb_per_second": 2 * COPY_BYTES / copy / 1e9}


def _fastest(function: Callable[[], object]) -> float:
    """The shortest time of a call, in seconds, of those made within a second."""
    function()
    least, end = float("inf"), time.perf_counter() + 1.0
    while time.perf_counter() < end or least == float("inf"):
        start = time.perf_counter()
        function()
        least = min(least, time.perf_counter() - start)
    return least


def write(path: str | Path, results: dict[str, Any]) -> None:
    """Write ``results`` as indented JSON."""
    mg.checkpoint.write_text(path, json.dumps(results, indent=1, ensure_ascii=False) + "\n")
