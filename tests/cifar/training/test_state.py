"""A run that was stopped, damaged or changed goes on as if nothing had been, or is refused."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess

import pytest

import minigrad as mg
from cifar import datasets
from cifar.errors import DataError, UserError
from cifar.training import train
from cifar.training.state import SCHEMA
from tests.cifar import tiny
from tests.cifar.datasets import tiny_cifar10
from tests.cifar.training.common import FILES, LOAD, WAYS, send
from tests.common import refuses


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


@pytest.mark.parametrize("changes", WAYS.values(), ids=WAYS)
def test_every_way_of_training_resumes(small, tmp_path, changes):
    train.run(tiny.settings(tmp_path / "whole", **changes))
    small(each_batch=send([signal.SIGINT], 3))
    with pytest.raises(KeyboardInterrupt):
        train.run(tiny.settings(tmp_path / "parts", **changes))
    small()
    train.run(tiny.settings(tmp_path / "parts", resume=True, **changes))
    assert tiny.results(tmp_path / "parts") == tiny.results(tmp_path / "whole")


def test_options_that_counted_steps_are_said(small, tmp_path, capsys):
    train.run(tiny.settings(tmp_path, epochs=1, **WAYS["warm restarts"]))
    train.run(tiny.settings(tmp_path, epochs=2, resume=True, **WAYS["warm restarts"]))
    assert capsys.readouterr().err == ""
    rewritten(tmp_path / "state.safetensors", schema=5)
    train.run(tiny.settings(tmp_path, epochs=3, resume=True, **WAYS["warm restarts"]))
    said = "note: the run was started when T_0 counted steps; now epochs: its rates differ\n"
    assert capsys.readouterr().err == said


def test_resuming_on_other_threads_is_said(small, tmp_path, capsys):
    threads = mg.get_num_threads()
    train.run(tiny.settings(tmp_path, epochs=1))
    train.run(tiny.settings(tmp_path, epochs=2, resume=True))
    assert capsys.readouterr().err == ""
    mg.set_num_threads(threads + 1)
    train.run(tiny.settings(tmp_path, epochs=3, resume=True))
    said = f"note: the run was started with threads {threads}, not {threads + 1}: it goes on"
    assert capsys.readouterr().err.startswith(said)
    train.run(tiny.settings(tmp_path, epochs=4, resume=True))
    assert capsys.readouterr().err.startswith(said)
    mg.set_num_threads(threads)
    train.run(tiny.settings(tmp_path, epochs=5, resume=True))
    assert capsys.readouterr().err == ""


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
        lambda p: rewritten(p, schema=SCHEMA + 1),
        f"is of a newer minigrad (schema {SCHEMA + 1}, expected {SCHEMA})",
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
    unfit, no_state = "does not fit the recipe: ", "is not the state of a run ("
    for without, changes, text in (
        ("model.0.weight", {}, unfit),
        ("", {"progress": {"epoch": 0, "step": 1}}, unfit),
        ("", {"optimizer": {"steps": {"x": 1}, "param_groups": []}}, unfit),
        ("", {"optimizer": {}}, no_state),
        ("", {"progress": {"epoch": "0"}}, no_state),
    ):
        mg.save({k: v for k, v in tensors.items() if k != without}, state, {**note, **changes})
        text = f"resume: {state} {text}"
        refuses(UserError, text, lambda: train.run(tiny.settings(tmp_path, resume=True)))


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
