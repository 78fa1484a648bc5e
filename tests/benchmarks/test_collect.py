"""Finished runs over seeds become one file with mean and deviation; unlike runs are refused."""

from __future__ import annotations

import json
import shutil

import pytest

import minigrad as mg
from benchmarks import collect
from cifar.training import train
from tests.cifar import tiny


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        tiny.install(patch.setattr, pictures=False)
        for name, changes in {"a": {}, "b": {"seed": 1}, "c": {"lr": 0.5}}.items():
            train.run(tiny.settings(folder / name, **changes))
    return folder


def test_mean_and_deviation(runs):
    found = collect.gather([runs / "a", runs / "b"])
    row = found["final"]["test_accuracy"]
    first, second = row["runs"]
    assert row["mean"] == pytest.approx((first + second) / 2)
    assert row["std"] == pytest.approx(abs(first - second) / 2**0.5)
    assert found["seeds"] == [0, 1]
    assert len(found["runs"][0]["epochs"]) == tiny.EPOCHS
    assert found["study"] == tiny.RECIPE.claim
    assert len(found["recall"]) == 10
    for name, row in found["recall"].items():
        values = [run["per_class"][name]["recall"] for run in found["runs"]]
        assert row["runs"] == values
        assert row["mean"] == pytest.approx(sum(values) / 2)
    assert "test_tta_accuracy" not in found["final"]
    assert "confusion" not in found["runs"][0]
    assert sum(row["mean"] for row in found["recall"].values()) / 10 == pytest.approx(
        found["final"]["test_accuracy"]["mean"]
    )


def test_what_only_some_runs_have(runs, tmp_path):
    """Accuracy with test-time augmentation, and what evaluation found."""
    run = tmp_path / "a"
    shutil.copytree(runs / "a", run)
    weights, note = mg.checkpoint.read(run / "state.safetensors")
    note["progress"]["history"][-1]["test_tta_accuracy"] = 0.75
    mg.save(weights, run / "state.safetensors", note)
    (run / "evaluation-last-test").mkdir()
    text = json.dumps({"confusion": [[1, 2], [3, 4]]})
    (run / "evaluation-last-test" / "evaluation.json").write_text(text)
    found = collect.gather([run])
    assert found["final"]["test_tta_accuracy"]["runs"] == [0.75]
    assert found["runs"][0]["confusion"] == [[1, 2], [3, 4]]


def test_seeds_are_added_to_an_earlier_file(runs, tmp_path):
    earlier = tmp_path / "a.json"
    earlier.write_text(json.dumps(collect.gather([runs / "a"])))
    assert collect.gather([earlier, runs / "b"]) == collect.gather([runs / "a", runs / "b"])
    with pytest.raises(ValueError, match="the runs differ in recipe"):
        collect.gather([earlier, runs / "c"])


def test_unlike_runs_are_refused(runs):
    with pytest.raises(ValueError, match="the runs differ in recipe"):
        collect.gather([runs / "a", runs / "c"])


def test_an_unfinished_run_is_refused(runs, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        tiny.install(patch.setattr, pictures=False, each_batch=_stop_at_third)
        with pytest.raises(KeyboardInterrupt):
            train.run(tiny.settings(tmp_path))
    with pytest.raises(ValueError, match="0 of 2 epochs"):
        collect.gather([tmp_path])


def _stop_at_third(number, images):
    if number == 2:
        import signal

        signal.raise_signal(signal.SIGINT)
    return images
