"""Ranks train one run as one process does; what they share. With real ranks:
tests/distributed/test_mpi.py."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import minigrad as mg
from cifar.datasets import augment
from cifar.errors import UserError
from cifar.training import parallel
from cifar.training.loop import fit
from cifar.training.run import arrays, make_run
from minigrad.distributed import group
from tests.cifar import tiny
from tests.cifar.training.common import WAYS
from tests.common import refuses
from tests.distributed.common import OfThread, on_ranks

# Not Adam alone: of a bias ahead of batch norm, whose gradient is 0, it divides what rounding left.
RECIPES = {
    "even": WAYS["momentum"],
    "weighted": WAYS["momentum"] | WAYS["long tail"] | {"batch_size": 8, "epochs": 5},
    "groups": WAYS["groups"] | {"batch_size": 13, "epochs": 3},
    "dropped": WAYS["momentum"] | WAYS["penalty"] | {"batch_size": 13, "drop_last": True},
}


@pytest.fixture
def exact(monkeypatch):
    """The tiny world in float64, in which the ranks are threads."""
    create, normalize = tiny.create, augment.normalize
    tiny.install(monkeypatch.setattr)
    monkeypatch.setattr("cifar.models.create", lambda *a, **o: create(*a, **o).double())
    monkeypatch.setattr(augment, "normalize", lambda *a: normalize(*a).double())
    joined = OfThread()
    monkeypatch.setattr(group, "_joined", joined)
    return joined.own


@pytest.mark.parametrize("name", RECIPES)
def test_ranks_train_as_one_process(exact, tmp_path, name):
    """20 steps or more with synchronised batch norm: weights, moments, averages and figures; sets
    that do not divide evenly, and ranks without images of a last batch."""
    recipe = dataclasses.replace(tiny.RECIPE, **{"epochs": 4, **RECIPES[name]})
    settings = dataclasses.replace(tiny.settings(tmp_path), sync_batch_norm=True)

    def train(rank):
        exact.rank = rank
        run, _ = make_run(settings, recipe, mg.device("cpu"), tmp_path)
        figures = [
            value
            for metrics in fit(run)
            for key, value in metrics.as_dict().items()
            if "second" not in key and "memory" not in key
        ]
        assert (run.averager is None) == (rank.size == 1)
        assert run.progress.epoch * len(run.train) >= 20
        figures += [*run.progress.opening.losses, *run.test_confusion.ravel()]
        return {"figures": np.array(figures), **arrays(run)}

    (alone,) = on_ranks(1, train)
    assert alone["model.0.weight"].dtype == np.float64
    for ranks in (2, 3, 4):
        for found in on_ranks(ranks, train):
            for key, value in alone.items():
                np.testing.assert_allclose(found[key], value, rtol=0, atol=1e-12, err_msg=key)


def test_ranks_with_other_images_are_refused(exact):
    data = tiny.load("synthetic", "train")
    other = dataclasses.replace(data, labels=data.labels[::-1].copy())
    sets = data, other, dataclasses.replace(other, name="cifar10")

    def said(rank):
        exact.rank = rank
        try:
            parallel.check_same_data(sets[rank.rank])
        except UserError as error:
            return str(error)
        return ""

    first, second, third = on_ranks(3, said)
    assert first == ""
    assert second.startswith(f"dataset: expected the images of rank 0 ({data.name}), got other")
    assert f"({data.name}), got cifar10 on" in third


@pytest.fixture
def ranks(monkeypatch):
    """This process taken for rank 1 of 4."""
    for name, value in (("rank", 1), ("world_size", 4), ("local_rank", 1), ("local_size", 2)):
        monkeypatch.setattr(mg.distributed, f"get_{name}", lambda *_, value=value: value)


def test_alone():
    with parallel.job(False):
        assert parallel.any_rank(True)
        assert parallel.command(("cifar", "train")) == ("cifar", "train")
        assert parallel.own_gpu("gpu:1") == "gpu:1"


def test_of_several_ranks(ranks, monkeypatch):
    assert parallel.command(("cifar", "train"))[:4] == ("mpirun", "-n", "4", "cifar")
    assert parallel.command(("cifar", "train"))[-1] == "--distributed"
    assert parallel.own_gpu("cpu") == "cpu"
    assert {parallel.own_gpu(name) for name in ("gpu", "gpu:0", "cuda")} == {"gpu:1"}
    for there, name in ((False, "cpu"), (True, "gpu:1")):
        monkeypatch.setattr(mg, "is_gpu_available", lambda there=there: there)
        assert parallel.own_gpu("auto") == name


def test_a_missing_library_is_a_mistake(monkeypatch):
    def missing(**_):
        raise ImportError("distributed: mpi4py is missing")

    monkeypatch.setattr(mg.distributed, "process_group", missing)

    def start():
        with parallel.job(True):
            pass

    refuses(UserError, "mpi4py is missing", start)


def test_a_rank_with_one_image(ranks, monkeypatch):
    """80 images in batches of 16 leave none; in batches of 13, two, and some ranks get one."""
    monkeypatch.setattr(parallel.models, "build", lambda *_, **__: mg.nn.Sequential(
        mg.nn.Flatten(), mg.nn.Linear(3072, 4), mg.nn.BatchNorm1d(4)))  # fmt: skip
    data = tiny.load("synthetic", "train")
    odd = dataclasses.replace(tiny.RECIPE, batch_size=13)
    parallel.check_smallest_batch(tiny.RECIPE, data, None, False)
    parallel.check_smallest_batch(odd, data, None, True)
    text = "batch_size: 13 of 80 training images leaves a batch of one to some of 4 ranks, on which"
    refuses(UserError, text, lambda: parallel.check_smallest_batch(odd, data, None, False))
