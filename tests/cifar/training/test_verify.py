"""A stored run's first steps come out the same again, or it is said what differs."""

from __future__ import annotations

import os
import signal
from types import SimpleNamespace

import pytest

import minigrad as mg
from cifar import cli, datasets, recipes
from cifar.errors import UserError
from cifar.training import loop, train, verify
from cifar.training.request import Request
from cifar.training.run import Settings
from tests.cifar import tiny
from tests.cifar.training.common import WAYS, overflowing, spoil_all, spoil_gradient
from tests.common import refuses, unprivileged


@pytest.fixture
def small(monkeypatch):
    def install(**options):
        monkeypatch.undo()
        tiny.install(monkeypatch.setattr, **options)
        return monkeypatch

    return install() and install


@pytest.fixture
def run(small, tmp_path):
    """A run of other settings than the recipe's."""
    changes = {
        "optimizer": "SGD",
        "optimizer_options": {"momentum": 0.5},
        "batch_size": 8,
        "l2": 1e-3,
    }
    train.run(tiny.settings(tmp_path / "run", seed=3, epochs=1, restarts=((0, 0.1),), **changes))
    return tmp_path / "run"


def test_a_run_repeats_itself(run, capsys):
    found = verify.run(verify.Settings(str(run)))
    assert found.matches
    assert len(found.then) == loop.OPENING_STEPS
    assert len(set(found.then)) > 5
    assert found.changes == []
    assert cli.main(["verify", str(run)]) == 0
    path = run / "last.safetensors"
    text = f"the first 10 steps of {path}: losses and weights are the same, bit for bit\n"
    assert capsys.readouterr().out.endswith(text)


def stored(path, edit):
    """The file with other metadata."""
    tensors, note = mg.checkpoint.read(path)
    edit(note)
    mg.save(tensors, path, note)


