"""The training loop: what it writes, what it repeats bit for bit, and what it refuses."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
import os
import re
import signal
import subprocess
import time
from concurrent import futures

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import minigrad as mg
from cifar import cli, datasets, models
from cifar.datasets import augment
from cifar.errors import DataError, UserError
from cifar.results import plots
from cifar.training import train
from minigrad import nn
from tests.cifar import tiny
from tests.cifar.datasets import tiny_cifar10
from tests.common import refuses

FILES = ["metrics.jsonl", *(f"{n}.safetensors" for n in ("best", "last", "state", "state-before"))]
LOAD = datasets.load


@pytest.fixture
def small(monkeypatch):
    """The tiny recipe, model and data; call it again to change what happens to each batch."""

    def install(**options):
        monkeypatch.undo()
        tiny.install(monkeypatch.setattr, **options)
        return monkeypatch

    install()
    return install


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run, its pictures included: its folder and its history."""
    out = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        tiny.install(patch.setattr, pictures=True)
        return out, train.run(tiny.settings(out))


def counted(accuracy):
    """What ten images of each of ten classes, so often recognised, are taken for."""
    hits = round(10 * accuracy)
    return np.eye(10, dtype=int) * hits + np.roll(np.eye(10, dtype=int), 1) * (10 - hits)


def send(signals, at):
    """An ``each_batch`` that sends ``signals`` to this process at batch ``at``."""

    def each_batch(number, images):
        for s in signals if number == at else ():
            os.kill(os.getpid(), s)
        return images

    return each_batch


# ---------------------------------------------------------------------------- what a run leaves


def test_files(whole):
    out, _ = whole
    assert sorted(os.listdir(out)) == sorted([*FILES, "curves.png", "predictions.png"])
    for name in ("curves.png", "predictions.png"):
        with Image.open(out / name) as picture:
            picture.load()
            assert picture.format == "PNG"
            assert min(picture.size) > 300
            assert len(np.unique(np.asarray(picture.convert("L")))) > 50


def test_metrics(whole):
    out, history = whole
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert lines == history
    assert [line["epoch"] for line in lines] == [1, 2]
    assert lines[1]["train_loss"] < lines[0]["train_loss"]
    assert lines[1]["test_loss"] < lines[0]["test_loss"] < np.log(10)  # chance
    for line in lines:
        assert line["lr"] == tiny.RECIPE.lr
        assert line["seconds"] > 0
        assert line["images_per_second"] > 0
        assert line["peak_memory_mb"] > 10
        assert "gpu_memory_mb" not in line  # of a run on the CPU


def test_metadata(whole):
    out, history = whole
    best = max(history, key=lambda line: line["test_accuracy"])
    for name, line in (("last", history[-1]), ("best", best)):
        _, note = mg.checkpoint.read(out / f"{name}.safetensors")
        assert note["recipe"]["name"] == "tiny"
        assert note["recipe"]["lr"] == 1e-2
        assert note["seed"] == 0
        assert note["metrics"] == line
        assert note["best_epoch"] == best["epoch"]
        assert note["versions"]["minigrad"] == mg.__version__
        assert note["versions"]["numpy"] == np.__version__
        assert note["dataset"] == "synthetic"
        assert note["data_fingerprint"] == tiny.load("", "train").fingerprint
        assert note["classes"] == list(tiny.load("", "train").classes)
        assert note["parameters"] == 4 * 27 + 4 + 8 + 1010
        assert (note["device"], note["threads"]) == ("cpu", mg.get_num_threads())


def test_the_saved_model_has_the_metrics_it_claims(whole):
    out, history = whole
    model = tiny.create("tiny", 10, seed=5)
    model.load_state_dict(mg.load(out / "last.safetensors"))
    data = tiny.load("", "test")
    scale = (data.images / 255 - 0.5) / 0.25
    with mg.no_grad():
        logits = model.eval()(mg.tensor(scale.astype(np.float32)))
        loss = mg.functional.cross_entropy(logits, mg.tensor(data.labels)).item()
    assert history[-1]["test_loss"] == pytest.approx(loss, rel=1e-4)
    accuracy = (logits.numpy().argmax(1) == data.labels).mean()
    assert history[-1]["test_accuracy"] == pytest.approx(accuracy)


def test_evaluate_weighs_images_not_batches(monkeypatch):
    model = tiny.create("tiny", 10, seed=1)
    data = tiny.load("", "test")
    arrays = mg.tensor(data.images, dtype="float32"), mg.tensor(data.labels)
    uneven, one = (mg.data.DataLoader(*arrays, size) for size in (7, 30))
    (loss, counts), (expected, all_counts) = (
        train.evaluate(model, uneven),
        train.evaluate(model, one),
    )
    assert loss == pytest.approx(expected, rel=1e-5)
    np.testing.assert_array_equal(counts, all_counts)
    assert not model.training


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1))
def test_confusion_counts_pairs(pairs):
    guesses, labels = np.array(pairs).T
    expected = np.zeros((4, 4), int)
    for guess, label in pairs:
        expected[label, guess] += 1
    np.testing.assert_array_equal(train.confusion(guesses, labels, 4), expected)


