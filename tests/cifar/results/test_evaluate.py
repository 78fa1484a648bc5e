"""Evaluation: the figures against slow definitions, and what a run's files may be."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import minigrad as mg
from cifar import cli, datasets, recipes
from cifar.errors import UserError
from cifar.results import evaluate, plots
from cifar.training import train
from tests.cifar import tiny
from tests.cifar.fuzz import mutated, taken_or_refused
from tests.common import refuses, unprivileged

# ---------------------------------------------------------------------------- figures


def slowly(logits, labels, classes):
    """The definitions, image by image and class by class: (loss, accuracy, rows, means)."""
    guesses = [max(range(len(row)), key=row.__getitem__) for row in logits.tolist()]
    n, loss = len(labels), 0.0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        top = max(row)
        loss -= row[label] - top - math.log(sum(math.exp(v - top) for v in row))
    rows = []
    for c in range(len(classes)):
        both = sum(g == c == y for g, y in zip(guesses, labels, strict=True))
        said, are = guesses.count(c), labels.tolist().count(c)
        precision = both / said if said else 0.0
        recall = both / are if are else 0.0
        f1 = 2 * precision * recall / (precision + recall) if both else 0.0
        rows.append((precision, recall, f1, are))
    macro = [sum(row[i] for row in rows) / len(rows) for i in range(3)]
    weighted = [sum(row[i] * row[3] for row in rows) / n for i in range(3)]
    accuracy = sum(g == y for g, y in zip(guesses, labels, strict=True)) / n
    return loss / n, accuracy, rows, macro, weighted


def scores(one):
    return one.precision, one.recall, one.f1, one.support


@given(st.integers(1, 30), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_figures_against_slow_definitions(n, c, seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (n, c)).astype(np.float32)
    labels = rng.integers(0, max(1, c - 1), n)  # so that some class has no image
    classes = tuple(f"class {i}" for i in range(c))
    found = evaluate.measure(logits, labels, classes)
    loss, accuracy, rows, macro, weighted = slowly(logits, labels, classes)
    assert found.loss == pytest.approx(loss)
    assert found.accuracy == pytest.approx(accuracy)
    assert list(found.per_class) == list(classes)
    for one, row in zip(found.per_class.values(), rows, strict=True):
        assert scores(one) == pytest.approx(row)
    assert scores(found.macro) == pytest.approx((*macro, n))
    assert scores(found.weighted) == pytest.approx((*weighted, n))
    confusion = np.zeros((c, c), int)
    np.add.at(confusion, (labels, logits.argmax(1)), 1)
    assert found.confusion == confusion.tolist()
    assert (found.images, found.l2_term) == (n, 0.0)


def test_figures_of_scikit_learns_own_example():
    """From the documentation of ``classification_report``, to the two decimals shown there."""
    logits = np.eye(3)[[0, 0, 2, 2, 1]]
    found = evaluate.measure(logits, np.array([0, 1, 2, 2, 2]), ("0", "1", "2"))
    table = [scores(one) for one in (*found.per_class.values(), found.macro, found.weighted)]
    assert [tuple(round(value, 2) for value in row) for row in table] == [
        (0.5, 1.0, 0.67, 1),
        (0.0, 0.0, 0.0, 1),
        (1.0, 0.67, 0.8, 3),
        (0.5, 0.56, 0.49, 5),
        (0.7, 0.6, 0.61, 5),
    ]
    assert found.accuracy == 0.6


def test_large_logits_do_not_overflow():
    found = evaluate.measure(np.array([[1e30, -1e30]], np.float32), np.array([1]), ("a", "b"))
    assert found.loss == pytest.approx(2e30)


# ---------------------------------------------------------------------------- a run


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A tiny run: its folder and its history."""
    out = tmp_path_factory.mktemp("evaluate") / "run"
    with pytest.MonkeyPatch.context() as patch:
        tiny.install(patch.setattr)
        return out, train.run(tiny.settings(out))


