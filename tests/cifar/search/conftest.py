"""A search that takes a second: pictures of 8 x 8 pixels and networks of a few channels."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cifar.results import plots
from cifar.search import request, worker
from cifar.search.request import Settings
from cifar.search.storage import open_storage
from cifar.search.study import open_study

SPACE = """
recipe = "resnet-82"
max_parameters = 2_500
epochs = 2
set = { model = "resnet", validation = 40, batch_size = 20, augmentation.crop = 1 }

[space.stages]
type = "int"
low = 1
high = 2

[space.blocks]
field = "model_options.blocks"
each = "stages"
type = "int"
low = 1
high = 1

[space.channels]
field = "model_options.channels"
each = "stages"
type = "categorical"
choices = [2, 4, 12]

[space.kernel_sizes]
field = "model_options.kernel_sizes"
each = "stages"
type = "categorical"
choices = [3]

[space.lr]
type = "float"
low = 1e-3
high = 1e-1
log = true
"""


def write_world(folder):
    """The data and the space, in a folder; the settings of a search of them."""
    for split, count in (("train", 100), ("test", 20)):
        labels = np.arange(count) % 10
        noise = np.random.default_rng(count).integers(0, 40, (count, 3, 8, 8))
        images = (noise + labels[:, None, None, None] * 20).astype(np.uint8)
        np.savez(folder / f"{split}.npz", images=images, labels=labels)
    space = folder / "tiny.toml"
    space.write_text(SPACE)
    return Settings(
        str(space),
        trials=4,
        device="cpu",
        dataset="arrays",
        data_dir=str(folder),
        out=str(folder / "out"),
    )


def opened(settings):
    """The study of such settings."""
    storage = open_storage(settings.place_of_storage)
    return open_study(request.plan(settings), storage, settings.folder, settings.trials)


@pytest.fixture(autouse=True)
def no_pictures_of_the_winner(monkeypatch):
    """They take most of a second."""
    for name in ("confusion", "mistakes"):
        monkeypatch.setattr(plots, name, lambda *_: None)


@pytest.fixture
def asked(tmp_path):
    """The settings of a search that has not begun."""
    return write_world(tmp_path)


@pytest.fixture(scope="session")
def done(tmp_path_factory):
    """The settings of a search that has ended: do not change it."""
    settings = write_world(tmp_path_factory.mktemp("done"))
    worker.work(settings)
    return settings


@pytest.fixture
def study(done):
    return opened(dataclasses.replace(done))
