"""A pytest plugin: a test's outcome goes to a file at once, and what is there is not done again.

    GPU_REPORT=tests.jsonl python -m pytest -p benchmarks.gpu_report -m gpu

A session that is stopped loses no test that was done, and goes on with the others.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

FILE = Path(os.environ.get("GPU_REPORT", os.devnull))
IN_WORKER = "PYTEST_XDIST_WORKER"


def read(file: Path) -> dict[str, str]:
    """Each test's outcome: passed, failed or skipped. The last line may be half of one."""
    found: dict[str, str] = {}
    if file.is_file():
        for line in file.read_text("utf-8").splitlines():
            try:
                test, outcome = json.loads(line)
            except ValueError:
                continue
            found[test] = outcome
    return found


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    done = read(FILE)
    old = [item for item in items if item.nodeid in done]
    if old:
        config.hook.pytest_deselected(items=old)
        items[:] = [item for item in items if item.nodeid not in done]


def pytest_runtest_logreport(report: Any) -> None:
    if IN_WORKER in os.environ:  # the controller hears of it too
        return
    if report.when == "call" or report.outcome != "passed":
        with FILE.open("a", encoding="utf-8") as file:
            print(json.dumps([report.nodeid, report.outcome]), file=file)
