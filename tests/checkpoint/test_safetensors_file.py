"""Safetensors files hold any tensor, are read by and from safetensors, and notice damage."""

from __future__ import annotations

import contextlib
import json

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import checkpoint, nn
from tests.checkpoint.common import DTYPES, in_one_folder, lenet, some_tensors
from tests.common import LAYOUTS, grid, host, lay_out, refuses


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


def test_a_safetensors_file_of_any_name(tmp_path):
    safetensors.torch.save_file(lenet(), tmp_path / "x.bin")
    (tmp_path / "x.bin").rename(tmp_path / "x.pt")
    assert sorted(mg.load(tmp_path / "x.pt")) == sorted(lenet())


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
