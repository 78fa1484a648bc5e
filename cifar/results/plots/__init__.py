"""Pictures of a run, drawn with Matplotlib in colours that colour-blind readers can tell apart."""

from cifar.results.plots.classes import class_counts, confusion, recalls
from cifar.results.plots.comparison import comparison
from cifar.results.plots.figure import (
    BLUE,
    GREEN,
    ORANGE,
    VERMILION,
    beside,
    picture,
    short,
    write_out,
)
from cifar.results.plots.images import augmentations, mistakes, predictions
from cifar.results.plots.training import NO_COURSE, Course, Look, curves, looks, overlaid, shades

__all__ = [
    "BLUE",
    "GREEN",
    "NO_COURSE",
    "ORANGE",
    "VERMILION",
    "Course",
    "Look",
    "augmentations",
    "beside",
    "class_counts",
    "comparison",
    "confusion",
    "curves",
    "looks",
    "mistakes",
    "overlaid",
    "picture",
    "predictions",
    "recalls",
    "shades",
    "short",
    "write_out",
]