@pytest.fixture
def small(monkeypatch):
    tiny.install(monkeypatch.setattr)
    return monkeypatch


@pytest.fixture
def no_pictures(small):
    for name in ("confusion", "mistakes"):
        small.setattr(plots, name, lambda *_: None)
    return small


def settings(run, **options):
    return evaluate.Settings(str(run), device="cpu", progress=False, **options)


def test_a_run_gets_the_figures_it_claims(trained, no_pictures, tmp_path):
    out, history = trained
    best = max(history, key=lambda line: line.test_accuracy)
    for last, line in ((True, history[-1]), (False, best)):
        found, _ = evaluate.run(settings(out, last=last, out=str(tmp_path)))
        assert found.accuracy == pytest.approx(line.test_accuracy)
        assert found.loss == pytest.approx(line.test_loss, rel=1e-5)
    by_file, _ = evaluate.run(settings(out / "last.safetensors", out=str(tmp_path)))
    assert by_file == evaluate.run(settings(out, last=True, out=str(tmp_path)))[0]


@pytest.mark.parametrize(("validation", "picked"), [(0, "test"), (20, "validation")])
def test_an_epoch_that_was_picked_on_the_same_images_is_called_so(
    small, no_pictures, tmp_path, capsys, validation, picked
):
    out = tmp_path / "run"
    train.run(tiny.settings(out, validation=validation))
    for split in evaluate.SPLITS if validation else ("test", "train"):
        for last in (False, True):
            found, _ = evaluate.run(settings(out, split=split, last=last))
            assert found.picked is (split == picked and not last)
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes((out / "best.safetensors").read_bytes())
    capsys.readouterr()
    for split in ("train", picked):
        assert cli.main(["evaluate", str(copy), "--split", split]) == 0
    said = capsys.readouterr().out
    assert said.count("this epoch was picked by its accuracy on these images") == 1
    weights, note = mg.checkpoint.read(copy)  # of a version that did not note it
    del note["picked_on"]
    mg.save(weights, out / "best.safetensors", note)
    assert evaluate.run(settings(out, split=picked))[0].picked
    train.run(tiny.settings(tmp_path / "one", validation=validation, epochs=1))
    assert not evaluate.run(settings(tmp_path / "one", split=picked))[0].picked


def test_other_figures_are_told_from_the_runs(trained, no_pictures, tmp_path):
    """By their folder and by what is in it."""
    out, _ = trained
    for options, suffix in (({}, ""), ({"tta": True}, "-tta")):
        _, folder = evaluate.run(settings(out, last=True, **options))
        assert folder == out / f"evaluation-last-test{suffix}"
        written = json.loads((folder / "evaluation.json").read_text("utf-8"))
        assert written["tta"] is bool(suffix)
        assert written["own_images"] is True
        assert written["fingerprint"] == tiny.load("", "test").fingerprint
    model = evaluate.load(out)
    data, own = evaluate.labelled(model, "cifar10")
    assert not own
    assert not evaluate.write(model, data, tmp_path, own=own).picked
    assert json.loads((tmp_path / "evaluation.json").read_text("utf-8"))["own_images"] is False


def test_the_runs_folder_of_data_is_the_one(trained, no_pictures, tmp_path, monkeypatch):
    weights, note = mg.checkpoint.read(trained[0] / "last.safetensors")
    changed = note | {"dataset": "cifar10", "data_dir": "/data"}
    mg.save(weights, tmp_path / "x.safetensors", changed)
    asked = []
    no_pictures.setattr(datasets, "holds", lambda *_: True)
    no_pictures.setattr(datasets, "load", lambda *given: asked.append(given) or tiny.load(*given))
    evaluate.run(settings(tmp_path / "x.safetensors"))
    evaluate.run(settings(tmp_path / "x.safetensors", data_dir="mine"))
    evaluate.run(settings(tmp_path / "x.safetensors", dataset="synthetic"))
    assert [given[2] for given in asked] == ["/data", "mine", None]


