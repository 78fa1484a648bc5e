"""Models to other programs and back: what PyTorch and onnxruntime make of the files; mistakes."""

from __future__ import annotations

import dataclasses
import json
import os
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import safetensors.torch
import torch

import minigrad as mg
from cifar.datasets import augment
from cifar.errors import UserError
from cifar.results import evaluate, exchange
from cifar.results.exchange import Export, Import
from cifar.training import train
from tests.cifar import tiny
from tests.common import refuses

IMAGES = tiny.load("", "test").images


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("exchange") / "run"
    with pytest.MonkeyPatch.context() as patch:
        tiny.install(patch.setattr)
        train.run(tiny.settings(out))
    return str(out)


@pytest.fixture
def run(folder, monkeypatch):
    """The folder of a tiny run, with the tiny model and recipe in place of all others."""
    tiny.install(monkeypatch.setattr)
    return folder


def twin():
    """The tiny model in PyTorch."""
    n = torch.nn
    return n.Sequential(
        *(n.Conv2d(3, 4, 3, 2), n.BatchNorm2d(4), n.ReLU(), n.MaxPool2d(3)),
        *(n.Flatten(), n.Dropout(0.2), n.Linear(100, 10)),
    )


def inputs(trained):
    """The images as the network takes them."""
    transform = augment.evaluation(trained.record.recipe.mean, trained.record.recipe.std)
    data = mg.data.TensorDataset(mg.tensor(IMAGES))
    ((x,),) = mg.data.DataLoader(data, len(IMAGES), transform=transform)
    return x.numpy()


# ---------------------------------------------------------------------------- there


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_pytorch_loads_exported_weights(run, tmp_path, suffix, last):
    file = tmp_path / f"x.{suffix}"
    trained = exchange.export(Export(run, str(file), last))
    assert trained.path.stem == ("last" if last else "best")
    if suffix == "pt":
        state = torch.load(file, weights_only=True)
    else:
        state = safetensors.torch.load_file(file)
    theirs = twin()
    theirs.load_state_dict(state, strict=True)
    if last:
        assert theirs[1].num_batches_tracked == tiny.EPOCHS * tiny.STEPS
    with torch.no_grad():
        logits = theirs.eval()(torch.tensor(inputs(trained))).numpy()
    expected = evaluate.logits(evaluate.load(run, last=last), IMAGES)
    np.testing.assert_allclose(logits, expected, 1e-5, 1e-5)


def test_exported_safetensors_are_a_model_as_the_run_is(run, tmp_path):
    file = tmp_path / "x.safetensors"
    exchange.export(Export(run, str(file)))
    copy, original = evaluate.load(file), evaluate.load(run)
    assert copy.record == original.record
    np.testing.assert_array_equal(evaluate.logits(copy, IMAGES), evaluate.logits(original, IMAGES))


@pytest.mark.parametrize("suffix", ["safetensors", "onnx"])
def test_where_the_data_lay_is_not_exported(run, tmp_path, suffix):
    weights, note = mg.checkpoint.read(evaluate.find(run))
    mg.save(weights, tmp_path / "x.safetensors", note | {"data_dir": "/home/me"})
    exchange.export(Export(str(tmp_path / "x.safetensors"), str(tmp_path / f"y.{suffix}")))
    assert b"/home/me" not in (tmp_path / f"y.{suffix}").read_bytes()


def test_the_graph_and_what_it_says(run, tmp_path):
    file = tmp_path / "x.onnx"
    trained = exchange.export(Export(run, str(file)))
    onnx.checker.check_model(onnx.load(file), full_check=True)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    for n in (1, 7, 30):
        (logits,) = session.run(["logits"], {"images": inputs(trained)[:n]})
        expected = evaluate.logits(trained, IMAGES[:n])
        np.testing.assert_allclose(logits, expected, 1e-5, 1e-5)
    said = session.get_modelmeta()
    notes = {name: json.loads(text) for name, text in said.custom_metadata_map.items()}
    assert notes["classes"] == list(trained.classes)
    assert (notes["mean"], notes["std"]) == (list(tiny.RECIPE.mean), list(tiny.RECIPE.std))
    assert notes["minigrad"] == json.loads(json.dumps(trained.record.as_note()))
    assert said.description.startswith("tiny, seed 0, epoch ")
    assert "less mean, over std" in said.description