def test_the_weights_note_recall_by_class(whole, small, tmp_path):
    out, _ = whole
    data = tiny.load("", "test")
    for name in ("last", "best"):
        weights, note = mg.checkpoint.read(out / f"{name}.safetensors")
        model = tiny.create("tiny", 10, seed=5)
        model.load_state_dict(weights)
        with mg.no_grad():
            scale = (data.images / 255 - 0.5) / 0.25
            guesses = model.eval()(mg.tensor(scale.astype(np.float32))).numpy().argmax(1)
        for c, label in enumerate(data.classes):
            recall = (guesses[data.labels == c] == c).mean()
            assert note["per_class"][label] == {"recall": pytest.approx(recall), "support": 3}
        accuracy = np.mean([one["recall"] for one in note["per_class"].values()])
        assert accuracy == pytest.approx(note["metrics"]["test_accuracy"])
    # Of held-out images no epoch before the last knows the test set.
    train.run(tiny.settings(tmp_path, **WAYS["held out"], epochs=1))
    assert "per_class" in mg.checkpoint.read(tmp_path / "last.safetensors")[1]
    train.run(tiny.settings(tmp_path, **WAYS["held out"], epochs=3, resume=True, lr=1e-2))
    _, best = mg.checkpoint.read(tmp_path / "best.safetensors")
    assert ("per_class" in best) is (best["metrics"]["epoch"] in (1, 3))


def test_same_seed_same_bits_other_seed_others(whole, small, tmp_path):
    out, _ = whole
    train.run(tiny.settings(tmp_path / "again"))
    train.run(tiny.settings(tmp_path / "other", seed=1))
    assert tiny.results(tmp_path / "again") == tiny.results(out)
    other = tiny.results(tmp_path / "other")
    assert other["last/0.weight"] != tiny.results(out)["last/0.weight"]


@pytest.mark.parametrize("threads", [1, 2])
def test_bits_do_not_depend_on_chance_in_threads(small, tmp_path, threads):
    before = mg.get_num_threads()
    mg.set_num_threads(threads)
    try:
        for name in ("a", "b"):
            train.run(tiny.settings(tmp_path / name, epochs=1))
    finally:
        mg.set_num_threads(before)
    assert tiny.results(tmp_path / "a") == tiny.results(tmp_path / "b")


def test_a_thread_trains_like_the_main_one(whole, small, tmp_path):
    """Only the main thread can handle signals."""
    with futures.ThreadPoolExecutor(1) as pool:
        pool.submit(train.run, tiny.settings(tmp_path / "run")).result()
    assert tiny.results(tmp_path / "run") == tiny.results(whole[0])


