"""All runs below a folder: their figures beside the studies' own, as rows and as one HTML page.

The page is one file: pictures are within it, nothing is fetched, and no script runs.
"""

from cifar.results.report.figures import HEADER, figure, rows
from cifar.results.report.page import page
from cifar.results.report.report import Settings, run
from cifar.results.report.runs import Group, Run, command, evaluation, find, group, per_class

__all__ = [
    "HEADER",
    "Group",
    "Run",
    "Settings",
    "command",
    "evaluation",
    "figure",
    "find",
    "group",
    "page",
    "per_class",
    "rows",
    "run",
]
