"""The model that comes with the package predicts where no run is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from cifar import cli, datasets
from cifar.results import evaluate, exchange, shipped
from cifar.results.record import SavedRecord, decode
from cifar.training import train
from tests.cifar import tiny
from tests.cifar.datasets.files import saved
from tests.cifar.datasets.test_cifar10 import REAL
from tests.cifar.datasets.tiny_cifar10 import FOLDER


def test_pictures_alone_are_seen_by_the_shipped_model(tmp_path, monkeypatch, capsys):
    tiny.install(monkeypatch.setattr)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path / "weights")
    train.run(tiny.settings(tmp_path / "run", epochs=1))
    (tmp_path / "weights").mkdir()
    exchange.export(exchange.Export("run", "weights/tiny.safetensors", half=True))
    saved(tmp_path / "cat.png")
    capsys.readouterr()

    def call(words, code=0):
        assert cli.main(words.split()) == code
        return capsys.readouterr()

    alone = call("predict cat.png")
    assert "tiny.safetensors, which comes with cifar" in alone.err
    assert "cat.png" in alone.out
    Path("list.txt").write_text("cat.png")
    listed = call("predict --files-from list.txt")
    assert listed == alone
    assert call("predict", 2).err.startswith("error: files: no image to look at")
    Path("begun").mkdir()
    Path("begun/state.safetensors").touch()
    saved(tmp_path / "begun/curves.png")
    text = "error: run: no epoch of the run in begun is finished yet\n"
    assert call("predict begun", 2).err == text
    named = call("predict run cat.png")
    assert named.err == ""
    assert call("predict nothing cat.png", 2).err.startswith("error: run: nothing does not exist")
    (tmp_path / "weights/tiny.safetensors").unlink()
    call("predict cat.png", 2)
    assert "run: name one" in call("predict --files-from list.txt", 2).err


def test_half_the_size_and_nearly_the_same(tmp_path, monkeypatch):
    tiny.install(monkeypatch.setattr)
    train.run(tiny.settings(tmp_path / "run", epochs=1))
    out = str(tmp_path / "half.safetensors")
    exchange.export(exchange.Export(str(tmp_path / "run"), out, half=True))
    kinds = {value.dtype.name for value in mg.load(out).values()}
    assert kinds == {"float16", "int64"}
    full, half = (evaluate.load(path) for path in (tmp_path / "run", out))
    images = tiny.load("synthetic", "test").images
    ours, theirs = (evaluate.logits(model, images) for model in (full, half))
    np.testing.assert_allclose(theirs, ours, atol=0.02, rtol=0.01)


@pytest.fixture(scope="module")
def weights():
    (file,) = shipped.WEIGHTS.glob("*.safetensors")
    return file


def test_the_weights_are_small_and_of_the_run_on_record(weights):
    assert weights.stat().st_size < 1_000_000
    _, note = mg.checkpoint.read(weights)
    results = Path(__file__).parents[3] / "benchmarks" / "results"
    run = json.loads((results / f"{weights.stem}-cpu.json").read_text(encoding="utf-8"))["runs"][0]
    assert decode(note, SavedRecord) == decode(note | run["record"], SavedRecord)
    assert note["metrics"] == run["epochs"][-1]


@pytest.mark.skipif(REAL is None, reason=f"no {FOLDER} in $MINIGRAD_DATA or ~/.cache/minigrad")
def test_the_weights_know_the_test_images(weights):
    """As many of a part of them as of all: within three standard errors."""
    model = evaluate.load(weights)
    images = datasets.load("cifar10", "test", REAL, download=False)
    logits = evaluate.logits(model, images.images[:400])
    found = (logits.argmax(axis=1) == images.labels[:400]).mean()
    expected = mg.checkpoint.read(weights)[1]["metrics"]["test_accuracy"]
    assert abs(found - expected) < 3 * np.sqrt(expected * (1 - expected) / 400)