def test_losses_may_be_read_later(whole, small, tmp_path):
    """Those of many steps at once, as on a GPU; here, but for the first epoch's, only at its end
    and where it is left."""
    patch, read = small(each_batch=send([signal.SIGINT], tiny.STEPS + 2)), []
    take = train.Tally.read
    patch.setattr(train.Tally, "read", lambda self: read.append(take(self)) or read[-1])
    patch.setitem(train.READ_EVERY, "cpu", np.inf)
    settings = tiny.settings(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        train.run(settings)
    train.run(dataclasses.replace(settings, resume=True))
    assert tiny.results(tmp_path / "run") == tiny.results(whole[0])
    found = [[number for number, *_ in steps] for steps in read if steps]
    assert found == [[1], [2], [3], [4], [5], [1, 2, 3], [4, 5]]


def test_a_loss_that_is_read_later_tells_its_step(small, tmp_path):
    small(each_batch=spoil).setitem(train.READ_EVERY, "cpu", np.inf)
    with pytest.raises(UserError, match="loss: became nan at epoch 2, step 2;"):
        train.run(tiny.settings(tmp_path / "run"))


def test_evaluation_takes_no_more_images_than_fit(small, tmp_path):
    for batch, expected in ((2, 32), (100, 100), (1000, 250)):
        settings = tiny.settings(tmp_path, batch_size=batch)
        recipe = train.checked_recipe(settings)
        _, this = train.prepare(settings, recipe, mg.device("cpu"), tmp_path)
        assert this.train.batch_size == batch
        assert this.held.batch_size == this.test.batch_size == expected


@pytest.mark.parametrize(
    ("changes", "batch"), [({"batch_size": 79}, 79), ({"batch_size": 1}, 1), (
        {"batch_size": 16, "validation": 15}, 16)]
)  # fmt: skip
def test_a_batch_of_one_is_refused_before_training_where_it_cannot_be(
    small, tmp_path, changes, batch
):
    """Batch norm of vectors, or of one pixel, has no variance over a single image."""
    settings = tiny.settings(tmp_path / "run", epochs=1, **changes)
    train.run(settings)  # batch norm of planes has
    norm, create = nn.BatchNorm1d(10), tiny.create
    small().setattr(models, "create", lambda *given: nn.Sequential(*create(*given), norm))
    images = 80 - changes.get("validation", 0)
    text = f"batch_size: {batch} of {images} training images leaves a batch of one, on which tiny"
    settings = dataclasses.replace(settings, out=str(tmp_path / "refused"))
    refuses(UserError, text, lambda: train.run(settings))
    assert os.listdir(tmp_path) == ["run"]


def test_overrides_replace_the_recipes_values(small, tmp_path):
    history = train.run(tiny.settings(tmp_path / "run", epochs=1, lr=0.5, batch_size=40))
    assert [line["lr"] for line in history] == [0.5]
    _, note = mg.checkpoint.read(tmp_path / "run" / "last.safetensors")
    assert note["overrides"] == {"epochs": 1, "lr": 0.5, "batch_size": 40}
    assert note["recipe"]["batch_size"] == 40


def test_best_is_the_first_of_the_best(small, tmp_path, monkeypatch):
    accuracies = iter([0.5, 0.7, 0.7, 0.6])
    monkeypatch.setattr(train, "evaluate", lambda *_: (1.0, counted(next(accuracies))))
    train.run(tiny.settings(tmp_path, epochs=4))
    _, best = mg.checkpoint.read(tmp_path / "best.safetensors")
    _, last = mg.checkpoint.read(tmp_path / "last.safetensors")
    assert best["metrics"]["epoch"] == last["best_epoch"] == 2
    assert last["metrics"]["epoch"] == 4


def test_progress_bar(small, tmp_path, capsys):
    settings = train.Settings("tiny", "cpu", out=str(tmp_path / "run"), progress=True)
    train.run(settings)
    captured = capsys.readouterr()
    for part in ("epoch 1/2", "loss=", "acc=", "img/s", f"{tiny.TRAIN}/{tiny.TRAIN}"):
        assert part in captured.err
    assert "epoch 2: train loss" in captured.out


# ---------------------------------------------------------------------------- its curves


def count_epochs(patch):
    """A list of how many epochs each picture of curves shows."""
    found = []
    patch.setattr(plots, "curves", lambda history, *_: found.append(len(history)))
    return found


@pytest.mark.parametrize(("every", "expected"), [(0.0, [1, 2, 3, 3]), (1e9, [1, 3])])
def test_curves_are_drawn_as_a_run_goes_on(small, tmp_path, every, expected):
    patch = small()
    drawn = count_epochs(patch)
    patch.setattr(train, "DRAW_EVERY", every)
    train.run(tiny.settings(tmp_path, epochs=3, validation=20))  # the test set is read last
    assert drawn == expected


@pytest.mark.parametrize(("at", "expected"), [(0, []), (2 * tiny.STEPS, [1, 2])])
def test_curves_are_drawn_when_a_run_is_stopped(small, tmp_path, at, expected):
    patch = small(each_batch=send([signal.SIGINT], at))
    drawn = count_epochs(patch)
    patch.setattr(train, "DRAW_EVERY", 1e9)
    with pytest.raises(KeyboardInterrupt):
        train.run(tiny.settings(tmp_path, epochs=3))
    assert drawn == expected


def test_a_picture_that_cannot_be_drawn_costs_no_run(whole, small, tmp_path, capsys):
    def fail(*_):
        raise RuntimeError("no such font")

    patch = small()
    for name in ("curves", "predictions"):
        patch.setattr(plots, name, fail)
    assert len(train.run(tiny.settings(tmp_path))) == 2
    err = capsys.readouterr().err
    for name in ("curves", "predictions"):
        assert f"note: {tmp_path / name}.png could not be drawn: no such font\n" in err
    assert tiny.results(tmp_path) == tiny.results(whole[0])


# ---------------------------------------------------------------------------- stop and resume


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("at", [0, 2, tiny.STEPS - 1, tiny.STEPS, 2 * tiny.STEPS - 1])
def test_interrupted_and_resumed_is_uninterrupted(whole, small, tmp_path, capsys, at, number):
    out, history = whole
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    small(each_batch=send([number], at))
    with pytest.raises(KeyboardInterrupt):
        train.run(tiny.settings(tmp_path))
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    epoch, step = divmod(at, tiny.STEPS)
    stopped = f"stopped at epoch {epoch + 1}, step {step + 1}; continue with: cifar train --resume"
    assert stopped in capsys.readouterr().err
    small()
    resumed = train.run(tiny.settings(tmp_path, resume=True))
    assert len(resumed) == len(history)
    assert tiny.results(tmp_path) == tiny.results(out)


def test_interrupted_twice(whole, small, tmp_path):
    out, _ = whole
    for at, resume in ((1, False), (3, True)):
        small(each_batch=send([signal.SIGINT], at))
        with pytest.raises(KeyboardInterrupt):
            train.run(tiny.settings(tmp_path, resume=resume))
    small()
    train.run(tiny.settings(tmp_path, resume=True))
    assert tiny.results(tmp_path) == tiny.results(out)


def test_a_second_signal_stops_at_once(small, tmp_path):
    small(each_batch=send([signal.SIGINT, signal.SIGINT], 3))
    with pytest.raises(KeyboardInterrupt):
        train.run(tiny.settings(tmp_path / "run"))
    assert os.listdir(tmp_path) == []


def test_resuming_a_finished_run_with_more_epochs(whole, small, tmp_path):
    train.run(tiny.settings(tmp_path / "a", epochs=3))
    train.run(tiny.settings(tmp_path / "b", epochs=1))
    assert len(train.run(tiny.settings(tmp_path / "b", resume=True, epochs=3))) == 3
    assert tiny.results(tmp_path / "a") == tiny.results(tmp_path / "b")
    text = f"epochs: expected the 3 of the run in {tmp_path / 'b'}, or more, got 1"
    settings = tiny.settings(tmp_path / "b", resume=True, epochs=1)
    refuses(UserError, text, lambda: train.run(settings))


WAYS = {
    "momentum": {"optimizer": "SGD", "optimizer_options": {"momentum": 0.9}},
    "RMSprop": {"optimizer": "RMSprop", "optimizer_options": {}},
    "AdamW": {"optimizer": "AdamW", "optimizer_options": {}},
    "cosine": {"schedule": "CosineAnnealingLR", "schedule_options": {"T_max": 3}},
    "plateau": {"schedule": "ReduceLROnPlateau", "schedule_options": {"threshold": 0.9}},
    "restart": {"restarts": ((1, 1e-3),)},
    "penalty": {"l2": 1e-2},
    "held out": {"validation": 20},
    "long tail": {"long_tail": 0.2, "loss": "focal_loss", "gamma": 1.0, "class_balance": 0.99},
}


@pytest.mark.parametrize("changes", WAYS.values(), ids=WAYS)
def test_every_way_of_training_resumes(small, tmp_path, changes):
    train.run(tiny.settings(tmp_path / "whole", **changes))
    small(each_batch=send([signal.SIGINT], 3))
    with pytest.raises(KeyboardInterrupt):
        train.run(tiny.settings(tmp_path / "parts", **changes))
    small()
    train.run(tiny.settings(tmp_path / "parts", resume=True, **changes))
    assert tiny.results(tmp_path / "parts") == tiny.results(tmp_path / "whole")


def test_resuming_on_other_threads_is_said(small, tmp_path, capsys):
    threads = mg.get_num_threads()
    train.run(tiny.settings(tmp_path, epochs=1))
    train.run(tiny.settings(tmp_path, epochs=2, resume=True))
    assert capsys.readouterr().err == ""
    mg.set_num_threads(threads + 1)
    train.run(tiny.settings(tmp_path, epochs=3, resume=True))
    said = f"note: the run was started with threads {threads}, not {threads + 1}: it goes on"
    assert capsys.readouterr().err.startswith(said)


def test_a_schedule_sets_the_rate(small, tmp_path):
    history = train.run(tiny.settings(tmp_path, epochs=3, **WAYS["cosine"]))
    assert [line["lr"] for line in history] == pytest.approx([1e-2, 7.5e-3, 2.5e-3])


def test_a_plateau_lowers_the_rate(small, tmp_path):
    options = {"patience": 0, "threshold": 0.99, "factor": 0.5}
    changes = {"schedule": "ReduceLROnPlateau", "schedule_options": options}
    history = train.run(tiny.settings(tmp_path, epochs=3, **changes))
    assert [line["lr"] for line in history] == [1e-2, 1e-2, 5e-3]


def test_a_restart_forgets_moments(small, tmp_path):
    history = train.run(tiny.settings(tmp_path, epochs=3, **WAYS["restart"]))
    assert [line["lr"] for line in history] == [1e-2, 1e-3, 1e-3]
    _, note = mg.checkpoint.read(tmp_path / "state.safetensors")
    assert set(note["optimizer"]["steps"].values()) == {2 * tiny.STEPS}


def test_the_penalty_is_in_every_loss(small, tmp_path):
    plain = train.run(tiny.settings(tmp_path / "plain", epochs=1, lr=1e-9))
    heavy = train.run(tiny.settings(tmp_path / "heavy", epochs=1, lr=1e-9, l2=10.0))
    weights = mg.load(tmp_path / "heavy" / "last.safetensors")
    term = 10 * sum(float((w * w).sum()) for w in weights.values() if w.shape[2:] == (3, 3))
    assert term > 1
    for part in ("train_loss", "test_loss"):
        assert heavy[0][part] - plain[0][part] == pytest.approx(term, rel=1e-3)


def test_held_out_images_take_the_place_of_the_test_set(small, tmp_path, capsys):
    history = train.run(tiny.settings(tmp_path, **WAYS["held out"]))
    assert all("validation_accuracy" in line for line in history)
    assert ["test_accuracy" in line for line in history] == [False, True]
    assert "60 training, 20 validation and 30 test images" in capsys.readouterr().out
    best = max(history, key=lambda line: line["validation_accuracy"])
    assert mg.checkpoint.read(tmp_path / "best.safetensors")[1]["metrics"] == best


def test_a_long_tail_is_counted_and_drawn(small, tmp_path, capsys):
    drawn = []
    small().setattr(plots, "class_counts", lambda *given: drawn.append(given))
    train.run(tiny.settings(tmp_path / "long", epochs=1, **WAYS["long tail"]))
    assert "images per class: 8, 6, 5, 4, 3, 3, 2, 2, 1, 1" in capsys.readouterr().out
    counts = [8, 6, 5, 4, 3, 3, 2, 2, 1, 1]
    classes = tiny.load("", "train").classes
    path = tmp_path / "long" / "classes.png"
    assert drawn == [(dict(zip(classes, counts, strict=True)), "tiny on synthetic", path)]
    _, note = mg.checkpoint.read(tmp_path / "long" / "last.safetensors")
    assert note["images_per_class"] == counts
    train.run(tiny.settings(tmp_path / "level", epochs=1))
    assert len(drawn) == 1
    _, note = mg.checkpoint.read(tmp_path / "level" / "last.safetensors")
    assert note["images_per_class"] == [8] * 10


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"loss": "hinge"}, "loss: expected one of cross_entropy, focal_loss, got hinge"),
        ({"gamma": -1.0}, "gamma: expected a finite number from 0, got -1.0"),
        ({"class_balance": 2.0}, "class_balance: expected a number from 0, less than 1, got 2.0"),
        ({"std": (1, 0, 1)}, "std: expected numbers above 0 and at most 1, since pixels are from"),
        ({"std": (0.2, 63, 1)}, "got (0.2, 63, 1)"),
        ({"mean": (125, 0, 0)}, "mean: expected numbers from 0 to 1, since pixels are, got (125,"),
        ({"mean": (float("nan"), 0, 0)}, "mean: expected numbers from 0 to 1"),
        ({"gamma": 2.0}, "gamma: has no effect with loss=cross_entropy, only with focal_loss"),
        ({"optimizer": "Foo"}, "optimizer and schedule of tiny: "),
        ({"optimizer_options": {"foo": 1}}, "optimizer and schedule of tiny: "),
        ({"schedule": "Foo"}, "optimizer and schedule of tiny: "),
        ({"schedule": "StepLR"}, "optimizer and schedule of tiny: "),
    ],
)
def test_recipes_that_cannot_be_run(small, tmp_path, changes, text):
    refuses(UserError, text, lambda: train.run(tiny.settings(tmp_path / "run", **changes)))
    assert os.listdir(tmp_path) == []


