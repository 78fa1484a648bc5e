"""Reports about all runs below a folder, compared with the studies, as rows and as an HTML page.

The page is one file with embedded pictures and without scripts; it loads nothing.
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
