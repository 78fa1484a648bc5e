"""A person's own pictures: divided as their folders say, or by a share and a seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cifar import cli, datasets, models
from cifar.datasets import Options, folder
from cifar.errors import DataError, UserError
from cifar.results import evaluate
from tests.common import refuses

COLOURS = {"blue": (30, 30, 200), "green": (30, 200, 30), "red": (200, 30, 30)}


def fill(root: Path, count: int = 5, classes: tuple[str, ...] = tuple(COLOURS)) -> Path:
    """Noisy pictures of one colour a class, of many sizes and formats, numbered by their blue."""
    rng = np.random.default_rng(0)
    for name in classes:
        (root / name).mkdir(parents=True)
        for i in range(count):
            noise = rng.normal(0, 20, (*rng.integers(20, 60, 2), 3))
            pixels = np.clip(np.array(COLOURS[name]) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.{('png', 'jpg', 'webp')[i % 3]}")
    return root


def test_pictures_divided_by_folders(tmp_path):
    fill(tmp_path / "train")
    fill(tmp_path / "test", 2, ("red", "blue"))  # a class without test pictures has no folder
    (tmp_path / "train/red/.hidden.png").write_bytes(b"no picture")
    (tmp_path / "train/red/notes.txt").write_text("no picture")
    train = datasets.load("folder", "train", tmp_path, Options(24))
    test = datasets.load("folder", "test", tmp_path, Options(24))
    assert train.classes == test.classes == datasets.classes("folder", tmp_path) == tuple(COLOURS)
    assert train.images.shape == (15, 3, 24, 24)
    assert np.bincount(test.labels).tolist() == [2, 0, 2]
    for data in (train, test):  # red, green and blue are channels 0, 1 and 2
        brightest = data.images.mean((2, 3)).argmax(1)
        np.testing.assert_array_equal(brightest, 2 - data.labels)


@given(st.integers(2, 40), st.floats(0.01, 0.99), st.integers(0, 5))
def test_a_share_of_every_class_is_the_test_set(count, share, seed):
    """Each picture is in one part, neither is empty, and the parts are a matter of the seed."""
    files = [Path(f"{i}.png") for i in range(count)]
    options = Options(None, share, seed)

    def part(split):
        return folder.divide("x", files, split, options)

    train, test = part("train"), part("test")
    assert sorted(train + test, key=files.index) == files
    assert train == sorted(train, key=files.index)
    assert train
    assert test
    assert len(test) == min(max(round(share * count), 1), count - 1)
    assert part("test") == test


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (Options(), "--test-share 0.2"),
        (Options(test_share=0.2), "test_share: has no effect, since"),
        (Options(split_seed=3), "split_seed: has no effect, since"),
    ],
)
def test_a_share_where_it_is_needed_alone(tmp_path, options, text):
    if options.test_share or options.split_seed:
        fill(tmp_path / "train", 1)
        fill(tmp_path / "test", 1)
    else:
        fill(tmp_path, 2)
    refuses(UserError, text, lambda: datasets.load("folder", "train", tmp_path, options))


def test_what_is_no_folder_of_classes(tmp_path):
    def load(path, options=None):
        return lambda: datasets.load("folder", "train", path, options or Options(test_share=0.5))

    refuses(DataError, "data_dir: name the folder of pictures", load(None))
    refuses(DataError, "nothing is not a folder", load(tmp_path / "nothing"))
    refuses(DataError, "two classes or more", load(tmp_path))
    fill(tmp_path, 2)
    (tmp_path / "empty").mkdir()
    refuses(DataError, "empty: 0 pictures; every class needs two", load(tmp_path))
    (tmp_path / "empty").rmdir()
    (tmp_path / "red/0.png").write_bytes(b"no picture")
    (tmp_path / "blue/0.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"blue/0.png: not a picture.*red/0.png: not a picture"):
        load(tmp_path, Options(test_share=0.5, split_seed=_seed_with_first_in_train()))()
    (tmp_path / "test").mkdir()
    refuses(DataError, "has test but not train", load(tmp_path))
    fill(tmp_path / "train", 1)
    fill(tmp_path / "test/x", 1)
    text = "no class of this name in"
    refuses(UserError, text, lambda: folder.load("test", tmp_path, Options()))


def _seed_with_first_in_train():
    pair = [Path("0"), Path("1")]
    return next(
        seed
        for seed in range(99)
        if folder.divide("", pair, "train", Options(None, 0.5, seed)) == pair[:1]
    )


def test_only_own_data_take_options():
    text = "image_size: synthetic is as it was published"
    refuses(UserError, text, lambda: datasets.load("synthetic", "test", None, Options(64)))
    for values in ({"image_size": 7}, {"image_size": 257}, {"test_share": 1.0}, {"split_seed": -1}):
        (name,) = values
        refuses(UserError, f"{name}: expected", lambda values=values: Options(**values))


@pytest.mark.parametrize("name", models.names())
def test_models_take_classes_and_sizes(name):
    """Logits of as many classes from images of any size that the model does not refuse."""
    import minigrad as mg

    sizes = []
    for size in (11, 20, 24, 32, 64):
        try:
            model = models.create(name, 3, 0, size).eval()
        except UserError:
            continue
        with mg.no_grad():
            assert model(mg.zeros(2, 3, size, size)).shape == (2, 3)
        sizes.append(size)
    assert {32, 64} <= set(sizes)


def test_from_pictures_to_a_report_in_three_commands(tmp_path, monkeypatch, capsys):
    """Training, evaluation and the report, then prediction, verification, resumption, export and
    import: all follow the run's record."""
    monkeypatch.chdir(tmp_path)
    fill(Path("pictures"), 8)
    own = "--dataset folder --data-dir pictures --image-size 16 --test-share 0.25"

    def call(words):
        assert cli.main(words.split()) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    train = f"train simple --epochs 1 --batch-size 6 --device cpu --out runs/r {own}"
    assert "18 training and 6 test images of folder" in call(train)
    assert "on 6 images" in call("evaluate runs/r")
    assert "on folder" in call("report runs")
    assert "pictures/red/0.png" in call("predict runs/r pictures/red/0.png")
    assert "the same, bit for bit" in call("verify runs/r")
    resumed = call("train simple --resume --out runs/r --epochs 2 --image-size 16")
    assert "after epoch 2" in resumed
    call("export runs/r x.safetensors")
    words = "import simple x.safetensors y.safetensors --dataset folder --data-dir pictures"
    call(f"{words} --image-size 16")
    assert "red" in call("predict y.safetensors pictures/red/0.png")

    # Other pictures, divided otherwise; then the run's own, gone from where they were.
    fill(Path("more/train"), 2)
    fill(Path("more/test"), 3)
    found, _ = evaluate.run(evaluate.Settings("runs/r", data_dir="more", out="e"))
    assert (found.images, found.picked) == (9, False)
    fill(Path("undivided"), 2)  # all of them, since the model has seen none
    said = call("evaluate runs/r --data-dir undivided")
    assert "on 6 images" in said
    assert "runs/r/evaluation-best-test-on-folder-" in said
    assert "this epoch was picked" not in said
    Path("pictures").rename("moved")
    assert cli.main(["evaluate", "runs/r"]) == 2
    error = capsys.readouterr().err
    assert "the data set is no longer in" in error
    assert "data_dir: name the folder of pictures" in error
    assert "on 6 images" in call("evaluate runs/r --data-dir moved")