def test_a_tail_that_leaves_a_class_without_images(small, tmp_path):
    settings = tiny.settings(tmp_path / "run", long_tail=1e-4, class_balance=0.99)
    refuses(UserError, "class_balance: counts: expected at least", lambda: train.run(settings))
    assert os.listdir(tmp_path) == []


def test_an_override_is_recorded_in_plain_values(small, tmp_path):
    changes = {"augmentation": augment.Augmentation(crop=2), "epochs": 1}
    train.run(tiny.settings(tmp_path, **changes))
    record = mg.checkpoint.read(tmp_path / "last.safetensors")[1]
    assert record["overrides"]["augmentation"]["crop"] == 2


def test_resume_refuses_another_run(small, tmp_path):
    train.run(tiny.settings(tmp_path, epochs=1))
    before = tiny.results(tmp_path)
    for changes, text in (
        ({"lr": 0.5}, "has lr 0.01, not 0.5"),
        ({"batch_size": 8, "seed": 3}, "has batch_size 16, not 8; seed 0, not 3"),
        ({"gamma": 3.0}, "has gamma 0.0, not 3.0"),
    ):
        refuses(
            UserError,
            text,
            lambda changes=changes: train.run(tiny.settings(tmp_path, resume=True, **changes)),
        )
    small().setattr(datasets, "load", lambda *args: tiny.load(*args, shift=1))
    refuses(UserError, "data_fingerprint", lambda: train.run(tiny.settings(tmp_path, resume=True)))
    assert tiny.results(tmp_path) == before