# ---------------------------------------------------------------------------- and back


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_weights_of_pytorch_are_imported(run, tmp_path, suffix):
    theirs = twin()
    theirs(torch.rand(8, 3, 32, 32))  # moves the running statistics
    file, out = tmp_path / f"x.{suffix}", tmp_path / "out.safetensors"
    if suffix == "pt":
        torch.save(theirs.state_dict(), file)
    else:
        safetensors.torch.save_file(theirs.state_dict(), file)
    asked = Import("tiny", str(file), str(out), "synthetic", ("mean=0.1,0.2,0.3", "l2=0.5"))
    assert exchange.adopt(asked)[1].num_batches_tracked.item() == 1
    trained = evaluate.load(out)
    assert (trained.record.recipe.mean, trained.record.recipe.std) == (
        (0.1, 0.2, 0.3),
        tiny.RECIPE.std,
    )
    assert trained.record.recipe.l2 == 0.5
    assert trained.record.imported == file.name
    assert trained.classes[0] != "class 0"  # those of the real synthetic set
    with torch.no_grad():
        expected = theirs.eval()(torch.tensor(inputs(trained))).numpy()
    np.testing.assert_allclose(evaluate.logits(trained, IMAGES), expected, 1e-4, 1e-5)
    exchange.export(Export(str(out), str(tmp_path / "y.onnx")))  # no seed, no epoch


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_there_and_back_is_the_same_model(run, tmp_path, suffix):
    file, out = tmp_path / f"x.{suffix}", tmp_path / "out.safetensors"
    exchange.export(Export(run, str(file)))
    exchange.adopt(Import("tiny", str(file), str(out)))
    back, original = evaluate.load(out), evaluate.load(run)
    np.testing.assert_array_equal(evaluate.logits(back, IMAGES), evaluate.logits(original, IMAGES))
    assert back.classes[:2] == ("airplane", "automobile")
    assert back.record.describe() == "tiny"


@pytest.mark.parametrize(
    ("name", "wrap", "said"),
    [
        (
            "x.pth.tar",
            lambda state: {"state_dict": state, "epoch": 3},
            ["took the state dict 'state_d"],
        ),
        (
            "x.ckpt",
            lambda state: {"state_dict": prefixed("net.", state)},
            ["took ", "lost their first part 'net.'"],
        ),
        ("x.bin", lambda state: prefixed("module.", state), ["lost their first part 'module.'"]),
        (
            "x",
            lambda state: prefixed("_orig_mod.model.", state),
            ["part '_orig_mod.'", "first part 'model.'"],
        ),
        (
            "x.pt",
            lambda state: {"net": {k: halved(t) for k, t in state.items()}, "acc": 9.5},
            ["bfloat16", "'net'"],
        ),
        ("x.pt", lambda state: state, []),
    ],
)
def test_checkpoints_as_they_are_found(run, tmp_path, capsys, name, wrap, said):
    theirs = twin()
    state = {k: torch.randint(-4, 4, t.shape).to(t.dtype) for k, t in theirs.state_dict().items()}
    torch.save(wrap(state), tmp_path / name)
    model = exchange.adopt(Import("tiny", str(tmp_path / name), str(tmp_path / "out.safetensors")))
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), state[key].numpy())
    lines = capsys.readouterr().err.splitlines()
    assert all(line.startswith(f"note: {tmp_path / name}: ") for line in lines)
    assert len(lines) == len(said)
    for words in said:
        assert any(words in line for line in lines)


def prefixed(prefix, state):
    return {f"{prefix}{name}": value for name, value in state.items()}


def halved(value):
    return value.to(torch.bfloat16) if value.is_floating_point() else value


def test_what_is_done_to_a_file_is_said_by_other_commands_too(run, tmp_path, capsys):
    safetensors.torch.save_file(twin().to(torch.bfloat16).state_dict(), tmp_path / "x.safetensors")
    asked = Export(str(tmp_path / "x.safetensors"), str(tmp_path / "y.pt"))
    refuses(UserError, "names no recipe (`cifar import`", lambda: exchange.export(asked))
    said = capsys.readouterr().err
    assert said.startswith(f"note: {tmp_path}/x.safetensors: bfloat16, which NumPy lacks, has")