def test_files(trained, small):
    out, _ = trained
    found, folder = evaluate.run(settings(out, split="train"))
    assert folder == out / "evaluation-best-train"
    assert sorted(p.name for p in folder.iterdir()) == [
        "confusion.png", "evaluation.json", "mistakes.png",
    ]  # fmt: skip
    for name in ("confusion.png", "mistakes.png"):
        with Image.open(folder / name) as picture:
            picture.load()
            assert min(picture.size) > 300
    written = json.loads((folder / "evaluation.json").read_text("utf-8"))
    assert (written["dataset"], written["split"]) == ("synthetic", "train")
    assert written["file"] == str(out / "best.safetensors")
    assert written["record"]["recipe"]["name"] == "tiny"
    assert (written["images"], written["accuracy"]) == (tiny.TRAIN, found.accuracy)
    assert written["confusion"] == found.confusion
    assert written["per_class"]["class 3"] == vars(found.per_class["class 3"])
    assert written["weighted"] == vars(found.weighted)


def test_the_splits_are_the_runs_own(small, no_pictures, tmp_path):
    changes = {"validation": 20, "long_tail": 0.2, "epochs": 1}
    line = train.run(tiny.settings(tmp_path / "run", **changes))[-1]
    _, note = mg.checkpoint.read(tmp_path / "run" / "last.safetensors")
    found = {}
    for split in evaluate.SPLITS:
        found[split], out = evaluate.run(settings(tmp_path / "run", split=split))
        assert out == tmp_path / "run" / f"evaluation-best-{split}"
        assert json.loads((out / "evaluation.json").read_text())["split"] == split
    for split in ("validation", "test"):
        assert found[split].accuracy == pytest.approx(getattr(line, f"{split}_accuracy"))
        assert found[split].loss == pytest.approx(getattr(line, f"{split}_loss"), rel=1e-5)
    support = [one.support for one in found["train"].per_class.values()]
    assert support == note["images_per_class"]
    assert found["validation"].images == 20


def test_splits_that_are_not_there(trained, no_pictures):
    out, _ = trained
    for split, text in (
        ("validation", "was trained with no images held out; choose test or train"),
        ("dev", "split: expected one of test, train, validation, got 'dev'"),
    ):
        refuses(UserError, text, lambda split=split: evaluate.run(settings(out, split=split)))


def test_the_l2_term_of_a_recipe_that_has_one(trained, no_pictures, tmp_path):
    out, _ = trained
    weights, note = mg.checkpoint.read(out / "last.safetensors")
    note["recipe"]["l2"] = 0.25
    mg.save(weights, tmp_path / "x.safetensors", note)
    found, folder = evaluate.run(settings(tmp_path / "x.safetensors"))
    assert folder == tmp_path / "evaluation-x-test"
    assert found.l2_term == pytest.approx(0.25 * (weights["0.weight"].numpy() ** 2).sum(), rel=1e-5)


def test_a_model_is_described(trained, small):
    record = evaluate.load(trained[0], last=True).record
    assert record.describe() == f"tiny, seed 0, epoch {tiny.EPOCHS}"


def test_logits_do_not_depend_on_batches(trained, small, monkeypatch):
    one = evaluate.load(trained[0])
    images = tiny.load("", "test").images
    whole = evaluate.logits(one, images)
    monkeypatch.setattr(evaluate, "EVALUATION_BATCH", 7)
    np.testing.assert_allclose(evaluate.logits(one, images), whole, rtol=1e-4, atol=1e-5)
    assert not one.model.training


# ---------------------------------------------------------------------------- mistakes