def rewritten(path, **changes):
    """The state in the file, with other metadata."""
    tensors, note = mg.checkpoint.read(path)
    mg.save(tensors, path, {**note, **changes})


DAMAGES = {
    "truncated": (lambda p: p.write_bytes(p.read_bytes()[:-1]), "is not a whole safetensors file"),
    "foreign": (lambda p: mg.save({"a": mg.zeros(1)}, p), "is not the state of a run"),
    "flipped": (lambda p: p.write_bytes(p.read_bytes()[:-1] + b"?"), "is damaged: its SHA-256"),
    "newer": (
        lambda p: rewritten(p, schema=train.SCHEMA + 1),
        f"is of a newer minigrad (schema {train.SCHEMA + 1}, expected {train.SCHEMA})",
    ),
    "older": (lambda p: rewritten(p, schema=1), "is of an older minigrad (schema 1"),
    "of no run": (lambda p: rewritten(p, progress=[]), "is not the state of a run"),
}


@pytest.mark.parametrize(("damage", "text"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_state_is_refused_and_the_one_before_it_offered(
    whole, small, tmp_path, monkeypatch, damage, text
):
    monkeypatch.chdir(tmp_path)
    train.run(tiny.settings("my run"))
    damage(tmp_path / "my run" / "state.safetensors")
    with pytest.raises(UserError, match=r"resume: my run/state.safetensors ") as caught:
        train.run(tiny.settings("my run", resume=True))
    assert text in str(caught.value)
    found = re.search(r"\(1 epochs, 0 steps done\) is whole: run (.+), then", str(caught.value))
    subprocess.run(found[1], shell=True, check=True)
    train.run(tiny.settings("my run", resume=True))
    assert tiny.results(tmp_path / "my run") == tiny.results(whole[0])


def test_nothing_is_offered_where_nothing_is_whole(small, tmp_path):
    train.run(tiny.settings(tmp_path, epochs=1))
    for name in ("state", "state-before"):
        (tmp_path / f"{name}.safetensors").write_bytes(b"")
    text = "is not a whole file of tensors: neither safetensors nor PyTorch's; start again"
    refuses(UserError, text, lambda: train.run(tiny.settings(tmp_path, resume=True)))


def test_a_state_of_other_tensors_is_refused(small, tmp_path):
    train.run(tiny.settings(tmp_path, epochs=1))
    state = tmp_path / "state.safetensors"
    tensors, note = mg.checkpoint.read(state)
    for without, changes in (
        ("model.0.weight", {}),
        ("", {"progress": {"epoch": 0, "novel": 1}}),
        ("", {"optimizer": {"steps": {"x": 1}, "param_groups": []}}),
        ("", {"optimizer": {}}),
    ):
        mg.save({k: v for k, v in tensors.items() if k != without}, state, {**note, **changes})
        text = f"resume: {state} does not fit the recipe: "
        refuses(UserError, text, lambda: train.run(tiny.settings(tmp_path, resume=True)))


def test_a_folder_with_a_run_is_not_overwritten(small, tmp_path):
    train.run(tiny.settings(tmp_path, epochs=1))
    refuses(UserError, "already holds a run", lambda: train.run(tiny.settings(tmp_path)))


# ---------------------------------------------------------------------------- what goes wrong


def spoil(number, images):
    """NaN from the second epoch on."""
    return images if number < tiny.STEPS + 1 else mg.Tensor(images.data * np.float32("nan"))


WHOLE = "the state before it (1 epochs, 0 steps done) is whole; try a smaller --lr"


def test_a_loss_that_becomes_nan_leaves_earlier_epochs_whole(small, tmp_path):
    train.run(tiny.settings(tmp_path / "one", epochs=1))
    small(each_batch=spoil)
    text = f"loss: became nan at epoch 2, step 2; {WHOLE}; cifar train --resume --out "
    text += f"{tmp_path / 'two'} --detect-anomaly finds the layer and the operation"
    refuses(UserError, text, lambda: train.run(tiny.settings(tmp_path / "two", epochs=2)))
    assert tiny.results(tmp_path / "one") == tiny.results(tmp_path / "two")


def test_where_it_became_nan_is_found(small, tmp_path):
    small(each_batch=spoil)
    settings = dataclasses.replace(tiny.settings(tmp_path), detect_anomaly=True)
    text = (
        "conv2d in 0 was given input 0 with 49152 NaN of 49152 values, after epoch 2, step 1; "
        f"{WHOLE}"
    )
    with pytest.raises(UserError) as caught:
        train.run(settings)
    assert str(caught.value) == text


def test_watching_changes_no_bit(whole, small, tmp_path):
    train.run(dataclasses.replace(tiny.settings(tmp_path), detect_anomaly=True))
    assert tiny.results(tmp_path) == tiny.results(whole[0])


@pytest.mark.parametrize("stopped", [False, True])
@pytest.mark.parametrize("value", ["nan", "inf"])
@pytest.mark.parametrize("name", ["model.0.weight", "optimizer.1.exp_avg_sq"])
def test_what_is_not_finite_is_never_saved(
    whole, small, tmp_path, monkeypatch, stopped, value, name
):
    """An update that went wrong in the last step of an epoch, or before a signal: no loss of a
    training batch comes after it. Squares that overflow in a moment would stop a weight."""
    taken = itertools.count(1)
    step = train.step

    def spoiled(model, objective, optimizer, *batch):
        result = step(model, objective, optimizer, *batch)
        if next(taken) == 2 * tiny.STEPS:
            kind, _, place = name.partition(".")
            state = optimizer.state_dict()["state"][1]
            array = model.state_dict()[place].data if kind == "model" else state["exp_avg_sq"]
            array.ravel()[0] = float(value)
            if stopped:
                os.kill(os.getpid(), signal.SIGTERM)
        return result

    monkeypatch.setattr(train, "step", spoiled)
    text = f"{name}: became NaN or infinite at epoch 2, step {tiny.STEPS}; {WHOLE}"
    refuses(UserError, text, lambda: train.run(tiny.settings(tmp_path)))
    monkeypatch.setattr(train, "step", step)
    train.run(tiny.settings(tmp_path, resume=True))
    assert tiny.results(tmp_path) == tiny.results(whole[0])


def test_a_test_loss_that_becomes_nan_is_not_saved(small, tmp_path, monkeypatch):
    losses = iter([1.0, float("nan")])
    monkeypatch.setattr(train, "evaluate", lambda *_: (next(losses), counted(0.5)))
    refuses(
        UserError,
        "loss: became nan on the test set after epoch 2",
        lambda: train.run(tiny.settings(tmp_path)),
    )
    _, note = mg.checkpoint.read(tmp_path / "last.safetensors")
    assert note["metrics"]["epoch"] == 1


def test_a_loss_that_overflows_is_one_error_without_warnings(small, tmp_path):
    """Warnings are errors in this suite, also those of the engine's threads."""
    with pytest.raises(UserError, match=r"loss: became (nan|inf) .* epoch 1"):
        train.run(tiny.settings(tmp_path / "run", lr=1e38))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"epochs": 0}, "epochs: expected at least 1, got 0"),
        ({"batch_size": 0}, "batch_size: expected at least 1, got 0"),
        ({"lr": 0.0}, "lr: "),
        ({"lr": -1.0}, "lr: expected a finite number above 0, got -1.0"),
        ({"lr": float("nan")}, "lr: "),
        ({"lr": float("inf")}, "lr: "),
        ({"seed": -1}, "seed: expected a whole number from 0, got -1"),
    ],
)
def test_bad_numbers(small, tmp_path, changes, text):
    refuses(UserError, text, lambda: train.run(tiny.settings(tmp_path / "run", **changes)))
    assert os.listdir(tmp_path) == []