def test_a_layer_that_is_missing_is_named_without_the_prefix(run, tmp_path):
    state = twin().state_dict()
    del state["6.bias"]
    torch.save(prefixed("net.", state), tmp_path / "x.pt")
    asked = Import("tiny", str(tmp_path / "x.pt"), str(tmp_path / "out.safetensors"))
    refuses(UserError, "does not hold the model 'tiny': state_dict", lambda: exchange.adopt(asked))
    refuses(UserError, "missing 6.bias", lambda: exchange.adopt(asked))


# ---------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("out", "text"),
    [
        ("x.h5", "out: expected a file that ends in .safetensors, .pt or .onnx, got "),
        ("x", "out: expected a file that ends in"),
        ("nowhere/x.onnx", "nowhere/x.onnx: No such file or directory"),
        ("nowhere/x.pt", "out: cannot write "),
        ("folder.pt", "out: cannot write "),
    ],
)
def test_what_cannot_be_written(run, tmp_path, out, text):
    (tmp_path / "folder.pt").mkdir()
    refuses(UserError, text, lambda: exchange.export(Export(run, str(tmp_path / out))))
    assert os.listdir(tmp_path) == ["folder.pt"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "load", lambda *_: pytest.fail("loaded before it was known"))
        refuses(UserError, text, lambda: exchange.export(Export(run, str(tmp_path / out))))
    weights = f"{run}/last.safetensors"
    asked = Import("tiny", weights, str(tmp_path / "nowhere" / "x.safetensors"))
    refuses(UserError, "out: cannot write ", lambda: exchange.adopt(asked))


@pytest.mark.parametrize(("suffix", "package"), [("onnx", "onnx"), ("pt", "torch")])
def test_a_missing_package_is_named(run, tmp_path, monkeypatch, suffix, package):
    file = tmp_path / f"x.{suffix}"
    theirs = tmp_path / "theirs"
    torch.save({}, theirs)
    monkeypatch.setitem(sys.modules, package, None)
    text = mg.console.install(package)
    refuses(UserError, text, lambda: exchange.export(Export(run, str(file))))
    if package == "torch":
        asked = Import("tiny", str(theirs), str(tmp_path / "y.safetensors"))
        refuses(UserError, text, lambda: exchange.adopt(asked))
    assert os.listdir(tmp_path) == ["theirs"]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"recipe": "nonesuch"}, "recipe: expected one of "),
        ({"dataset": "mnist"}, "unknown data set 'mnist'"),
        ({"out": "x.pt"}, "out: expected a file that ends in .safetensors, got x.pt"),
        ({"file": "nowhere.pt"}, "file: cannot read nowhere.pt: No such file or directory"),
        ({"file": "."}, "file: cannot read .: Is a directory"),
        ({"file": "text"}, "file: text is not a whole file of tensors: neither safetensors nor"),
        ({"file": "float8"}, "file: float8 has a dtype that NumPy lacks (F8_E4M3 of '0.weight')"),
        ({"file": "other.pt"}, "file: other.pt does not hold the model 'simple': state_dict for "),
        (
            {"set": ("std=1,0,1",)},
            "std: expected numbers above 0 and at most 1, since pixels are from 0 to 1, got (",
        ),
        (
            {"set": ("mean=1,1,Infinity",)},
            "mean: expected numbers from 0 to 1, since pixels are, got (1.0, 1.0, inf)",
        ),
        ({"set": ("frob=1",)}, "set: expected one of model, epochs"),
    ],
)
def test_what_cannot_be_imported(tmp_path, monkeypatch, changes, text):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text("no weights")
    eight = {"0.weight": torch.zeros(1, dtype=torch.float8_e4m3fn)}
    safetensors.torch.save_file(eight, tmp_path / "float8")
    mg.save({"0.weight": mg.zeros(32, 3, 3, 3), "x": mg.zeros(1)}, "other.pt")
    before = sorted(os.listdir())
    asked = dataclasses.replace(Import("simple", "other.pt", "out.safetensors"), **changes)
    refuses(UserError, text, lambda: exchange.adopt(asked))
    assert sorted(os.listdir()) == before
