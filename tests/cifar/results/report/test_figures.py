"""The runs' figures beside the studies'."""

from __future__ import annotations

import dataclasses
import statistics

import pytest

from cifar import recipes
from cifar.results import report
from cifar.results.metrics import EpochMetrics
from tests.cifar.results.report.common import run


def test_rows():
    (one,) = report.group([run(2, 0.625), run(0, 0.5), run(1, 0.55)])
    mean, std = statistics.mean([0.625, 0.5, 0.55]), statistics.stdev([0.625, 0.5, 0.55])
    first, second = report.rows([one])
    assert first == (
        "study", 3, "2", "test accuracy", "60.00 %", f"{100 * mean:.2f} %",
        f"{100 * std:.2f} points", "-4.17 points", "1.0", 102,
    )  # fmt: skip
    assert second[3:8] == ("test loss", "1.0000", "1.5000", "0.0000", "+0.5000")
    assert len(first) == len(report.HEADER)
    assert [r.record.seed for r in one.runs] == [0, 1, 2]


def test_one_run_has_no_deviation_and_synthetic_data_no_study():
    (row,) = report.rows(report.group([run(dataset="synthetic")]))
    assert row[0] == "study (on synthetic)"
    assert row[4:8] == (None, "50.00 %", None, None)


def test_unfinished_runs_say_so():
    half = run()
    half.history.pop()
    assert report.rows(report.group([half]))[0][2] == "1 of 2"


def test_runs_that_are_not_finished_are_not_averaged_with_those_that_are():
    begun = run(2, 0.1)
    begun.history.pop()
    (one,) = report.group([run(0, 0.5), begun, run(1, 0.6)])
    row = report.rows([one])[0]
    assert (row[1], row[2], row[5], row[6]) == ("2 of 3", "2", "55.00 %", "7.07 points")


def test_missing_figures_are_missing():
    bare = run()
    bare.history[:] = [EpochMetrics(2)]
    assert report.rows(report.group([bare]))[0][3:8] == (
        "test accuracy", "60.00 %", None, None, None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("epochs", "study", "apart"),
    [
        (1, "50.60 % at epoch 1", "-0.60 points"),
        (2, "94.60 % in the end", None),
        (200, "94.60 %", "-44.60 points"),
    ],
)
def test_a_run_cut_short_is_held_against_the_studys_way(epochs, study, apart):
    recipe = recipes.plain(recipes.load("resnet-82")) | {"epochs": epochs}
    one = run(recipe=recipe)
    one.history[:] = [dataclasses.replace(one.history[-1], epoch=epochs, test_accuracy=0.5)]
    _, row = report.rows(report.group([one]))
    found = dict(zip(report.HEADER, row, strict=True))
    assert (found["figure"], found["study"]) == ("test accuracy", study)
    assert found["difference"] == apart