def test_resuming_no_run_starts_one(whole, small, tmp_path, capsys):
    train.run(tiny.settings(tmp_path / "run", resume=True))
    text = f"note: there is no run in {tmp_path / 'run'} to resume; it starts now\n"
    assert capsys.readouterr().err == text
    assert tiny.results(tmp_path / "run") == tiny.results(whole[0])


def test_a_state_that_has_gone_is_no_reason_to_start_anew(small, tmp_path):
    train.run(tiny.settings(tmp_path))
    (tmp_path / "state.safetensors").unlink()
    text = "state.safetensors: No such file or directory; the state before it (1 epochs, 0 steps"
    refuses(UserError, text, lambda: train.run(tiny.settings(tmp_path, resume=True)))
    refuses(UserError, "already holds a run", lambda: train.run(tiny.settings(tmp_path)))


@pytest.mark.parametrize("place", ["file", "below a file", "/proc/minigrad", "long"])
def test_folders_that_cannot_be_written(small, tmp_path, place):
    (tmp_path / "file").write_text("precious")
    out = {
        "file": tmp_path / "file",
        "below a file": tmp_path / "file" / "run",
        "long": tmp_path / ("x" * 300),
    }.get(place, place)
    refuses(UserError, f"out: cannot write to {out}: ", lambda: train.run(tiny.settings(out)))
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.parametrize("error", [UserError("no data"), KeyboardInterrupt()])
def test_no_folder_is_left_where_nothing_was_trained(small, tmp_path, error):
    def fail(*_):
        raise error

    small().setattr(datasets, "load", fail)
    with pytest.raises(type(error)):
        train.run(tiny.settings(tmp_path / "a" / "b"))
    assert os.listdir(tmp_path) == []
    (tmp_path / "mine").mkdir()
    with pytest.raises(type(error)):
        train.run(tiny.settings(tmp_path / "mine"))
    assert os.listdir(tmp_path) == ["mine"]  # what was there before stays


