"""PyTorch's files go both ways; whatever else has that suffix is refused with its reason."""

from __future__ import annotations

import io
import pickletools
import re
import sys
import time
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.checkpoint import pt_file
from tests.checkpoint.common import DTYPES, in_one_folder, lenet, some_tensors
from tests.common import grid, host, lay_out, refuses


@pytest.mark.parametrize("suffix", ["pt", "pth"])
def test_a_pytorch_file_goes_both_ways(tmp_path, device, suffix):
    file = tmp_path / f"weights.{suffix}"
    tensors = {
        dtype: mg.Tensor(lay_out((grid((2, 3, 4)) * 20).astype(dtype), "Fortran")).to(device)
        for dtype in DTYPES
    }
    tensors |= {"scalar": mg.tensor(3), "empty": mg.zeros(0, 3)}
    mg.save(tensors, file)
    theirs = torch.load(file, weights_only=True)
    assert type(theirs) is dict
    assert list(theirs) == list(tensors)
    for name, value in theirs.items():
        assert str(value.dtype) == f"torch.{tensors[name].dtype}"
        np.testing.assert_array_equal(value.numpy(), host(tensors[name]))
    learnt = {name: torch.nn.Parameter(t, t.is_floating_point()) for name, t in theirs.items()}
    torch.save(learnt, file)
    for name, value in mg.load(file, device).items():
        assert (value.dtype, value.shape) == (tensors[name].dtype, tensors[name].shape)
        assert value.device == mg.device(device)
        np.testing.assert_array_equal(host(value), host(tensors[name]))


def test_pytorch_files_of_equal_weights_are_equal(tmp_path):
    for name in ("a.pt", "b.pt"):
        mg.save(some_tensors(), tmp_path / name)
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()


class Trap:
    """Unpickling it runs code."""

    def __reduce__(self):
        return print, ("the file was executed",)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (Trap(), "is not a whole PyTorch file of tensors alone"),
        (Trap(), "path) writes: it also needs 'print'"),
        (torch.nn.Linear(1, 1), "writes: it also needs 'torch.nn.modules.linear.Linear'"),
        (torch.zeros(1), "writes: it holds a Tensor"),
        ({"epoch": 3}, "is not a plain state dict: expected tensors by name, got int for 'epoch'"),
        ({"acc": 1, "net": {"a": None}}, "by name, got NoneType for 'a' in 'net'"),
        ({"a": {"x": torch.zeros(1)}, "b": {"x": torch.zeros(1)}}, "several state dicts: 'a', 'b'"),
        ({1: torch.zeros(1)}, "expected tensors by name, got Tensor for 1"),
        ({"a": torch.zeros(1, dtype=torch.float8_e5m2)}, "NumPy lacks (float8_e5m2, strided)"),
        ({"a": torch.zeros(1, dtype=torch.complex64)}, "that NumPy lacks (complex64, strided)"),
        ({"a": torch.zeros(1, 1).to_sparse()}, "that NumPy lacks (float32, sparse_coo)"),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)
def test_pytorch_files_of_anything_else(tmp_path, capsys, content, text):
    file = tmp_path / "x.pt"
    torch.save(content, file)
    refuses(ValueError, text, lambda: mg.load(file))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["x.pt", "x.pth.tar", "x.ckpt", "x.bin", "x.safetensors", "x"])
@pytest.mark.parametrize("legacy", [False, True])
def test_a_pytorch_file_of_any_name(tmp_path, name, legacy):
    torch.save(lenet(), tmp_path / name, _use_new_zipfile_serialization=not legacy)
    assert mg.load(tmp_path / name)["conv.weight"].numpy().tolist() == [[1, 1]]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            {"net": lenet(), "acc": 93.2, "epoch": 7},
            "took the state dict 'net', left 'acc', 'epoch'",
        ),
        ({"state_dict": lenet()}, "took the state dict 'state_dict'"),
        (
            {"ours": lenet(), "optimizer": {"state": {0: {"step": torch.zeros(())}}}},
            "took the state dict 'ours', left 'optimizer'",
        ),
        (
            {"ema": lenet(), "model": lenet(), "best": torch.zeros(1)},
            "took the state dict 'model', left 'ema', 'best'",
        ),
        (lenet("module."), "all names have lost their first part 'module.'"),
        (lenet("_orig_mod."), "all names have lost their first part '_orig_mod.'"),
        (lenet("module._orig_mod."), "all names have lost their first part 'module._orig_mod.'"),
        (lenet("_orig_mod.module."), "all names have lost their first part '_orig_mod.module.'"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value,
)
def test_the_commonest_checkpoints(tmp_path, content, said):
    torch.save(content, tmp_path / "x.pt")
    with pytest.warns(UserWarning, match=re.escape(f"x.pt: {said}") + "$"):
        found = mg.load(tmp_path / "x.pt")
    assert found.keys() == lenet().keys()
    assert found["conv.weight"].numpy().tolist() == [[1, 1]]


