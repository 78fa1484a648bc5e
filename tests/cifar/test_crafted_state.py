"""Files of training that somebody wrote to do harm, with digests that fit: whatever they hold, a
command goes on with them or refuses them in one line, and writes nowhere else."""

from __future__ import annotations

import contextlib
import copy
import functools
import itertools
import json
import os
import shutil
import signal
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

import minigrad as mg
from cifar.errors import UserError
from cifar.results import evaluate, exchange, plots, predict
from cifar.training import request, train, verify
from cifar.training.run import STATE, Settings
from tests.cifar import tiny
from tests.cifar.fuzz import JUNK, mutated, taken_or_refused
from tests.common import refuses

DTYPES = ("float16", "float64", "int64", "int8", "uint8", "bool", "complex64")
MORE = {  # besides JUNK
    "huge": 10**400,
    "a line": "a\nb\x1b[2J",
    "mathematics": "$x^$",
    "half a character": "\ud800",
    "long": "x" * 10_000,
}
WAYS = {
    "Adam": {},
    "momentum": {
        "optimizer": "SGD",
        "optimizer_options": {"momentum": 0.9, "nesterov": True},
        "schedule": "StepLR",
        "schedule_options": {"step_size": 1, "gamma": 2.0},
        "restarts": ((1, 1e-3),),
    },
    "plateau": {"schedule": "ReduceLROnPlateau", "validation": 20},
}


class Enough(BaseException):
    """Training has gone on for long enough."""


@pytest.fixture(scope="module", params=WAYS)
def stopped(request, tmp_path_factory):
    """A run that was stopped in its second epoch of three: its folder and what it changes."""
    out, changes = tmp_path_factory.mktemp("crafted") / "run", {"epochs": 3, **WAYS[request.param]}

    def stop(number, images):
        if number == tiny.STEPS + 1:
            os.kill(os.getpid(), signal.SIGINT)
        return images

    with pytest.MonkeyPatch.context() as patch:
        tiny.install(patch.setattr, each_batch=stop)
        with pytest.raises(KeyboardInterrupt):
            train.run(tiny.settings(out, **changes))
    return out, changes


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("crafted") / "run"
    with pytest.MonkeyPatch.context() as patch:
        tiny.install(patch.setattr)
        train.run(tiny.settings(out))
    return out


def write(tensors, path, note):
    """As ``mg.save``, which refuses dtypes that minigrad has not."""
    arrays = {
        name: np.array(t if isinstance(t, np.ndarray) else t.numpy(), order="C")
        for name, t in tensors.items()
    }
    text = json.dumps(note)
    save_file(arrays, path, {"minigrad": text, "sha256": mg.checkpoint.digest(arrays, text)})


def act_on(run, file, tensors, note, act):
    """``act(folder)`` with a copy of the run whose ``file`` is a crafted one, in the tiny world."""
    place = run.parent / "crafted"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(run, place / "run")
    write(tensors, place / "run" / file, note)
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("error")
        tiny.install(patch.setattr, each_batch=until_enough())
        for name in ("confusion", "mistakes"):
            patch.setattr(plots, name, lambda *_: None)
        with contextlib.suppress(Enough):
            taken_or_refused(lambda: act(place / "run"))
    assert os.listdir(place) == ["run"]


def until_enough(steps=3 * tiny.STEPS):
    taken = itertools.count()

    def each_batch(number, images):
        if next(taken) == steps:
            raise Enough
        return images

    return each_batch


def deep():
    return functools.reduce(lambda inner, _: [inner], range(500), 0)


junk = JUNK | st.sampled_from(list(MORE.values())) | st.builds(deep)
notes = functools.partial(mutated, junk=junk)