def test_two_runs_in_one_folder(small, tmp_path):
    refusals = []

    def run_another(number, images):
        if number == 1:
            for resume in (False, True):
                with pytest.raises(UserError) as caught:
                    train.run(tiny.settings(tmp_path, resume=resume))
                refusals.append(str(caught.value))
        return images

    small(each_batch=run_another)
    history = train.run(tiny.settings(tmp_path, epochs=1))
    assert all("another run is writing" in refusal for refusal in refusals)
    assert len(history) == 1


def test_a_killed_runs_leftovers_are_removed_by_the_next(small, tmp_path):
    leftover = tmp_path / ".state.safetensors.0123456789abcdef.part"
    for resume in (False, True):
        leftover.mkdir()
        (leftover / ".tmpK7DMdt").write_bytes(b"half")
        train.run(tiny.settings(tmp_path, epochs=1, resume=resume))
        assert not leftover.exists()


def test_a_crash_between_two_files_of_an_epoch_loses_none(whole, small, tmp_path, monkeypatch):
    """Whichever of the files was the last to be written, resuming writes what others lack."""

    class Crash(BaseException):
        pass

    written = mg.checkpoint.write_atomically
    for crash_after in range(2 * len(FILES)):
        out = tmp_path / str(crash_after)
        files = []

        def write(path, act, crash_after=crash_after, files=files):
            if len(files) == crash_after:
                raise Crash
            files.append(path)
            written(path, act)

        monkeypatch.setattr(mg.checkpoint, "write_atomically", write)
        try:
            train.run(tiny.settings(out))
        except Crash:
            pass
        finally:
            monkeypatch.setattr(mg.checkpoint, "write_atomically", written)
        train.run(tiny.settings(out, resume=(out / "state.safetensors").exists()))
        assert tiny.results(out) == tiny.results(whole[0])


def test_data_that_change_under_a_running_job(small, tmp_path):
    """It trains on what it read at the start; resuming it names the file that changed."""
    files = [tiny_cifar10.write(tmp_path / n / tiny_cifar10.FOLDER) for n in ("a", "b")]

    def overwrite(number, images):
        for path in files[1].iterdir() if number == 2 else ():
            path.write_bytes(path.read_bytes()[:-1] + b"?")
        return images

    def run(name, **options):
        patch = small(each_batch=overwrite if name == "b" else lambda _, images: images)
        patch.setattr(datasets, "load", LOAD)
        tiny_cifar10.install(patch.setattr)
        settings = tiny.settings(tmp_path / f"run {name}", **options)
        place = str(tmp_path / name)
        train.run(dataclasses.replace(settings, dataset="cifar10", data_dir=place))

    run("a")
    run("b")
    assert (
        files[0].joinpath("test_batch").read_bytes() != files[1].joinpath("test_batch").read_bytes()
    )
    assert tiny.results(tmp_path / "run a") == tiny.results(tmp_path / "run b")
    with pytest.raises(DataError, match=re.escape(f"{files[1]}")):
        run("b", resume=True)


def test_a_clock_that_jumps(whole, small, tmp_path, monkeypatch):
    """As when a machine's time is set while it works: by days, to and fro."""
    jumps = itertools.cycle([0.0, -86_400.0, 86_400.0, -7e8])
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + next(jumps))
    settings = train.Settings("tiny", "cpu", out=str(tmp_path), progress=True)
    history = train.run(settings)
    assert tiny.results(tmp_path) == tiny.results(whole[0])
    assert all(0 < line["seconds"] < 60 for line in history)


def test_a_full_disk(small, tmp_path):
    def full(*_):
        raise OSError(28, "No space left on device")

    small().setattr(mg, "save", full)
    refuses(UserError, "No space left on device", lambda: train.run(tiny.settings(tmp_path / "r")))
    assert os.listdir(tmp_path) == []


def test_unknown_device(small, tmp_path):
    settings = train.Settings("tiny", "tpu", out=str(tmp_path / "run"))
    refuses(UserError, "device: expected 'cpu', 'gpu', 'gpu:N' or 'auto', got 'tpu'",
            lambda: train.run(settings))  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text"), [("bf16", "bf16 is for GPUs"), ("fp16", "'fp32', 'tf32', 'bf16', got 'fp16'")]
)
def test_a_precision_that_cannot_be(small, tmp_path, name, text):
    small()
    settings = train.Settings("tiny", "cpu", out=str(tmp_path / "run"), precision=name)
    refuses(UserError, text, lambda: train.run(settings))
    assert os.listdir(tmp_path) == []


def test_nothing_is_captured_on_the_cpu(small, tmp_path):
    small()
    settings = train.Settings("tiny", "cpu", out=str(tmp_path / "run"), capture=True)
    refuses(UserError, "capture: a step is recorded on a GPU", lambda: train.run(settings))
    assert os.listdir(tmp_path) == []


def test_what_is_captured(small, tmp_path, monkeypatch):
    """The step with the optimiser of the moment: another one after a restart."""
    made = []

    class Captured:
        def __init__(self, step):
            self.step, self.calls = step, 0
            made.append(self)

        def __call__(self, *batch):
            self.calls += 1
            return self.step(*batch)

    small().setattr(mg, "CapturedStep", Captured)
    settings = tiny.settings(tmp_path / "run", restarts=((1, 0.5),))
    recipe, device = train.checked_recipe(settings), mg.device("cpu")
    settings = dataclasses.replace(settings, capture=True)
    _, this = train.prepare(settings, recipe, device, tmp_path)
    for _ in range(2):
        train._train_epoch(this, [])
        this.progress.end_epoch({})
    assert [captured.calls for captured in made] == [tiny.STEPS] * 2
    assert made[1].step.args[2] is this.optimizer is not made[0].step.args[2]
    assert this.optimizer.param_groups[0]["lr"] == 0.5


