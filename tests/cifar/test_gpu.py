"""What only a card shows: the CPU's numbers, its memory, and what crosses the bus. Skipped without.

Operations have their own tests on both devices; here are whole networks and whole runs.
"""

from __future__ import annotations

import dataclasses
import gc
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import minigrad as mg
from benchmarks import traffic
from cifar import models
from cifar.device import find_device
from cifar.training import loop, train
from tests.cifar import tiny

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def gpu(device):
    """The card; the CPU's turn of the fixture is skipped too."""
    if device == "cpu":
        pytest.skip("needs a GPU")
    return mg.device(device)


@pytest.fixture
def small(monkeypatch):
    tiny.install(monkeypatch.setattr)


def settings(out, **options):
    return dataclasses.replace(tiny.settings(out), device="gpu", precision="fp32", **options)


def prepared(out, **options):
    asked = settings(out, **options)
    recipe = train.checked_recipe(asked)
    return train.prepare(asked, recipe, mg.device("gpu"), out)[0]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", models.names())
def test_logits_as_on_the_cpu(gpu, name, training):
    images = np.random.default_rng(0).standard_normal((8, 3, 32, 32)).astype(np.float32)
    found = []
    for where in (mg.device("cpu"), gpu):
        mg.manual_seed(1)  # dropout's masks too
        model = models.create(name, 10, seed=0).to(where).train(training)
        found.append(model(mg.tensor(images, device=where)).detach().cpu().numpy())
    largest = np.abs(found[0]).max()
    assert largest > 1e-2
    np.testing.assert_allclose(found[1], found[0], rtol=0, atol=1e-4 * max(1, largest))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("capture", [False, True])
def test_the_same_run_twice(gpu, tmp_path, capture):
    """To the bit, and plain steps as captured ones."""
    found = []
    for name, captured in (("a", capture), ("b", False)):
        train.run(settings(tmp_path / name, capture=captured))
        found.append(tiny.results(tmp_path / name))
        for key, line in found[-1].items():
            if key.startswith("epoch"):
                del line["gpu_memory_mb"]
    assert found[0] == found[1]


@pytest.mark.usefixtures("small")
def test_a_run_as_on_the_cpu(gpu, tmp_path):
    """Same masks and batches: losses part only by rounding."""
    histories = []
    for where in ("cpu", "gpu"):
        histories.append(train.run(dataclasses.replace(settings(tmp_path / where), device=where)))
    for name in ("train_loss", "test_loss"):
        ours, theirs = ([getattr(line, name) for line in history] for history in histories)
        np.testing.assert_allclose(ours, theirs, rtol=1e-2)
    cpu, there = (history[0]["train_loss"] for history in histories)
    assert abs(cpu - there) < 1e-3


@pytest.mark.usefixtures("small")
def test_a_run_on_the_second_of_two(gpu, tmp_path):
    if gpu.xp.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("needs two GPUs")
    try:
        train.run(dataclasses.replace(settings(tmp_path / "b"), device="gpu:1"))
    finally:
        find_device("gpu:0")
    train.run(settings(tmp_path / "a"))
    assert tiny.results(tmp_path / "a").keys() == tiny.results(tmp_path / "b").keys()


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("capture", [False, True])
def test_memory_does_not_grow_from_epoch_to_epoch(gpu, tmp_path, capture, capsys):
    gc.collect()  # pools of captured steps of other tests, which are counted as long as they live
    options = {"capture": capture, "overrides": {"epochs": 6}}
    held = [line.gpu_memory_mb for line in train.run(settings(tmp_path / "run", **options))]
    assert held[0] > 0
    assert held[1:] == held[1:2] * 5
    assert f"{held[-1]:.0f} MB of the GPU" in capsys.readouterr().out


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("capture", [False, True])
def test_what_crosses_the_bus_in_a_step(gpu, tmp_path, capture):
    """What comes back is two numbers to log, now and then of many steps at once; what goes there
    are drawn numbers, rates and addresses, no image."""
    if not torch.cuda.is_available():
        pytest.skip("needs PyTorch with CUDA, whose profiler counts")
    this = prepared(tmp_path, capture=capture, overrides={"batch_size": 4})

    def steps(count):
        loop.train_epoch(this, count)
        gpu.xp.cuda.Device(gpu.index).synchronize()

    steps(loop.OPENING_STEPS + 1)  # compiled, recorded, and the digest of the opening taken
    three, six = (traffic.watched(lambda n=n: steps(n)) for n in (3, 6))
    one = traffic.Traffic(*(b - a for a, b in zip(three, six, strict=True))).per(3)
    assert one.to_host <= 1
    assert 0 < one.bytes_to_host <= 16
    assert 0 < one.bytes_to_gpu < 3 * 32 * 32  # of four images one alone would be as much


def test_labels_that_are_no_classes(gpu):
    """Told when a value is read, not before; and the card goes on."""
    x, labels = mg.randn(4, 3, device=gpu), mg.tensor([0, 1, 7, 2], device=gpu)
    loss = mg.functional.cross_entropy(x, labels)
    with pytest.raises(IndexError, match=r"target: expected class indices from 0 to 2 .* got 7"):
        loss.item()
    assert np.isfinite(loss.item())


def test_out_of_memory_says_which_batch_fits(gpu):
    """Memory runs out where the pool is told to stop; the advice is not far off."""
    pool = gpu.xp.get_default_memory_pool()
    weight = mg.ones(3, 1, 1, device=gpu).requires_grad_()

    def step(batch):
        x = mg.ones(batch, 3, 16, 16, device=gpu)
        for _ in range(8):
            x = (x * weight).tanh()
        x.sum().backward()

    def taken(batch):
        pool.free_all_blocks()
        before = pool.total_bytes()
        step(batch)
        return pool.total_bytes() - before

    step(1)  # whatever is made once
    whole = taken(64)
    pool.free_all_blocks()
    try:
        pool.set_limit(size=pool.total_bytes() + whole // 2)
        with pytest.raises(mg.OutOfMemoryError) as caught, mg.memory.advice(64, gpu):
            step(64)
        most = int(str(caught.value).split("at most about ")[1].split()[0])
        del caught  # and with it the arrays of the frames that it went through
        gc.collect()
        assert 8 < most < 64
        step(most // 4)
        with pytest.raises(mg.OutOfMemoryError):
            step(2 * most)
    finally:
        pool.set_limit(size=0)


def test_compiled_kernels_stay_for_the_next_process(gpu, tmp_path):
    program = "import minigrad as mg; mg.functional.dropout(mg.ones(3, device='gpu')).sum().item()"
    environment = {**os.environ, "CUPY_CACHE_DIR": str(tmp_path)}

    def run():
        subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, check=True)
        return {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.cubin")}

    first = run()
    assert first
    assert run() == first
