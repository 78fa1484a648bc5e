"""What a run writes, what it repeats bit for bit, and what it refuses."""

from __future__ import annotations

import json
import os
import signal
from concurrent import futures

import numpy as np
import pytest
from PIL import Image

import minigrad as mg
from cifar import cli, datasets
from cifar.errors import UserError
from cifar.results import plots
from cifar.training import loop, train
from cifar.training.run import Settings
from tests.cifar import tiny
from tests.cifar.training.common import FILES, WAYS, counted, send
from tests.common import refuses


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
    assert lines == [metrics.as_dict() for metrics in history]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert lines[1]["train_loss"] < lines[0]["train_loss"]
    assert lines[1]["test_loss"] < lines[0]["test_loss"] < np.log(10)  # chance
    for line in lines:
        assert line["lr"] == tiny.RECIPE.lr
        assert line["seconds"] > 0
        assert line["images_per_second"] > 0
        assert line["peak_memory_mb"] > 10
        assert "gpu_memory_mb" not in line  # of a run on the CPU


def test_a_loop_that_is_left_goes_on_later(whole, small, tmp_path):
    """As in a search that gives up a run, and comes back to it."""
    out = tmp_path / "run"
    with train.open_run(tiny.settings(out)) as run:
        for metrics in loop.fit(run):
            train.save(run, metrics)
            break
    assert [metrics.epoch for metrics in run.progress.history] == [1]
    assert train.run(tiny.settings(out, resume=True))[0] == run.progress.history[0]
    assert tiny.results(out) == tiny.results(whole[0])


def test_metadata(whole):
    out, history = whole
    best = max(history, key=lambda line: line.test_accuracy)
    for name, line in (("last", history[-1]), ("best", best)):
        _, note = mg.checkpoint.read(out / f"{name}.safetensors")
        assert note["recipe"]["name"] == "tiny"
        assert note["recipe"]["lr"] == 1e-2
        assert note["seed"] == 0
        assert note["metrics"] == line.as_dict()
        assert note["best_epoch"] == best.epoch
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
    assert history[-1].test_loss == pytest.approx(loss, rel=1e-4)
    accuracy = (logits.numpy().argmax(1) == data.labels).mean()
    assert history[-1].test_accuracy == pytest.approx(accuracy)


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


def test_best_is_the_first_of_the_best(small, tmp_path, monkeypatch):
    accuracies = iter([0.5, 0.7, 0.7, 0.6])
    monkeypatch.setattr(loop, "evaluate", lambda *_: (1.0, counted(next(accuracies))))
    train.run(tiny.settings(tmp_path, epochs=4))
    _, best = mg.checkpoint.read(tmp_path / "best.safetensors")
    _, last = mg.checkpoint.read(tmp_path / "last.safetensors")
    assert best["metrics"]["epoch"] == last["best_epoch"] == 2
    assert last["metrics"]["epoch"] == 4


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
        ({"gamma": 2.0}, "gamma: has no effect with loss=cross_entropy, only with focal_loss"),
        ({"lr": 0.0}, "lr: expected a finite number above 0, got 0.0"),
        ({"epochs": 0}, "epochs: expected at least 1, got 0"),
        ({"seed": -1}, "seed: expected a whole number from 0, got -1"),
    ],
)
def test_runs_that_cannot_be(small, tmp_path, changes, text):
    refuses(UserError, text, lambda: train.run(tiny.settings(tmp_path / "run", **changes)))
    assert os.listdir(tmp_path) == []


def test_a_folder_with_a_run_is_not_overwritten(small, tmp_path):
    train.run(tiny.settings(tmp_path, epochs=1))
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


def test_a_full_disk(small, tmp_path):
    def full(*_):
        raise OSError(28, "No space left on device")

    small().setattr(mg, "save", full)
    refuses(UserError, "No space left on device", lambda: train.run(tiny.settings(tmp_path / "r")))
    assert os.listdir(tmp_path) == []


def test_unknown_device(small, tmp_path):
    settings = Settings("tiny", "tpu", out=str(tmp_path / "run"))
    refuses(UserError, "device: expected 'cpu', 'gpu', 'gpu:N' or 'auto', got 'tpu'",
            lambda: train.run(settings))  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text"), [("bf16", "bf16 is for GPUs"), ("fp16", "'fp32', 'tf32', 'bf16', got 'fp16'")]
)
def test_a_precision_that_cannot_be(small, tmp_path, name, text):
    small()
    settings = Settings("tiny", "cpu", out=str(tmp_path / "run"), precision=name)
    refuses(UserError, text, lambda: train.run(settings))
    assert os.listdir(tmp_path) == []


def test_nothing_is_captured_on_the_cpu(small, tmp_path):
    small()
    settings = Settings("tiny", "cpu", out=str(tmp_path / "run"), capture=True)
    refuses(UserError, "capture: a step is recorded on a GPU", lambda: train.run(settings))
    assert os.listdir(tmp_path) == []


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
