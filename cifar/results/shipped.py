"""The trained model that comes with the package."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

WEIGHTS: Final = Path(__file__).parents[1] / "weights"  # package data, by `cifar export --half`


def choose(run: str, files: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """(run, files) for ``cifar predict``. If the first argument names pictures and not a run, the
    run is the model that comes with the package, and a note on stderr says so."""
    path = Path(run)
    is_run = path.suffix == ".safetensors" or any(
        (path / name).exists() for name in ("best.safetensors", "last.safetensors")
    )
    shipped = min(WEIGHTS.glob("*.safetensors"), default=None)
    if is_run or shipped is None or not os.path.exists(path):
        return run, files
    print(
        f"note: no run is named; {shipped.name}, which comes with cifar, is used", file=sys.stderr
    )
    return str(shipped), (run, *files)
