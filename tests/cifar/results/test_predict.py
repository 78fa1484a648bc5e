"""What a model predicts of files, and the CSV file of it."""

from __future__ import annotations

import io
import os
import sys

import numpy as np
import pytest

from cifar.datasets import pictures
from cifar.errors import UserError
from cifar.results import evaluate, predict
from cifar.training import train
from tests.cifar import tiny
from tests.cifar.datasets.files import BATCH, PLANES, saved
from tests.common import refuses, unprivileged


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("predict") / "run"
    with pytest.MonkeyPatch.context() as patch:
        tiny.install(patch.setattr)
        train.run(tiny.settings(out))
        yield str(out)


def test_ids(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved("cat.png")
    np.save("a.npy", BATCH)
    np.save("empty.npy", BATCH[:0])
    ids, images = predict.read(["a.npy"])
    assert ids == ["0", "1", "2", "3", "4"]
    ids, images = predict.read(["cat.png", "a.npy", "./cat.png", "empty.npy"])
    assert ids == ["cat.png", *(f"a.npy:{i}" for i in range(5)), "cat.png"]
    np.testing.assert_array_equal(images, [PLANES, *BATCH, PLANES])
    for files in ([], ["empty.npy"]):
        refuses(UserError, "files: no image to look at", lambda files=files: predict.read(files))


def test_files_that_are_none(tmp_path):
    refuses(
        UserError,
        "nowhere.png: No such file or directory; name",
        lambda: predict.read(["nowhere.png"]),
    )
    with unprivileged() as folder:
        (folder / "x.png").touch(0)
        text = f"files: cannot read {folder}/x.png: Permission denied"
        refuses(UserError, text, lambda: predict.read([folder / "x.png"]))
    refuses(
        UserError,
        f"files: no picture in the folder {tmp_path}",
        lambda: predict.read([tmp_path]),
    )


def test_a_folder_stands_for_its_pictures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.png", "a.JPEG", "deep/er/c.webp", ".hidden.png", ".cache/d.png", "._e.png"):
        (tmp_path / "pictures" / name).parent.mkdir(parents=True, exist_ok=True)
        saved(tmp_path / "pictures" / name)
    (tmp_path / "pictures" / "notes.txt").write_text("no picture")
    os.mkfifo(tmp_path / "pictures" / "fifo.png")
    np.save("x.npy", BATCH[:1])
    ids, images = predict.read(["pictures", "x.npy"])
    inside = ["a.JPEG", "b.png", "deep/er/c.webp"]
    assert ids == [*(f"pictures/{name}" for name in inside), "x.npy:0"]
    assert len(images) == len(ids)
    (tmp_path / "empty").mkdir()
    refuses(UserError, "files: no picture in the folder empty", lambda: predict.read(["empty"]))


@pytest.mark.parametrize(("end", "last"), [("\n", ""), ("\r\n", "\r\n"), ("\0", "\0")])
@pytest.mark.parametrize("source", ["list.txt", "-"])
def test_lists_of_files(tmp_path, monkeypatch, source, end, last):
    names = [b"cat.png", b"caf\xe9.png", b" a b.png"]
    content = end.encode().join(names) + last.encode()
    (tmp_path / "list.txt").write_bytes(content)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert [os.fsencode(name) for name in predict.listed(source)] == names


def test_lists_that_cannot_be_read(tmp_path):
    for place, why in ((tmp_path, "Is a directory"), (tmp_path / "no", "No such file")):
        text = f"files_from: cannot read {place}: {why}"
        refuses(UserError, text, lambda place=place: predict.listed(place))


def test_all_files_that_cannot_be_used_are_named_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved("good.png")
    bad = [f"bad{i}.png" for i in range(pictures.MAX_NAMED + 2)]
    for name in bad:
        (tmp_path / name).write_text("")
    with pytest.raises(UserError, match=r"bad0\.png: not a picture") as told:
        predict.read([*bad, "good.png", "no"])
    said = str(told.value)
    assert [name in said for name in bad] == [True] * pictures.MAX_NAMED + [False] * 2
    assert said.endswith(" (and 3 more files)")


def test_a_name_that_is_not_utf8(tmp_path):
    path = saved(os.fsencode(tmp_path) + b"/caf\xe9.png", format="PNG")
    (name,), _ = predict.read([os.fsdecode(path)])
    assert name.endswith("caf\ufffd.png")


def test_probabilities(trained):
    one = evaluate.load(trained)
    images = tiny.load("", "test").images
    found = predict.predict(one, [str(i) for i in range(30)], images)
    logits = evaluate.logits(one, images).astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(found.probabilities, expected, rtol=1e-9)
    for (name, best), row, number in zip(found.top(), expected, range(30), strict=True):
        assert name == str(number)
        order = sorted(range(10), key=lambda c, row=row: -row[c])[:3]
        assert [label for label, _ in best] == [f"class {c}" for c in order]
        assert [p for _, p in best] == pytest.approx([row[c] for c in order])


FOUND = predict.Predictions(
    ["0", 'a "b", c.png'], ("cat", "dog, hot"), np.array([[0.9, 0.1], [0.2, 0.8]])
)


def test_csv_bytes(tmp_path):
    path = tmp_path / "x.csv"
    predict.write_csv(FOUND, path)
    assert path.read_bytes() == b'ID,Labels\n0,0\n"a ""b"", c.png",1\n'
    predict.write_csv(FOUND, path, names=True)
    assert path.read_bytes() == b'ID,Labels\n0,cat\n"a ""b"", c.png","dog, hot"\n'
    assert os.listdir(tmp_path) == ["x.csv"]
    predict.write_csv(FOUND, path, probabilities=True)
    lines = path.read_text().splitlines()
    assert lines[0] == 'ID,Labels,cat,"dog, hot"'
    assert lines[1] == "0,0,0.9,0.1"


def test_no_name_in_a_csv_file_is_a_formula(tmp_path):
    path = tmp_path / "x.csv"
    found = predict.Predictions(["=1+1.png", "-5"], ("@cat", "dog"), FOUND.probabilities)
    predict.write_csv(found, path, names=True, probabilities=True)
    assert path.read_text().splitlines() == [
        "ID,Labels,'@cat,dog", "'=1+1.png,'@cat,0.9,0.1", "-5,dog,0.2,0.8",
    ]  # fmt: skip


def test_csv_that_cannot_be_written(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere" / "x.csv"):
        text = f"csv: cannot write {path}"
        refuses(UserError, text, lambda path=path: predict.write_csv(FOUND, path))


def test_a_csv_that_cannot_be_written_is_told_before_the_work(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate, "load", lambda *_: pytest.fail("loaded"))
    asked = predict.Settings(trained, ("x.png",), csv=str(tmp_path / "nowhere" / "x.csv"))
    refuses(UserError, "csv: cannot write ", lambda: predict.run(asked))


def test_fewer_classes_than_guesses():
    assert [best for _, best in FOUND.top()] == [
        [("cat", 0.9), ("dog, hot", 0.1)],
        [("dog, hot", 0.8), ("cat", 0.2)],
    ]


def test_run(trained, tmp_path):
    data = tiny.load("", "test")
    np.save(tmp_path / "x.npy", data.images)
    files = (str(tmp_path / "x.npy"),)
    out = tmp_path / "labels.csv"
    asked = predict.Settings(trained, files, csv=str(out), device="cpu", progress=False)
    found = predict.run(asked)
    rows = [line.split(",") for line in out.read_text().splitlines()[1:]]
    assert [row[0] for row in rows] == [str(i) for i in range(30)]
    guesses = [int(row[1]) for row in rows]
    assert guesses == found.probabilities.argmax(1).tolist()
    measured = evaluate.measure(np.log(found.probabilities), data.labels, data.classes)
    assert np.mean(guesses == data.labels) == pytest.approx(measured.accuracy)
    for name in ("names", "probabilities"):
        asked = predict.Settings(trained, files, **{name: True})
        refuses(UserError, f"{name}: is about the CSV file", lambda asked=asked: predict.run(asked))
    (tmp_path / "list").write_text(files[0])
    asked = predict.Settings(trained, (), str(tmp_path / "list"), device="cpu", progress=False)
    assert predict.run(asked).ids == found.ids