@st.composite
def other(draw, tensors):
    """``tensors`` with one or two of them left out, renamed, or of other values, shapes or dtypes.

    NumPy warns of none of what is done here."""
    found = {name: value.numpy().copy() for name, value in tensors.items()}
    for _ in range(draw(st.integers(0, 2))):
        name = draw(st.sampled_from(sorted(found)))
        array = found[name]
        match draw(st.integers(0, 4)):
            case 0:
                del found[name]
            case 1:
                found[draw(st.sampled_from([*found, "x", "model.", "optimizer.0.x", ""]))] = array
            case 2:
                found[name] = array[..., None] if draw(st.booleans()) else array.reshape(-1)[:1]
            case 3:
                with np.errstate(all="ignore"):
                    found[name] = array.real.astype(draw(st.sampled_from(DTYPES)))
            case 4 if array.dtype.kind == "f" and array.size:
                values = [np.nan, np.inf, -1.0, 3e38, 1e-45]
                with np.errstate(all="ignore"):
                    array.reshape(-1)[0] = draw(st.sampled_from(values))
    return found


@settings(max_examples=50)
@given(st.data())
def test_whatever_a_state_holds_a_run_goes_on_or_refuses(stopped, data):
    run, changes = stopped
    tensors, note = mg.checkpoint.read(run / STATE)
    arrays, crafted = data.draw(other(tensors)), data.draw(notes(note))
    asked = tiny.settings(run, resume=True, **{**changes, "epochs": data.draw(st.integers(3, 4))})
    by_record = data.draw(st.booleans())

    def go_on(out):
        found = request.Request(resume=True, out=str(out), progress=False).settings()
        train.run(found if by_record else Settings(**{**vars(asked), "out": str(out)}))

    act_on(run, STATE, arrays, crafted, go_on)


@settings(max_examples=25)
@given(st.data())
def test_whatever_progress_a_state_tells_of(stopped, data):
    """The same, of what training's loop works with."""
    run, changes = stopped
    tensors, note = mg.checkpoint.read(run / STATE)
    for part in data.draw(st.sets(st.sampled_from(["progress", "optimizer"]))):
        note[part] = data.draw(notes(note[part]))
    act_on(
        run, STATE, tensors, note,
        lambda out: train.run(tiny.settings(out, resume=True, **changes)),
    )  # fmt: skip


def resumed(run, changes, edit, **more):
    tensors, note = mg.checkpoint.read(run / STATE)
    note = copy.deepcopy(note)
    tensors = edit(tensors, note) or tensors
    place = run.parent / "edited"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(run, place)
    mg.save(tensors, place / STATE, note)
    with pytest.MonkeyPatch.context() as patch:
        tiny.install(patch.setattr)
        return train.run(tiny.settings(place, resume=True, **{**changes, **more}))


def test_the_state_itself_goes_on(stopped):
    run, changes = stopped
    assert len(resumed(run, changes, lambda tensors, note: None)) == 3


def put(*path, value):
    """An edit that puts a value into a note."""

    def edit(tensors, note):
        *outer, last = path
        functools.reduce(lambda place, key: place[key], outer, note)[last] = value

    return edit


def renamed(old, new):
    return lambda tensors, note: {new if k == old else k: v for k, v in tensors.items()}


def filled(name, value, dtype="float32"):
    def edit(tensors, note):
        return {**tensors, name: np.full(tensors[name].shape, value, dtype)}

    return edit


