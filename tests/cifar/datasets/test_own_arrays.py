"""A person's own images and labels in .npz files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cifar import cli, datasets
from cifar.datasets import Options
from cifar.errors import DataError, UserError
from tests.common import refuses

LABELS = np.arange(30) % 3
IMAGES = np.random.default_rng(0).integers(0, 256, (30, 3, 12, 12), np.uint8)
GOOD = {"images": IMAGES, "labels": LABELS}


def write(path: Path, **arrays):
    path.parent.mkdir(exist_ok=True)
    np.savez_compressed(path, **arrays)
    return path


def test_one_file_is_divided_class_by_class(tmp_path):
    file = write(tmp_path / "x.npz", **GOOD, classes=np.array(["a", "ü", "c"]))
    options = Options(test_share=0.2)
    train, test = (datasets.load("arrays", split, file, options) for split in ("train", "test"))
    assert train.classes == datasets.classes("arrays", file) == ("a", "ü", "c")
    assert np.bincount(train.labels).tolist() == [8, 8, 8]
    rows = [image.tobytes() for data in (train, test) for image in data.images]
    assert sorted(rows) == sorted(image.tobytes() for image in IMAGES)
    label = {image.tobytes(): label for image, label in zip(IMAGES, LABELS, strict=True)}
    assert [label[row] for row in rows] == [*train.labels, *test.labels]


def test_two_files_and_pixels_last(tmp_path):
    write(tmp_path / "train.npz", images=IMAGES.transpose(0, 2, 3, 1), labels=LABELS.astype("u1"))
    write(tmp_path / "test.npz", images=IMAGES[:4], labels=LABELS[:4])
    train, test = (datasets.load("arrays", split, tmp_path) for split in ("train", "test"))
    np.testing.assert_array_equal(train.images, IMAGES)
    assert train.images.flags.c_contiguous
    assert (train.labels.dtype, train.classes, len(test)) == (np.int64, ("0", "1", "2"), 4)
    text = "test_share: has no effect"
    refuses(UserError, text, lambda: datasets.load("arrays", "test", tmp_path, Options(None, 0.1)))
    write(tmp_path / "test.npz", images=IMAGES[:4], labels=LABELS[:4] + 3)
    refuses(
        DataError, "test.npz: expected 3 classes", lambda: datasets.load("arrays", "test", tmp_path)
    )


def test_the_names_of_the_test_file_say_what_its_labels_are(tmp_path):
    write(tmp_path / "train.npz", **GOOD, classes=np.array(["a", "b", "c"]))
    for names, labels in ((["c", "a"], [2, 0, 2]), (["b", "c", "a"], [1, 2, 1]), (None, [0, 1, 0])):
        given = {} if names is None else {"classes": np.array(names)}
        write(tmp_path / "test.npz", images=IMAGES[:3], labels=np.array([0, 1, 0]), **given)
        test = datasets.load("arrays", "test", tmp_path)
        assert (test.labels.tolist(), test.classes) == (labels, ("a", "b", "c"))
    write(
        tmp_path / "test.npz", images=IMAGES[:3], labels=LABELS[:3], classes=np.array(list("abd"))
    )
    text = "test.npz: classes: train.npz has none called 'd'"
    refuses(DataError, text, lambda: datasets.load("arrays", "test", tmp_path))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"images": IMAGES.astype(float)}, "images: expected uint8 (N, 3, side, side)"),
        ({"images": IMAGES[:, :, :8]}, "images: expected"),
        ({"images": IMAGES[:, :, :4, :4]}, "images: expected"),
        ({"labels": LABELS[1:]}, "labels: expected 30 whole numbers from 0"),
        ({"labels": LABELS - 1}, "labels: expected"),
        ({"labels": LABELS * 1.0}, "labels: expected"),
        ({"classes": np.array(["a", "b"])}, "classes: expected 3 texts or more, all different"),
        ({"classes": np.array(["a", "b", "a"])}, "classes: expected"),
        ({"classes": np.array([object()] * 3)}, "not a whole .npz file of plain arrays"),
    ],
)
def test_arrays_that_are_not_images_and_labels(tmp_path, change, text):
    file = write(tmp_path / "x.npz", **(GOOD | change))
    options = Options(test_share=0.5)
    refuses(DataError, text, lambda: datasets.load("arrays", "train", file, options))


def test_files_that_are_none(tmp_path):
    def load(path, options=None):
        return lambda: datasets.load("arrays", "train", path, options or Options(test_share=0.5))

    refuses(DataError, "data_dir: name a .npz file", load(None))
    refuses(DataError, "x.npz does not exist", load(tmp_path / "x.npz"))
    (tmp_path / "x.npz").write_bytes(b"PK")
    refuses(DataError, "not a whole .npz file", load(tmp_path / "x.npz"))
    refuses(DataError, "no array called labels", load(write(tmp_path / "y.npz", images=IMAGES)))
    file = write(tmp_path / "z.npz", **GOOD)
    refuses(UserError, "give the share of each class's images", load(file, Options()))
    refuses(UserError, "image_size: the images in", load(file, Options(32, 0.5)))


def test_they_are_trained_on_and_evaluated(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "x.npz", **GOOD)
    own = "--dataset arrays --data-dir x.npz --test-share 0.2"
    assert cli.main(f"train simple --epochs 1 --out r --device cpu {own}".split()) == 0
    assert cli.main(["evaluate", "r"]) == 0
    assert "on 6 images" in capsys.readouterr().out
    write(tmp_path / "y.npz", images=IMAGES[:15], labels=LABELS[:15])
    Path("z").mkdir()
    write(tmp_path / "z" / "train.npz", **GOOD)
    write(tmp_path / "z" / "test.npz", images=IMAGES[:9], labels=LABELS[:9])
    Path("x.npz").rename("moved.npz")
    for other, images in (("y.npz", 15), ("z", 9), ("moved.npz", 6)):
        assert cli.main(["evaluate", "r", "--data-dir", other]) == 0
        assert f"on {images} images" in capsys.readouterr().out
