"""What a measurement was made on, for the JSON files in ``benchmarks/results``."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import minigrad as mg


def describe(*packages: str) -> dict[str, Any]:
    """Processor, memory, versions of Python, NumPy and ``packages``, commit and command line."""
    return {
        "cpu": _cpu(),
        "cores": cores(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("numpy", *packages)},
        "commit": commit(),
        "command": " ".join(["python", "-m", _module(), *sys.argv[1:]]),
    }


def cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _module() -> str:
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec.name if spec else sys.argv[0]


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next(
        (x.partition(":")[2].strip() for x in lines if "model name" in x), platform.processor()
    )


def commit() -> str:
    """The commit of this source tree, with "+" if files differ from it; "" outside git."""
    here = Path(__file__).parent

    def git(*words: str) -> str:
        call = ["git", "-C", str(here), *words]
        return subprocess.run(call, capture_output=True, text=True, check=False).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "..", ":!results")
    return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")


def write(path: str | Path, results: dict[str, Any]) -> None:
    """Write ``results`` as indented JSON."""
    mg.checkpoint.write_text(path, json.dumps(results, indent=1, ensure_ascii=False) + "\n")