ADAM = [
    (put("progress", "history", value=[]), "history []"),
    (put("progress", "step", value=tiny.STEPS + 1), "step 6"),
    (put("progress", "seen", value=31), "seen 31"),
    (put("progress", "loss", value=float("nan")), "loss nan"),
    (put("progress", "correct", value=33), "correct 33"),
    (put("progress", "seconds", value=0), "seconds 0"),
    (put("progress", "opening", "losses", value=""), "progress.opening.losses: Expected"),
    (put("progress", "history", 0, "epoch", value=2), "epoch 2"),
    (put("progress", "history", 0, "test_accuracy", value=1.5), "progress.history[0]: test_ac"),
    (put("progress", "history", 0, "train_loss", value=10**400), "progress.history[0].train"),
    (put("optimizer", "steps", "0", value=-1), "steps -1"),
    (put("optimizer", "steps", "0", value=99), "steps 99"),
    (put("optimizer", "steps", value={}), "tensors, among them ['optimizer.0.exp_avg'"),
    (renamed("optimizer.0.exp_avg", "x"), "state_dict: state of parameter 0: expected"),
    (filled("model.0.weight", np.nan), "model.0.weight with NaN or infinity"),
    (filled("model.0.weight", 1e300, "float64"), "model.0.weight of dtype float64"),
    (filled("optimizer.0.exp_avg", 0, "int64"), "optimizer.0.exp_avg of dtype int64"),
]  # fmt: skip
NOT_DECODED = [text for _, text in ADAM if text.startswith(("progress.", "progress:"))]
LOSSLESS = [(put("progress", "history", 0, "validation_loss", value=None), "metrics: expected")]


def test_what_a_state_cannot_be_is_named(stopped, request):
    run, changes = stopped
    state = run.parent / "edited" / STATE
    way = request.node.callspec.params["stopped"]
    for edit, text in {"Adam": ADAM, "plateau": LOSSLESS}.get(way, []):
        with pytest.raises(UserError) as caught:
            resumed(run, changes, edit)
        what = "is not the state of a run (" if text in NOT_DECODED else "does not fit the recipe: "
        assert str(caught.value).startswith(f"resume: {state} {what}{text}")


def test_a_state_of_an_older_minigrad_goes_on_at_the_recipes_rates(stopped):
    """Whatever places and rates it tells of: not all that schedules move was among them."""
    run, changes = stopped

    def edit(tensors, note):
        group = {"lr": float("inf"), "initial_lr": [], "nesterov": "x", "params": None}
        note["optimizer"]["param_groups"] = [group]
        note |= {"schema": 5, "schedule": {"last_epoch": 1023}, "more_schedules": ["x"]}

    histories = resumed(run, changes, edit), resumed(run, changes, lambda *_: None)
    found = [[(line.lr, line.train_loss) for line in history] for history in histories]
    assert found[0] == found[1]


def test_a_run_does_not_end_before_the_test_set_was_used(stopped):
    """Images held out stand in for it until the last epoch."""
    run, changes = stopped
    edit = put("record", "recipe", "epochs", value=1)
    if "validation" in changes:
        text = "epochs: expected more than the 1 that are done, since the test set is kept"
        refuses(UserError, text, lambda: resumed(run, changes, edit, epochs=1))
    else:
        assert len(resumed(run, changes, edit, epochs=1)) == 1


# ---------------------------------------------------------------------------- files of weights


@settings(max_examples=50)
@given(st.data())
def test_whatever_a_file_of_weights_holds(finished, data):
    tensors, note = mg.checkpoint.read(finished / "last.safetensors")
    arrays, crafted = data.draw(other(tensors)), data.draw(notes(note))
    images = tiny.load("", "test").images
    np.save(finished.parent / "x.npy", images)
    split = data.draw(st.sampled_from(evaluate.SPLITS))

    def act(out):
        file = str(out / "last.safetensors")
        for command in data.draw(st.permutations(["verify", "evaluate", "predict", "export"])):
            match command:
                case "verify":
                    verify.run(verify.Settings(file))
                case "evaluate":
                    asked = evaluate.Settings(file, split=split, device="cpu", progress=False)
                    evaluate.run(asked)
                case "predict":
                    files, csv = (str(finished.parent / "x.npy"),), str(out / "x.csv")
                    asked = predict.Settings(file, files, None, csv, True, progress=False)
                    predict.run(asked)
                case "export":
                    exchange.export(exchange.Export(file, str(out / "y.safetensors")))

    act_on(finished, "last.safetensors", arrays, crafted, act)


