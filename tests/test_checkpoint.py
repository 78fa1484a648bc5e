"""Checkpoints hold any tensor, are read by and from safetensors, and are whole or not there."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickletools
import re
import resource
import signal
import stat
import subprocess
import sys
import time
import zipfile
from concurrent import futures
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import checkpoint, nn
from tests.common import LAYOUTS, grid, host, lay_out, refuses, unprivileged

ROOT = Path(__file__).parents[1]

DTYPES = [
    *("bool", "float16", "float32", "float64"),
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
]
in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def file(tmp_path):
    return tmp_path / "weights.safetensors"


def some_tensors():
    return {"a.weight": mg.tensor(grid((3, 4))), "b": mg.tensor(3), "c": mg.zeros(0, 2)}


def test_round_trip_of_every_dtype_and_layout(file, device):
    tensors = {}
    for dtype in DTYPES:
        for layout in LAYOUTS:
            a = lay_out((grid((2, 3, 4, 5)) * 20).astype(dtype), layout)
            tensors[f"{dtype}/{layout}"] = mg.Tensor(a).to(device)
        tensors[f"{dtype}/scalar"] = mg.tensor(1, dtype=dtype, device=device)
        tensors[f"{dtype}/empty"] = mg.zeros(0, 3, dtype=dtype, device=device)
    mg.save(tensors, file)
    loaded = mg.load(file, device)
    assert set(loaded) == set(tensors)
    for name, expected in tensors.items():
        assert loaded[name].dtype == expected.dtype
        assert loaded[name].shape == expected.shape
        assert loaded[name].device == mg.device(device)
        assert not loaded[name].requires_grad
        np.testing.assert_array_equal(host(loaded[name]), host(expected), err_msg=name)


def test_loaded_tensors_can_be_written(file):
    mg.save({"a": mg.zeros(2)}, file)
    loaded = mg.load(str(file))["a"]
    loaded.data += 1
    assert loaded.numpy().tolist() == [1, 1]
    assert mg.load(file)["a"].numpy().tolist() == [0, 0]


def test_a_model_comes_back(file):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(2, 2))
    model[2].weight.data = np.asfortranarray(model[2].weight.data)
    mg.save(model.state_dict(), file)
    other = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(2, 2))
    other.load_state_dict(mg.load(file))
    for name, value in other.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), model.state_dict()[name].numpy())


def test_the_safetensors_library_reads_ours(file):
    arrays = {"t": lay_out(grid((2, 3, 4)), "batch innermost"), "s": np.array(2.5, np.float32)}
    mg.save(arrays, file, {"why": "test"})
    for found in (
        safetensors.numpy.load_file(file),
        {k: v.numpy() for k, v in safetensors.torch.load_file(file).items()},
    ):
        assert found["s"].shape == ()
        for name, expected in arrays.items():
            assert found[name].dtype == expected.dtype
            np.testing.assert_array_equal(found[name], expected)
    with safetensors.safe_open(file, "numpy") as opened:
        assert json.loads(opened.metadata()["minigrad"]) == {"why": "test"}


def test_we_read_the_safetensors_librarys(file):
    state = torch.nn.Linear(3, 2).state_dict()
    safetensors.torch.save_file(state, file, {"format": "pt"})
    tensors, note = checkpoint.read(file)
    assert note is None
    assert set(tensors) == set(state)
    for name, value in state.items():
        np.testing.assert_array_equal(tensors[name].numpy(), value.numpy())


@pytest.mark.parametrize(
    ("dtype", "name"),
    [("float8_e4m3fn", "F8_E4M3"), ("float8_e5m2", "F8_E5M2"), ("float8_e8m0fnu", "F8_E8M0"),
     ("complex64", "C64")],
)  # fmt: skip
def test_a_dtype_that_numpy_lacks_is_named(file, dtype, name):
    safetensors.torch.save_file({"odd": torch.zeros(2, dtype=getattr(torch, dtype))}, file)
    text = f"path: {file} has a dtype that NumPy lacks ({name} of 'odd')"
    refuses(ValueError, text, lambda: mg.load(file))


def test_every_dtype_of_the_format_is_read_or_named(file):
    """As raw headers, for the libraries write only some of them."""
    for name in ("F4", "F6_E2M3", "F6_E3M2", "F8_E5M2FNUZ", "F8_E4M3FNUZ", "X"):
        head = json.dumps({"a": {"dtype": name, "shape": [8], "data_offsets": [0, 8]}}).encode()
        file.write_bytes(len(head).to_bytes(8, "little") + head + bytes(8))
        refuses(ValueError, str(file), lambda: mg.load(file))


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_bfloat16_is_widened_and_that_is_said(tmp_path, suffix):
    file = tmp_path / f"x.{suffix}"
    values = torch.tensor([[1.0, -0.0, 3.14159], [float("inf"), 1e-40, 1e38]])
    state = {"half": values.to(torch.bfloat16), "empty": torch.zeros(0, dtype=torch.bfloat16)}
    (safetensors.torch.save_file if suffix == "safetensors" else torch.save)(state, file)
    with pytest.warns(UserWarning, match=f"{file}: bfloat16.*has become float32") as said:
        found = mg.load(file)
    assert len(said) == 1
    assert said[0].filename == __file__
    for name, value in state.items():
        expected = value.float().numpy()
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name].numpy().view(np.int32), expected.view(np.int32))


@in_one_folder
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    )
)
def test_metadata_round_trip(tmp_path, metadata):
    file = tmp_path / "m.safetensors"
    mg.save({"a": mg.zeros(1)}, file, metadata)
    assert checkpoint.read(file)[1] == metadata


# ---------------------------------------------------------------------------- PyTorch's files


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


def lenet(prefix=""):
    return {
        f"{prefix}conv.weight": torch.ones(1, 2),
        f"{prefix}bn.num_batches_tracked": torch.tensor(3),
    }


@pytest.mark.parametrize("name", ["x.pt", "x.pth.tar", "x.ckpt", "x.bin", "x.safetensors", "x"])
@pytest.mark.parametrize("legacy", [False, True])
def test_a_pytorch_file_of_any_name(tmp_path, name, legacy):
    torch.save(lenet(), tmp_path / name, _use_new_zipfile_serialization=not legacy)
    assert mg.load(tmp_path / name)["conv.weight"].numpy().tolist() == [[1, 1]]


def test_a_safetensors_file_of_any_name(tmp_path):
    safetensors.torch.save_file(lenet(), tmp_path / "x.bin")
    (tmp_path / "x.bin").rename(tmp_path / "x.pt")
    assert sorted(mg.load(tmp_path / "x.pt")) == sorted(lenet())


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


def test_the_names_of_a_foreign_safetensors_file_lose_a_wrapper_too(file):
    safetensors.torch.save_file(lenet("module."), file, {"format": "pt"})
    with pytest.warns(UserWarning, match="lost their first part 'module.'"):
        assert mg.load(file).keys() == lenet().keys()


@pytest.mark.parametrize(
    "names_", [("net.a", "net.b"), ("module.a", "b"), ("module.",), ("module.x", "modules.x"), ()]
)
def test_names_that_may_be_the_models_own_stay(tmp_path, names_):
    torch.save({name: torch.zeros(1) for name in names_}, tmp_path / "x.pt")
    assert tuple(mg.load(tmp_path / "x.pt")) == names_


def test_names_in_files_of_ours_stay(file):
    mg.save({"module.a": mg.zeros(1)}, file)
    assert list(mg.load(file)) == ["module.a"]


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
    monkeypatch.setattr(checkpoint, "_MOST_VALUES", 100_000)
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
    assert names(tmp_path) == []


# ---------------------------------------------------------------------------- damage


@in_one_folder
@given(st.data())
def test_truncated_files_are_refused(tmp_path, data):
    whole = tmp_path / "whole.safetensors"
    if not whole.exists():
        mg.save(some_tensors(), whole, {"n": 1})
    content = whole.read_bytes()
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    refuses(ValueError, f"{cut} is not a whole ", lambda: mg.load(cut))


@in_one_folder
@given(st.binary(max_size=300))
def test_foreign_files_are_refused(tmp_path, content):
    foreign = tmp_path / "foreign.bin"
    foreign.write_bytes(content)
    refuses(ValueError, f"{foreign} is not a whole ", lambda: mg.load(foreign))


def write_note(file, text):
    """As a crafted file has it: with a digest that fits."""
    arrays = {"a": np.zeros(1)}
    notes = {"minigrad": text, "sha256": checkpoint.digest(arrays, text)}
    safetensors.numpy.save_file(arrays, file, notes)


def test_metadata_that_is_not_json_is_refused(file):
    write_note(file, "{half")
    refuses(ValueError, str(file), lambda: mg.load(file))


def test_files_that_cannot_be_read_say_why(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_text("")
    for name, error, why in (
        ("none", FileNotFoundError, "No such file or directory"),
        ("", IsADirectoryError, "Is a directory"),
        ("file/x", NotADirectoryError, "Not a directory"),
        ("pipe", OSError, "Not a regular file"),
    ):
        path = tmp_path / name
        text = f"path: cannot read {path}: {why}"
        refuses(error, text, lambda path=path: mg.load(path))


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_permission_denied_is_said_as_such(suffix):
    with unprivileged() as folder:
        path = folder / f"x.{suffix}"
        path.write_text("")
        path.chmod(0)
        refuses(PermissionError, f"{path}: Permission denied", lambda: mg.load(path))
        folder.chmod(0o600)
        refuses(PermissionError, f"{path}: Permission denied", lambda: mg.load(path))
        folder.chmod(0o700)


@in_one_folder
@given(st.data())
def test_no_flipped_bit_is_taken_for_a_value(tmp_path, data):
    """Whole by every rule of the format, and still not what was saved."""
    whole = tmp_path / "whole.safetensors"
    tensors, note = {"a.weight": mg.tensor(grid((30, 4))), "c": mg.zeros(0, 2)}, {"lr": 0.125}
    mg.save(tensors, whole, note)
    raw = bytearray(whole.read_bytes())
    bit = data.draw(st.integers(0, 8 * len(raw) - 1))
    raw[bit // 8] ^= 1 << bit % 8
    flipped = tmp_path / "flipped.safetensors"
    flipped.write_bytes(raw)
    found, metadata = tensors, note
    with contextlib.suppress(ValueError):
        found, metadata = checkpoint.read(flipped)  # read: the bit was in the padding
    assert metadata == note
    assert list(found) == list(tensors)
    for name, value in tensors.items():
        np.testing.assert_array_equal(found[name].numpy(), value.numpy())


@in_one_folder
@given(st.data())
def test_flips_in_the_names_of_the_digest_do_not_hide_a_changed_weight(tmp_path, data):
    """Of either name, of both, or of the name of all metadata."""
    file = tmp_path / "x.safetensors"
    mg.save({"a": mg.tensor(grid((3, 4)))}, file, {"lr": 0.125})
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    chosen = data.draw(
        st.sets(st.sampled_from([b"minigrad", b"sha256", b"__metadata__"]), min_size=1)
    )
    for name in chosen:
        start = raw.index(b'"' + name + b'"') + 1
        for place in data.draw(st.sets(st.integers(start, start + len(name) - 1), min_size=1)):
            raw[place] ^= 1 << data.draw(st.integers(0, 7))
    file.write_bytes(raw)
    refuses(ValueError, f"path: {file} is ", lambda: mg.load(file))


@pytest.mark.parametrize(
    "notes",
    [
        None,
        {},
        {"format": "pt"},
        {"format": "pt", "language": "en"},
        {"sha256": "0" * 64},
        {"format": "pt", "modelspec": "x" * 64},
        {"a": "b", "c": "d", "e": "f"},
    ],
)
def test_a_foreign_file_needs_no_digest(file, notes):
    safetensors.numpy.save_file({"a": np.zeros(1)}, file, notes)
    assert checkpoint.read(file)[1] is None


@pytest.mark.parametrize("lost", ["sha256", "minigrad"])
def test_a_file_of_ours_that_has_lost_its_digest(file, lost):
    mg.save({"a": mg.zeros(1)}, file)
    raw = file.read_bytes()
    file.write_bytes(raw.replace(lost.encode(), lost.upper().encode()))
    text = f"path: {file} is damaged: it has lost its SHA-256 or its metadata"
    refuses(ValueError, text, lambda: mg.load(file))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_changed_value_of_any_dtype_is_refused(file, dtype):
    mg.save({"a": mg.tensor([[1, 0]], dtype=dtype), "none": mg.zeros(0, dtype=dtype)}, file)
    raw = file.read_bytes()
    file.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    refuses(ValueError, f"{file} is damaged: its SHA-256 is not", lambda: mg.load(file))


def test_metadata_nested_beyond_reason_is_refused(file):
    write_note(file, "[" * 100_000)
    refuses(ValueError, f"{file} is not a whole safetensors file", lambda: mg.load(file))


# ---------------------------------------------------------------------------- atomicity


def names(folder):
    return sorted(os.listdir(folder))


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_old_file_alone(tmp_path, error):
    path = tmp_path / "text"
    checkpoint.write_atomically(path, lambda temporary: temporary.write_text("old"))

    def fail(temporary):
        assert temporary.parent.parent == tmp_path  # or the rename would not be atomic
        temporary.write_text("ne")
        assert path.read_text() == "old"
        raise error

    with pytest.raises(type(error)):
        checkpoint.write_atomically(path, fail)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["text"]
    checkpoint.write_atomically(path, lambda temporary: temporary.write_text("new"))
    assert path.read_text() == "new"
    assert names(tmp_path) == ["text"]


@pytest.mark.parametrize(
    ("tensors", "metadata"),
    [({"a": [1.0]}, None), ({"a": np.int64(1)}, None), ({"a": mg.zeros(1)}, {"x": object()})],
)
def test_what_cannot_be_saved_leaves_nothing(file, tensors, metadata):
    with pytest.raises(TypeError):
        mg.save(tensors, file, metadata)
    assert names(file.parent) == []


def test_places_that_cannot_be_written(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    for path in (tmp_path / "none" / "x", blocked / "x", "/proc/minigrad/x"):
        with pytest.raises(OSError, match="x"):
            mg.save({"a": mg.zeros(1)}, path)
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(OSError, match="folder"):
        mg.save({"a": mg.zeros(1)}, folder)
    assert names(tmp_path) == ["file", "folder"]


def test_a_file_is_on_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """What a power failure may leave: the order of these is all that is asked of the disk."""
    done = []
    fsync, replace = os.fsync, Path.replace

    def noted_fsync(handle):
        path = os.readlink(f"/proc/self/fd/{handle}")
        done.append(("fsync", "folder" if os.path.isdir(path) else "file"))
        fsync(handle)

    def noted_replace(self, target):
        done.append(("replace", Path(target).name))
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    mg.save({"a": mg.zeros(1)}, tmp_path / "x")
    assert done == [("fsync", "file"), ("replace", "x"), ("fsync", "folder")]


@pytest.mark.parametrize("suffix", ["safetensors", "pt", "txt"])
def test_a_disk_that_is_full_is_an_oserror_and_leaves_the_old_file(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"

    def write(value):
        if suffix == "txt":
            checkpoint.write_text(path, str(value) * 100_000)
        else:
            mg.save({"a": mg.zeros(100_000) + value}, path)

    write(1)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            write(2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert names(tmp_path) == [path.name]


def test_keep_is_another_name(tmp_path):
    path, kept = tmp_path / "x", tmp_path / "kept"
    checkpoint.keep(path, kept)  # of nothing
    assert names(tmp_path) == []
    for text in ("one", "two", "three"):
        checkpoint.write_text(path, text)
        checkpoint.keep(path, kept)
        checkpoint.keep(path, kept)
        assert kept.read_text() == text
        assert names(tmp_path) == ["kept", "x"]
    checkpoint.write_text(path, "four")
    assert kept.read_text() == "three"


def test_keep_needs_hard_links(tmp_path, monkeypatch):
    def link(*_):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    checkpoint.write_text(tmp_path / "x", "one")
    checkpoint.keep(tmp_path / "x", tmp_path / "kept")
    assert names(tmp_path) == ["x"]


def test_leftovers_are_removed_and_nothing_else(tmp_path):
    others = [".hidden", ".tmpK7DMdt", ".x.0123456789abcdeg.part", ".x.part", "mine.part", "x"]
    for name in (*others, ".x.link.part", f".{'x' * 40}.0123456789abcdef.part"):
        (tmp_path / name).write_text("")
    folder = tmp_path / ".x.0123456789abcdef.part"
    folder.mkdir()
    (folder / ".tmpK7DMdt").write_text("")
    checkpoint.remove_leftovers(tmp_path)
    assert names(tmp_path) == others


KILLED = """
import resource, signal, sys
import minigrad as mg
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # kills in the system call that writes too much
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))
mg.save({"a": mg.zeros(10_000)}, sys.argv[1])
"""


def test_a_save_killed_within_the_librarys_write_leaves_what_is_surely_ours(file):
    mg.save({"a": mg.zeros(10)}, file)
    before = file.read_bytes()
    run = subprocess.run([sys.executable, "-c", KILLED, file], check=False)
    assert run.returncode == -signal.SIGXFSZ
    assert file.read_bytes() == before
    assert len(names(file.parent)) == 2
    checkpoint.remove_leftovers(file.parent)
    assert names(file.parent) == [file.name]


def test_permissions_follow_the_umask(file):
    before = os.umask(0o027)
    try:
        mg.save({"a": mg.zeros(1)}, file)
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o200])
def test_a_file_that_is_replaced_keeps_its_mode_and_owner(file, mode):
    file.write_text("")
    file.chmod(mode)
    if os.geteuid() == 0:
        os.chown(file, 1, 2)
    before = file.stat()
    mg.save({"a": mg.zeros(1)}, file)
    after = file.stat()
    assert after.st_size > 0
    for what in ("st_mode", "st_uid", "st_gid"):
        assert getattr(after, what) == getattr(before, what)


def test_nobody_else_may_read_a_private_file_while_it_is_written(tmp_path):
    path = tmp_path / "x"
    path.write_text("")
    path.chmod(0o600)
    seen = []
    checkpoint.write_atomically(path, lambda part: seen.append(part.stat().st_mode & 0o777))
    assert seen == [0o600]


@pytest.mark.parametrize("suffix", ["safetensors", "pt", "txt"])
def test_a_link_stays_one(tmp_path, suffix):
    """To a file, to another link, and to nothing yet."""
    target, middle, link = (tmp_path / name for name in ("far/x", "middle", f"x.{suffix}"))
    target.parent.mkdir()
    middle.symlink_to("far/x")
    link.symlink_to("middle")
    for text in ("one", "two"):
        if suffix == "txt":
            checkpoint.write_text(link, text)
        else:
            mg.save({text: mg.zeros(1)}, link)
            assert list(mg.load(link)) == [text]
        assert (os.readlink(link), os.readlink(middle)) == ("middle", "far/x")
        assert not target.is_symlink()
        assert names(tmp_path) == sorted(["far", "middle", link.name])
        assert names(target.parent) == ["x"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_disks_are_not_written_to(tmp_path):
    path = tmp_path / "disk"
    try:
        os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(7, 201))  # a loop device that is not there
    except PermissionError:
        pytest.skip("nor does this root")
    for act in (checkpoint.writable, lambda path: checkpoint.write_text(path, "x")):
        with pytest.raises(OSError, match="Is a disk"):
            act(path)
    assert stat.S_ISBLK(path.stat().st_mode)


def test_links_that_lead_round_in_a_circle(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        checkpoint.write_text(tmp_path / "a", "x")
    assert names(tmp_path) == ["a", "b"]


def test_what_a_link_leads_to_is_kept(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "x").symlink_to("far/x")
    checkpoint.write_text(tmp_path / "x", "one")
    checkpoint.keep(tmp_path / "x", tmp_path / "kept")
    checkpoint.write_text(tmp_path / "x", "two")
    assert (tmp_path / "kept").read_text() == "one"


def test_a_pipe_is_written_to_and_stays_one(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    content = "x" * 500_000  # more than a pipe holds
    with futures.ThreadPoolExecutor(1) as pool:
        reader = pool.submit(pipe.read_text)
        checkpoint.write_text(pipe, content)
        assert reader.result(10) == content
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert names(tmp_path) == ["pipe"]


def test_a_device_is_written_to_and_stays_one(tmp_path):
    """A terminal stands for /dev/null, which a mistake here would remove."""
    reader, terminal = os.openpty()
    name = os.ttyname(terminal)
    link = tmp_path / "link"
    link.symlink_to(name)
    try:
        for path in (name, link):
            checkpoint.write_text(path, "text")
            assert os.read(reader, 100) == b"text"
            assert stat.S_ISCHR(os.stat(name).st_mode)
    finally:
        os.close(reader)
        os.close(terminal)


def test_standard_output_is_written_to_where_it_stands(tmp_path):
    """As ``--csv /dev/stdout >> file``: neither what was there nor what comes after is lost."""
    log = tmp_path / "log"
    log.write_text("before\n")
    code = (
        "from minigrad import checkpoint\n"
        "print('first')\ncheckpoint.write_text('/dev/stdout', 'text\\n')\nprint('last')"
    )
    with log.open("a") as out:
        subprocess.run([sys.executable, "-c", code], stdout=out, check=True, cwd=ROOT)
    assert log.read_text() == "before\nfirst\ntext\nlast\n"
    assert names(tmp_path) == ["log"]


def test_a_file_that_may_not_be_written_to_is_not_replaced():
    with unprivileged() as folder:
        path = folder / "x"
        path.write_text("old")
        path.chmod(0o444)
        with pytest.raises(PermissionError, match="x"):
            checkpoint.write_text(path, "new")
        assert path.read_text() == "old"
        assert names(folder) == ["x"]


def test_what_cannot_be_written_is_told_before(tmp_path):
    (tmp_path / "file").write_text("old")
    os.mkfifo(tmp_path / "pipe")
    for name in ("file", "new", "pipe"):
        checkpoint.writable(tmp_path / name)
    assert names(tmp_path) == ["file", "pipe"]
    assert (tmp_path / "file").read_text() == "old"
    for name in ("file/x", "none/x", "", "x" * 300):
        with pytest.raises(OSError, match=re.escape(str(tmp_path / name))):  # and no other name
            checkpoint.writable(tmp_path / name)
        with pytest.raises(OSError, match=re.escape(str(tmp_path / name))):
            checkpoint.write_text(tmp_path / name, "x")


def test_no_permission_is_told_before():
    with unprivileged() as folder:
        (folder / "file").touch(0o444)
        os.mkfifo(folder / "pipe", 0o400)
        for name in ("file", "pipe"):
            with pytest.raises(PermissionError, match=name):
                checkpoint.writable(folder / name)


def test_a_name_as_long_as_a_file_may_have(tmp_path):
    path = tmp_path / ("ä" * 127)
    checkpoint.write_text(path, "x")
    checkpoint.keep(path, tmp_path / ("ö" * 127))
    assert [len(name) for name in names(tmp_path)] == [127, 127]


def test_text_is_utf8_with_plain_line_ends(tmp_path):
    checkpoint.write_text(tmp_path / "x.txt", "ä\n→\r\n")
    assert (tmp_path / "x.txt").read_bytes() == "ä\n→\r\n".encode()
    assert [file.name for file in tmp_path.iterdir()] == ["x.txt"]
