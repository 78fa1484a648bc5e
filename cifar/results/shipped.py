"""The trained model that comes with the package."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from cifar.errors import UserError

WEIGHTS: Final = Path(__file__).parents[1] / "weights"  # package data, by `cifar export --half`


def choose(run: str | None, files: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """(run, files) for ``cifar predict``. If there is no first argument, or it names pictures and
    not a run, the run is the model that comes with the package, and a note on stderr says so.

    Raises:
        UserError: no run is named, and no model comes with this package.
    """
    shipped = min(WEIGHTS.glob("*.safetensors"), default=None)
    if run is not None:
        path = Path(run)
        is_run = path.suffix == ".safetensors" or any(path.glob("*.safetensors"))
        if is_run or shipped is None or not os.path.exists(path):
            return run, files
        files = (run, *files)
    elif shipped is None:
        raise UserError("run: name one, since no model comes with this package")
    print(
        f"note: no run is named; {shipped.name}, which comes with cifar, is used", file=sys.stderr
    )
    return str(shipped), files