def test_a_batch_too_large_for_the_memory(small, tmp_path, monkeypatch, capsys):
    """What the command says of a GPU that runs out of memory in the second epoch."""

    def fail(number, images):
        if number == tiny.STEPS + 1:
            raise mg.OutOfMemoryError("conv2d: no", asked=1000, used=700, free=400)
        return images

    small(each_batch=fail)
    monkeypatch.setattr(mg.memory, "used", lambda where: 100)
    settings = tiny.settings(tmp_path / "run")
    assert cli.guarded(lambda: settings, train.run) == 2
    assert capsys.readouterr().err == (
        "error: out of memory (conv2d: no; of the 16 images of a batch at most about 10 fit; "
        "try a smaller --batch-size)\n"
    )


def test_bar_is_closed_when_the_loss_fails(small, tmp_path, monkeypatch):
    small(each_batch=spoil)
    stderr = io.StringIO()
    monkeypatch.setattr("sys.stderr", stderr)
    settings = train.Settings("tiny", "cpu", out=str(tmp_path / "run"), progress=True)
    with pytest.raises(UserError):
        train.run(settings)
    assert stderr.getvalue().endswith("\n")


# ---------------------------------------------------------------------------- overflow in bf16


def spoil_gradient(model, loss):
    model[0].weight.grad.data[0, 0, 0, 0] = np.inf


def spoil_all(model, loss):
    loss.data[...] = np.nan
    for tensor in (
        model[1].running_mean,
        model[1].running_var,
        *(p.grad for p in model[6].parameters()),
    ):
        tensor.data[...] = np.nan


def overflowing(patch, spoil, at):
    """Training in bf16 whose ``at``-th attempts, counted from 0, go wrong as ``spoil`` does it."""
    taken, gradients = itertools.count(), train.gradients

    def attempt(model, objective, *others):
        logits, loss = gradients(model, objective, *others)
        if next(taken) in at:
            spoil(model, loss)
        return logits, loss

    patch.setattr(mg, "get_precision", lambda: "bf16")
    patch.setattr(train, "gradients", attempt)


@pytest.mark.parametrize("spoil", [spoil_gradient, spoil_all])
def test_a_batch_that_overflows_in_bf16_is_as_if_it_had_not_been(small, tmp_path, capsys, spoil):
    at = tiny.STEPS + 1
    overflowing(small(), spoil, {at})
    skipped, gone = train.run(tiny.settings(tmp_path / "one"))[-1], itertools.count()
    assert "; 1 skipped (overflow)" in capsys.readouterr().out
    assert skipped["skipped"] == 1

    step, patch = train.step, small()

    def without(model, *others):
        if next(gone) != at:
            return step(model, *others)
        before = {name: value.data.copy() for name, value in model.state_dict().items()}
        logits, loss = train.gradients(model, *others)
        for name, value in model.state_dict().items():
            value.data[...] = before[name]
        return logits, loss

    patch.setattr(train, "step", without)
    train.run(tiny.settings(tmp_path / "two"))
    one, two = (tiny.results(tmp_path / name) for name in ("one", "two"))
    assert {k: v for k, v in one.items() if "/" in k} == {k: v for k, v in two.items() if "/" in k}
    # The means of the epoch are of the other batches.
    assert skipped["train_loss"] != two["epoch 2"]["train_loss"] > 0
    assert skipped["test_loss"] == two["epoch 2"]["test_loss"]


def test_too_many_overflows_stop_the_run(small, tmp_path, monkeypatch):
    overflowing(small(), spoil_all, range(100))
    text = "every batch of epoch 1 overflowed in bf16; nothing was saved before it; try a smaller"
    refuses(UserError, text, lambda: train.run(tiny.settings(tmp_path / "epoch")))
    monkeypatch.setattr(train, "MOST_SKIPPED", 4)
    text = "4 batches in a row overflowed in bf16, up to epoch 1, step 4; nothing was saved"
    refuses(UserError, text, lambda: train.run(tiny.settings(tmp_path / "row")))


def test_skipped_batches_are_counted_over_a_stop(small, tmp_path):
    def stopping(path, resume, signals):
        patch = small(each_batch=send(signals, at=2))
        overflowing(patch, spoil_all, {1, 3} if path.name == "whole" else {0} if resume else {1})
        train.run(tiny.settings(path, resume=resume, epochs=1))

    stopping(tmp_path / "whole", False, [])
    with pytest.raises(KeyboardInterrupt):
        stopping(tmp_path / "run", False, [signal.SIGTERM])
    stopping(tmp_path / "run", True, [])
    assert tiny.results(tmp_path / "run") == tiny.results(tmp_path / "whole")
    assert tiny.results(tmp_path / "run")["epoch 1"]["skipped"] == 2


def test_without_overflow_bf16s_step_is_the_step(whole, small, tmp_path):
    """Also where a replay leaves another call's gradients with the parameters."""

    class Replayed:
        def __init__(self, attempt):
            self.attempt = attempt

        def __call__(self, *batch):
            result = self.attempt(*batch)
            for p in self.attempt.__self__.model.parameters():
                p.grad = mg.zeros(p.shape)
            return result

    patch = small()
    overflowing(patch, spoil_all, ())
    patch.setattr(mg, "CapturedStep", Replayed)
    make = train.make_step
    patch.setattr(
        train,
        "make_step",
        lambda run: make(
            dataclasses.replace(run, settings=dataclasses.replace(run.settings, capture=True))
        ),
    )
    train.run(tiny.settings(tmp_path))
    assert tiny.results(whole[0]) == {
        name: {k: v for k, v in value.items() if k != "skipped"} if "epoch" in name else value
        for name, value in tiny.results(tmp_path).items()
    }