def crafted(path, pickle, legacy=False, **options):
    """A PyTorch file whose pickle is another one."""
    torch.save({}, path, _use_new_zipfile_serialization=not legacy)
    if legacy:
        whole = io.BytesIO(path.read_bytes())
        ends = []
        for _ in range(4):
            for _ in pickletools.genops(whole):
                pass
            ends.append(whole.tell())
        raw = whole.getvalue()
        path.write_bytes(raw[: ends[2]] + pickle + raw[ends[3] :])
    else:
        content = path.read_bytes()
        with (
            zipfile.ZipFile(io.BytesIO(content)) as old,
            zipfile.ZipFile(path, "w", **options) as new,
        ):
            for name in old.namelist():
                new.writestr(name, pickle if name.endswith("data.pkl") else old.read(name))
    return path


def pairs(count):
    """A tuple of one thing twice, which is a tuple of one thing twice, and so on."""
    doubled = b"".join(b"h%ch%c\x86q%c" % (i, i, i + 1) for i in range(count))
    return b"X\x01\x00\x00\x00aq\x00" + doubled


COUNTER = b"ccollections\nCounter\n"


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    "pickle",
    [
        b"\x80\x02}(" + pairs(60) + b"Nu.",
        b"\x80\x02}" + pairs(60) + b"Ns.",
        b"\x80\x02" + COUNTER + pairs(60) + b"\x85\x85R.",
        b"\x80\x02}(" + pairs(22) + b"N" + b"h\x16N" * 1000 + b"u.",  # each of them takes a while
        b"\x80\x02\x8f(" + pairs(60) + b"\x90.",
    ],
    ids=["SETITEMS", "SETITEM", "Counter", "many", "ADDITEMS"],
)
def test_a_pickle_that_takes_for_ever_to_build(tmp_path, pickle, legacy):
    path = crafted(tmp_path / "x.pt", pickle, legacy)
    start = time.perf_counter()
    refuses(ValueError, f"{path} is not a whole PyTorch file", lambda: mg.load(path))
    assert time.perf_counter() - start < 2


def test_what_a_checkpoint_may_well_hold(tmp_path, monkeypatch):
    """A list that grows by a thousand numbers at a time is not counted each time."""
    monkeypatch.setattr(pt_file, "_MAX_VALUES", 100_000)
    betas = (0.9, 0.999)
    groups = [{"betas": betas, "params": list(range(100))} for _ in range(10)]
    content = {"net": lenet(), "log": [0.5] * 20_000, "groups": groups, "at": {(1, 2): "x"}}
    for legacy in (False, True):
        torch.save(content, tmp_path / "x.pt", _use_new_zipfile_serialization=not legacy)
        with pytest.warns(UserWarning, match="took the state dict 'net'"):
            assert mg.load(tmp_path / "x.pt").keys() == lenet().keys()


def test_archives_that_unpack_to_more_than_they_are(tmp_path):
    many = b"\x80\x02](" + b"N" * 500_000 + b"e."
    path = crafted(tmp_path / "x.pt", many, compression=zipfile.ZIP_DEFLATED)
    refuses(ValueError, "it unpacks to more than it is long", lambda: mg.load(path))


def test_archives_in_which_two_readers_would_find_another_pickle(tmp_path):
    torch.save(lenet(), tmp_path / "x.pt")
    with zipfile.ZipFile(tmp_path / "x.pt", "a") as archive:
        archive.writestr("x/DATA.pkl", b"\x80\x02}.")
    refuses(ValueError, "it has two members of one name", lambda: mg.load(tmp_path / "x.pt"))


def test_a_torchscript_archive_is_named(tmp_path):
    torch.save(lenet(), tmp_path / "x.pt")
    with zipfile.ZipFile(tmp_path / "x.pt", "a") as archive:
        archive.writestr("x/constants.pkl", b"")  # what tells it from others
    refuses(ValueError, "it is a TorchScript archive", lambda: mg.load(tmp_path / "x.pt"))


@in_one_folder
@given(st.data())
def test_damaged_pytorch_files(tmp_path, data):
    file = tmp_path / "x.pt"
    mg.save(some_tensors(), file)
    content = file.read_bytes()
    cut = content[: data.draw(st.integers(0, len(content) - 1))]
    file.write_bytes(data.draw(st.sampled_from([cut, data.draw(st.binary(max_size=300))])))
    refuses(ValueError, f"{file} is not a whole ", lambda: mg.load(file))


def test_pytorch_files_without_pytorch(tmp_path, monkeypatch):
    file = tmp_path / "x.pt"
    mg.save({"a": mg.zeros(1)}, file)
    before = file.read_bytes()
    monkeypatch.setitem(sys.modules, "torch", None)
    for act in (lambda: mg.load(file), lambda: mg.save({"a": mg.zeros(1)}, file)):
        refuses(ImportError, "pip install -e '.[torch]'", act)
    assert file.read_bytes() == before


def test_a_pytorch_file_holds_no_metadata(tmp_path):
    text = "metadata: a PyTorch file has no place for it"
    refuses(ValueError, text, lambda: mg.save({"a": mg.zeros(1)}, tmp_path / "x.pt", {"n": 1}))
    assert not list(tmp_path.iterdir())
