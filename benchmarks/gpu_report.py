"""A pytest plugin that writes the outcome of each test to a file and skips the tests in it.

    GPU_REPORT=tests.jsonl python -m pytest -p benchmarks.gpu_report -m gpu

So a session that is stopped keeps the outcomes, and continues with the other tests.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

FILE = Path(os.environ.get("GPU_REPORT", os.devnull))
IN_WORKER = "PYTEST_XDIST_WORKER"


def read(file: Path) -> dict[str, str]:
    """The outcome of each test: passed, failed or skipped. An incomplete last line is ignored."""
    outcomes: dict[str, str] = {}
    if file.is_file():
        for line in file.read_text("utf-8").splitlines():
            try:
                test, outcome = json.loads(line)
            except ValueError:
                continue
            outcomes[test] = outcome
    return outcomes


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    done = read(FILE)
    old = [item for item in items if item.nodeid in done]
    if old:
        config.hook.pytest_deselected(items=old)
        items[:] = [item for item in items if item.nodeid not in done]


def pytest_runtest_logreport(report: Any) -> None:
    if IN_WORKER in os.environ:  # pytest-xdist passes the report on to the controller
        return
    if report.when == "call" or report.outcome != "passed":
        with FILE.open("a", encoding="utf-8") as file:
            print(json.dumps([report.nodeid, report.outcome]), file=file)