@pytest.mark.parametrize("name", MORE)
def test_pictures_of_a_run_with_any_name(finished, tmp_path, name):
    """What the fuzzing above leaves out, for it takes most of a second."""
    tensors, note = mg.checkpoint.read(finished / "last.safetensors")
    note["recipe"]["name"] = MORE[name]
    mg.save(tensors, tmp_path / "x.safetensors", note)
    with pytest.MonkeyPatch.context() as patch:
        tiny.install(patch.setattr)
        asked = evaluate.Settings(str(tmp_path / "x.safetensors"), device="cpu", progress=False)
        taken_or_refused(lambda: evaluate.run(asked))


@pytest.mark.parametrize(("value", "dtype"), [(np.nan, "float32"), (1e300, "float64")])
def test_weights_that_are_not_finite(finished, tmp_path, value, dtype):
    tensors, note = mg.checkpoint.read(finished / "last.safetensors")
    mg.save(filled("6.bias", value, dtype)(tensors, note), tmp_path / "x.safetensors", note)
    with pytest.MonkeyPatch.context() as patch:
        tiny.install(patch.setattr)
        asked = evaluate.Settings(str(tmp_path / "x.safetensors"), device="cpu", progress=False)
        text = "x.safetensors is not a usable model: its logits are not finite"
        refuses(UserError, text, lambda: evaluate.run(asked))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("l2", value) for value in ("x", -1, 10**400, float("nan"))),
        *((name, [1, value, 1]) for name in ("mean", "std") for value in (True, 10**400, 1e39)),
    ],
)
def test_recipes_numbers_that_are_none(finished, tmp_path, name, value):
    tensors, note = mg.checkpoint.read(finished / "last.safetensors")
    note["recipe"][name] = value
    mg.save(tensors, tmp_path / "x.safetensors", note)
    with pytest.MonkeyPatch.context() as patch:
        tiny.install(patch.setattr)
        asked = evaluate.Settings(str(tmp_path / "x.safetensors"), device="cpu", progress=False)
        text = rf"x.safetensors is not a model that training wrote: (recipe\.)?{name}(\[1\])?: "
        with pytest.raises(UserError, match=text):
            evaluate.run(asked)


def test_lines_within_a_files_texts_break_no_message(finished, tmp_path):
    tensors, note = mg.checkpoint.read(finished / "last.safetensors")
    note["classes"][0] = note["data_fingerprint"] = "a\nb"
    mg.save(tensors, tmp_path / "x.safetensors", note)
    with pytest.MonkeyPatch.context() as patch:
        tiny.install(patch.setattr)
        file = str(tmp_path / "x.safetensors")
        asked = evaluate.Settings(file, device="cpu", progress=False)
        refuses(UserError, "tells a b, class 1, class 2", lambda: evaluate.run(asked))
        refuses(UserError, "(SHA-256 a b, not ", lambda: verify.run(verify.Settings(file)))


@pytest.mark.parametrize("opening", [None, [], {"losses": []}, {"losses": [None], "sha256": ""}])
def test_openings_that_cannot_be_verified(finished, tmp_path, opening):
    tensors, note = mg.checkpoint.read(finished / "last.safetensors")
    mg.save(tensors, tmp_path / "x.safetensors", {**note, "opening": opening})
    text = "x.safetensors does not hold the first steps of a run ("
    asked = verify.Settings(str(tmp_path / "x.safetensors"))
    refuses(UserError, text, lambda: verify.run(asked))


def test_a_file_cannot_start_more_threads_than_machines_have(finished, tmp_path):
    tensors, note = mg.checkpoint.read(finished / "last.safetensors")
    note["threads"] = verify.MAX_THREADS + 1
    mg.save(tensors, tmp_path / "x.safetensors", note)
    text = "does not hold the first steps of a run (no threads)"
    asked = verify.Settings(str(tmp_path / "x.safetensors"))
    refuses(UserError, text, lambda: verify.run(asked))
