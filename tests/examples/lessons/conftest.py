"""Each lesson runs once, in an empty folder; its tests see what it printed, drew and defined."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib
import numpy as np
import pytest

import minigrad as mg

LESSONS = Path(__file__).parents[3] / "examples" / "lessons"


@pytest.fixture(scope="module")
def lesson(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The names that the lesson of this test's file defines, with ``printed`` and ``folder``."""
    name = request.path.stem.removeprefix("test_")
    file, folder, printed = LESSONS / f"{name}.py", tmp_path_factory.mktemp(name), io.StringIO()
    before, chosen = os.getcwd(), mg.get_implementation()
    matplotlib.use("agg")
    os.chdir(folder)
    space: dict[str, Any] = {"__name__": "__main__", "__file__": str(file)}
    try:
        with contextlib.redirect_stdout(printed), np.errstate():
            exec(compile(file.read_text("utf-8"), str(file), "exec"), space)
    finally:
        os.chdir(before)
        mg.set_implementation(chosen)
        matplotlib.pyplot.close("all")
    pictures = sorted(path.name for path in folder.glob("*.png"))
    assert pictures == [f"{name}.png"]
    return SimpleNamespace(**space, printed=printed.getvalue(), folder=folder)