def test_other_losses_are_shown(run, capsys):
    def edit(note):
        note["opening"]["losses"][4] *= 1 + 1e-7
        note["blas"] = "abacus 1"

    stored(run / "last.safetensors", edit)
    assert cli.main(["verify", str(run)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f"the first 10 steps of {run / 'last.safetensors'} are NOT the same"
    assert [len(set(line.split()[1:])) for line in lines[-11:-1]] == [1, 1, 1, 1, 2, 1, 1, 1, 1, 1]
    assert f"{run / 'last.safetensors'} was trained with blas abacus 1, not " in "\n".join(lines)


def test_other_weights_are_told_from_other_losses(run, capsys):
    stored(run / "last.safetensors", lambda note: note["opening"].update(sha256="0"))
    assert cli.main(["verify", str(run / "last.safetensors")]) == 1
    assert capsys.readouterr().out.endswith(" are NOT the same: the weights\n")


def test_a_run_stopped_in_its_first_epoch(small, tmp_path):
    def stop(number, images):
        if number == 10:
            os.kill(os.getpid(), signal.SIGINT)
        return images

    small(each_batch=stop)
    with pytest.raises(KeyboardInterrupt):
        train.run(tiny.settings(tmp_path, batch_size=4))
    small()
    assert verify.run(verify.Settings(str(tmp_path))).matches


def test_a_resumed_run_keeps_its_opening(small, tmp_path):
    def stop(number, images):
        if number == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return images

    small(each_batch=stop)
    with pytest.raises(KeyboardInterrupt):
        train.run(tiny.settings(tmp_path, batch_size=4))
    small()
    train.run(tiny.settings(tmp_path, batch_size=4, resume=True))
    found = verify.run(verify.Settings(str(tmp_path)))
    assert found.matches
    assert len(found.then) == loop.OPENING_STEPS


def test_a_resumed_run_is_verified_as_it_began(small, tmp_path):
    """With the threads and kernels of its first session, whatever later ones had."""
    threads, compiled = mg.get_num_threads(), mg.is_compiled()
    mg.set_num_threads(threads + 1)
    mg.set_compiled(False)
    try:
        train.run(tiny.settings(tmp_path, epochs=1))
    finally:
        mg.set_num_threads(threads)
        mg.set_compiled(compiled)
    for epochs in (2, 3):
        train.run(tiny.settings(tmp_path, epochs=epochs, resume=True))
        for name in verify.FILES:
            found = verify.run(verify.Settings(str(tmp_path / name)))
            assert (found.matches, found.changes) == (True, [])
            record, opening, _ = verify._read(tmp_path / name)
            assert (record.threads, record.kernels) == (threads + 1, "NumPy")
            assert opening.began == record


@pytest.mark.parametrize("name", ["groups", "one cycle"])
def test_a_run_of_more_epochs_is_verified_with_those_that_it_began_with(small, tmp_path, name):
    """A schedule that is stretched has other rates, also in the first steps."""
    train.run(tiny.settings(tmp_path, epochs=2, **WAYS[name]))
    record = verify._read(tmp_path / "last.safetensors")[0]
    settings = Request(resume=True, out=str(tmp_path), epochs=4).settings()
    assert train.run(settings)[-1].epoch == 4
    assert verify.run(verify.Settings(str(tmp_path))).matches
    assert verify._read(tmp_path / "last.safetensors")[0].recipe == record.recipe
    stored(tmp_path / "last.safetensors", lambda note: note["opening"].pop("began"))
    assert not verify.run(verify.Settings(str(tmp_path))).matches  # as an older minigrad wrote it


def test_threads_and_kernels_are_those_of_the_run(small, tmp_path, monkeypatch):
    before = mg.get_num_threads(), mg.is_compiled()
    mg.set_num_threads(before[0] + 2)
    mg.set_compiled(False)
    train.run(tiny.settings(tmp_path, epochs=1))
    mg.set_num_threads(before[0])
    mg.set_compiled(before[1])
    seen = []
    opening = loop.train_opening
    monkeypatch.setattr(
        loop, "train_opening", lambda run: seen.append(run.record.threads) or opening(run)
    )
    found = verify.run(verify.Settings(str(tmp_path)))
    assert found.matches
    assert seen == [before[0] + 2]
    assert found.changes == []
    assert (mg.get_num_threads(), mg.is_compiled()) == before


def test_the_precision_is_that_of_the_run():
    before = mg.get_precision()
    record = SimpleNamespace(threads=1, kernels=None, precision="bf16")
    with verify._as_it_was(record, SimpleNamespace(type="gpu")):
        assert mg.get_precision() == "bf16"
    assert mg.get_precision() == before


@pytest.mark.parametrize("spoil", [spoil_gradient, spoil_all])
def test_skipped_steps_are_repeated(small, tmp_path, spoil):
    overflowing(small(), spoil, {2})
    train.run(tiny.settings(tmp_path, epochs=2))
    overflowing(small(), spoil, {2})
    assert verify.run(verify.Settings(str(tmp_path))).matches
    overflowing(small(), spoil, {3})
    assert not verify.run(verify.Settings(str(tmp_path))).matches


def test_other_data_are_refused(run):
    stored(run / "last.safetensors", lambda note: note.update(data_fingerprint="abc"))
    text = "data_dir: the run was trained on other images of synthetic (SHA-256 abc, not "
    refuses(UserError, text, lambda: verify.run(verify.Settings(str(run))))


@pytest.mark.parametrize("name", ["recipe", "threads", "seed", "device", "opening", "dataset"])
def test_files_that_do_not_tell(run, name):
    for value in (None, 1.5, [], {"name": 3, "novel": 4}):
        stored(run / "last.safetensors", lambda note, value=value: note.update({name: value}))
        with pytest.raises(UserError):
            verify.run(verify.Settings(str(run)))


def test_no_run(tmp_path):
    text = f"run: there is no {tmp_path}/last.safetensors or {tmp_path}/state.safetensors; name one"
    refuses(UserError, text, lambda: verify.run(verify.Settings(str(tmp_path))))
    with unprivileged() as folder:
        (folder / "last.safetensors").touch(0)
        text = f"run: cannot read {folder}/last.safetensors: Permission denied"
        refuses(UserError, text, lambda: verify.run(verify.Settings(str(folder))))
    (tmp_path / "last.safetensors").write_bytes(b"?")
    text = f"run: {tmp_path}/last.safetensors is not a whole file of tensors"
    refuses(UserError, text, lambda: verify.run(verify.Settings(str(tmp_path))))


def test_the_folder_of_data_is_the_runs_own(run, small, monkeypatch):
    asked = []
    stored(run / "last.safetensors", lambda note: note.update(data_dir="/data"))
    monkeypatch.setattr(datasets, "holds", lambda *_: True)
    monkeypatch.setattr(datasets, "load", lambda *given: asked.append(given) or tiny.load(*given))
    assert verify.run(verify.Settings(str(run))).matches
    assert verify.run(verify.Settings(str(run), data_dir="mine")).matches
    assert {given[2] for given in asked} == {"/data", "mine"}


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_repeats_itself(name, tmp_path, monkeypatch):
    """Same seed, same machine, same bits: losses and weights of the first steps."""
    monkeypatch.setattr(loop, "OPENING_STEPS", 2)
    monkeypatch.setattr(datasets, "load", tiny.load)
    changes = {"batch_size": 2, "validation": 0, "long_tail": 1.0}  # for there are few images
    settings = Settings(name, "cpu", "synthetic", overrides=changes, progress=False)
    recipe = train.checked_recipe(settings)
    first, second = (
        loop.train_opening(train.prepare(settings, recipe, mg.device("cpu"), tmp_path)[0])
        for _ in "ab"
    )
    assert first == second
    assert len(first.losses) == 2
    assert first.sha256
