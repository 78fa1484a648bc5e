"""What several of these tests use."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ET
from pathlib import Path

from cifar import recipes
from cifar.results import report
from cifar.results.metrics import EpochMetrics
from cifar.results.record import Record, decode
from tests.cifar import tiny

PIXEL = b"\x89PNG\r\n\x1a\n"

CLASSES = ["cat", "owl"]


def run(seed=0, accuracy=0.5, name="study", dataset="cifar10", recipe=None, **changes):
    """A run that was never trained."""
    claim = {"test_accuracy": 0.6, "test_loss": 1}
    stored = recipes.plain(tiny.RECIPE) | {"name": name, "epochs": 2, "lr": 0.1, "claim": claim}
    note = {"recipe": stored | (recipe or {}), "seed": seed, "dataset": dataset, "classes": CLASSES}
    lines = [
        {"epoch": e, "train_loss": 2.0, "train_accuracy": 0.4, "test_loss": 1.5,
         "test_accuracy": accuracy * e / 2, "seconds": 30.0, "peak_memory_mb": 100.0 + seed,
         "images_per_second": 10.0}
        for e in (1, 2)
    ]  # fmt: skip
    record, history = decode(note | changes, Record), decode(lines, list[EpochMetrics])
    return report.Run(Path("x"), record, history, "a machine")


def elements(page):
    """The page's elements; it is well-formed XML, so nothing is left open or unescaped."""
    assert page.startswith("<!DOCTYPE html>\n")
    return list(ET.fromstring(page.removeprefix("<!DOCTYPE html>\n")).iter())


def headings(page):
    return [e.text for e in elements(page) if e.tag == "h2"]


def cells(page, number):
    table = [e for e in elements(page) if e.tag == "table"][number]
    return [[c.text for c in row] for row in table.iter("tr")]


def known(seed, name, cat, owl, long_tail=0.5, counts=(4, 2)):
    """A run on ``counts`` images that recognises so many cats and owls."""
    one = run(seed, name=name, images_per_class=list(counts), recipe={"long_tail": long_tail})
    return dataclasses.replace(one, recalls={"cat": cat, "owl": owl})