def test_runs_that_are_not_there(trained, tmp_path):
    (tmp_path / "text").write_text("x")
    state = trained[0] / "state.safetensors"
    for run, text in (
        (tmp_path / "nowhere", "nowhere does not exist"),
        (tmp_path, "run: no best.safetensors in the folder"),
        (tmp_path / "text", "text is not a whole file of tensors"),
        (state, "is not a model that training wrote: it names no recipe"),
    ):
        refuses(UserError, text, lambda run=run: evaluate.load(run))
    with unprivileged() as folder:
        (folder / "best.safetensors").touch(0)
        for run in (folder, folder / "best.safetensors"):
            text = f"run: cannot read {folder}/best.safetensors: Permission denied"
            refuses(UserError, text, lambda run=run: evaluate.load(run))
        folder.chmod(0)
        text = f"run: cannot read {folder}/x: Permission denied"
        refuses(UserError, text, lambda: evaluate.load(folder / "x"))
    refuses(UserError, "run: no last.safetensors", lambda: evaluate.find(tmp_path, last=True))
    refuses(UserError, "last: chooses within", lambda: evaluate.find(state, last=True))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"classes": None}, "classes: Expected `array`, got `null`"),
        ({"classes": ["a", "a"]}, "classes ('a', 'a')"),
        ({"classes": [1, 2]}, "classes[0]: Expected `str`, got `int`"),
        ({"classes": []}, "classes ()"),
        ({"recipe": None}, "recipe: Expected `object`, got `null`"),
        ({"recipe": {"mean": [0, 0]}}, "recipe.mean: Expected `array` of length 3, got 2"),
        ({"recipe": {"mean": [0, 0, "0"]}}, "recipe.mean[2]: Expected `float`, got `str`"),
        ({"recipe": {"std": [1, 1, 0]}}, "std: expected numbers above 0"),
        ({"recipe": {"model": 3}}, "recipe.model: Expected `str`, got `int`"),
        ({"recipe": {"validation": "x"}}, "recipe.validation: Expected `int`, got `str`"),
        ({"recipe": {"optimizer": "x"}}, "optimizer and schedule of tiny: "),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_records_that_are_damaged(small, tmp_path, changes, text):
    recipe = recipes.plain(tiny.RECIPE)
    note = {"recipe": recipe, "dataset": "synthetic", "classes": ["a", "b"]} | changes
    if note["recipe"]:
        note["recipe"] = recipe | note["recipe"]
    path = tmp_path / "x.safetensors"
    mg.save(tiny.create("tiny", 2, 0).state_dict(), path, note)
    refuses(UserError, text, lambda: evaluate.load(path))


def test_models_that_do_not_fit(trained, small, tmp_path):
    weights, note = mg.checkpoint.read(trained[0] / "last.safetensors")
    path = tmp_path / "x.safetensors"
    mg.save({k: v for k, v in weights.items() if k != "0.bias"}, path, note)
    refuses(UserError, "does not hold the model 'tiny'", lambda: evaluate.load(path))
    small.undo()
    refuses(UserError, "model: expected one of ", lambda: evaluate.load(trained[0]))


def test_what_cannot_be_evaluated(trained, small, tmp_path):
    out, _ = trained
    (tmp_path / "file").write_text("")
    weights, note = mg.checkpoint.read(out / "last.safetensors")
    other = tmp_path / "x.safetensors"
    mg.save(weights, other, note | {"classes": [f"other {i}" for i in range(10)]})
    for asked, text in (
        (settings(other), "choose the --dataset that it was trained on"),
        (settings(out, out=str(tmp_path / "file" / "x")), "out: cannot make the folder"),
    ):
        refuses(UserError, text, lambda asked=asked: evaluate.run(asked))
    refuses(UserError, "device: expected", lambda: evaluate.load(out, "tpu"))


@given(st.data())
def test_whatever_the_metadata_hold_is_loaded_or_refused(trained, data):
    tensors, record = mg.checkpoint.read(trained[0] / "last.safetensors")
    file = trained[0].parent / "fuzzed.safetensors"
    mg.save(tensors, file, data.draw(mutated(record)))
    with pytest.MonkeyPatch.context() as patch:
        tiny.install(patch.setattr)
        taken_or_refused(lambda: evaluate.load(file))
