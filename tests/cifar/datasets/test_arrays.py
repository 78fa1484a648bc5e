"""Images in arrays and pickles, whole and damaged."""

from __future__ import annotations

import io
import os
import pickle
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cifar.datasets import arrays
from cifar.errors import UserError
from cifar.results import predict
from tests.cifar.datasets.files import BATCH
from tests.common import refuses

SHAPES = "expected uint8 of shape (N, 3072), (N, 3, 32, 32) or (N, 32, 32, 3)"


def test_arrays(tmp_path):
    path = tmp_path / "x.npy"
    last = BATCH.transpose(0, 2, 3, 1)  # channels
    for array in (BATCH, BATCH.reshape(5, 3072), np.asfortranarray(BATCH), last):
        np.save(path, array)
        np.testing.assert_array_equal(arrays.read_array(path), BATCH)
    for members in (
        {"a": BATCH},
        {"data": BATCH, "ids": np.arange(5)},
        {"images": BATCH, "b": BATCH},
    ):
        np.savez(tmp_path / "x.npz", **members)
        np.testing.assert_array_equal(arrays.read_array(tmp_path / "x.npz"), BATCH)


@pytest.mark.parametrize(
    "array",
    [
        BATCH.astype(np.float32),
        BATCH.astype(np.int8),
        BATCH[0],
        BATCH.transpose(0, 2, 1, 3),
        BATCH.reshape(5, 3072)[:, :-1],
        np.uint8(3),
    ],
)
def test_arrays_of_another_kind(tmp_path, array):
    np.save(tmp_path / "x.npy", array)
    text = f"x.npy: {SHAPES}, got {array.dtype} of"
    refuses(UserError, text, lambda: arrays.read_array(tmp_path / "x.npy"))


class Trap:
    def __reduce__(self):
        return os.mkdir, ("sprung",)


def test_pickles_are_not_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    objects = np.array([Trap()], dtype=object)
    np.save("x.npy", objects, allow_pickle=True)
    np.savez("x.npz", data=objects, allow_pickle=True)
    (tmp_path / "raw.npy").write_bytes(objects.dumps())
    for name, text in (("x.npy", SHAPES), ("x.npz", SHAPES), ("raw.npy", "not a whole")):
        refuses(UserError, f"{name}: {text}", lambda name=name: predict.read([name]))
    assert not os.path.exists("sprung")


def test_archives_that_leave_the_choice(tmp_path):
    path = tmp_path / "x.npz"
    for members, text in (
        ({"a": BATCH, "b": BATCH}, "got a, b"),
        ({"data": BATCH, "images": BATCH}, "got data, images"),
        ({}, "got none"),
    ):
        np.savez(path, **members)
        refuses(UserError, text, lambda: arrays.read_array(path))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("text", "no array")
    refuses(UserError, f"{path}: ", lambda: arrays.read_array(path))


def header(*shape):
    """The beginning of a .npy file of such a shape."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    return buffer.getvalue()


def test_a_file_is_not_unpacked_beyond_a_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "MAX_BYTES", BATCH.nbytes - 1)
    path = tmp_path / "x.npz"
    np.savez_compressed(path, BATCH)
    text = f"{path}: says that it has 15,360 bytes, expected at most 15,359"
    refuses(UserError, text, lambda: arrays.read_array(path))
    np.savez_compressed(path, BATCH[1:])
    np.testing.assert_array_equal(arrays.read_array(path), BATCH[1:])


@pytest.mark.parametrize("rows", [-1, 10**7, 10**30])
@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_headers_that_lie_about_the_size(tmp_path, rows, suffix):
    path = tmp_path / f"x.{suffix}"
    raw = header(rows, 3072) + bytes(3072)
    if suffix == "npy":
        path.write_bytes(raw)
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("data.npy", raw)
    text = f"{path}: {SHAPES}" if rows < 0 else f"{path}: says that it has "
    tracemalloc.start()
    refuses(UserError, text, lambda: arrays.read_array(path))
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_rows_that_a_header_conceals(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    raw = header(4, *BATCH.shape[1:]) + BATCH.tobytes()
    if suffix == "npy":
        path.write_bytes(raw)
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("data.npy", raw)
    text = f"{path}: has more bytes than an array of shape (4, 3, 32, 32) takes"
    refuses(UserError, text, lambda: arrays.read_array(path))


def test_other_compressions_are_refused(tmp_path):
    """Python's reader of them unpacks all that there is at once."""
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("data.npy", header(1, 3072) + bytes(3072))
    text = "x.npz: compressed in another way than NumPy's"
    refuses(UserError, text, lambda: arrays.read_array(tmp_path / "x.npz"))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_changed_pixel_in_an_archive_is_noticed(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "x.npz", "w", method, compresslevel=0) as archive:
        archive.writestr("data.npy", header(*BATCH.shape) + BATCH.tobytes())
    raw = bytearray((tmp_path / "x.npz").read_bytes())
    raw[raw.index(BATCH[3].tobytes())] ^= 1
    (tmp_path / "x.npz").write_bytes(raw)
    refuses(UserError, "x.npz: not a whole", lambda: arrays.read_array(tmp_path / "x.npz"))


@given(st.binary(max_size=40), st.integers(0, 200), st.sampled_from(["npy", "npz"]))
def test_damaged_arrays(tmp_path_factory, junk, place, suffix):
    buffer = io.BytesIO()
    (np.save if suffix == "npy" else np.savez_compressed)(buffer, BATCH[:1])
    raw = buffer.getvalue()
    path = tmp_path_factory.getbasetemp() / f"damaged.{suffix}"
    path.write_bytes(raw[:place] + junk + raw[place + len(junk) :])
    refused = ""
    try:
        assert arrays.read_array(path).shape[1:] == (3, 32, 32)
    except UserError as error:
        refused = str(error)
    assert not refused or refused.startswith(f"{path}: ")


def pickled(path, content, protocol=4):
    path.write_bytes(pickle.dumps(content, protocol))
    return path


ROWS = BATCH.reshape(5, 3072)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", ["test_batch", "x.pkl"])
def test_batches(tmp_path, name, protocol):
    labels = {b"labels": [3, 1, 4, 1, 5], b"filenames": ["a", "b", "c", "d", "e"]}
    for content, expected in (
        ({b"data": ROWS}, range(5)),
        ({"data": BATCH} | labels, range(5)),
        ({b"data": BATCH.transpose(0, 2, 3, 1).copy(), b"ids": [9, 8, 7, 6, 5]}, [9, 8, 7, 6, 5]),
        ({b"data": ROWS, "ids": np.arange(3, 8)}, range(3, 8)),
    ):
        ids, images = arrays.read_pickle(pickled(tmp_path / name, content, protocol))
        assert list(ids) == list(expected)
        np.testing.assert_array_equal(images, BATCH)
        assert predict.read([tmp_path / name])[0] == [str(one) for one in expected]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([ROWS], "expected a pickled dict, got a list"),
        ({b"images": ROWS}, 'expected a pickled dict with "data", it has images'),
        ({}, 'expected a pickled dict with "data", it has nothing'),
        ({b"data": [1, 2]}, "it is not a NumPy array of C-ordered integers"),
        ({b"data": ROWS / 255}, "it is not a NumPy array of C-ordered integers"),
        ({b"data": ROWS.astype(int)}, f"{SHAPES}, got int64 of shape (5, 3072)"),
        ({b"data": ROWS[:, 1:].copy()}, f"{SHAPES}, got uint8 of shape (5, 3071)"),
        ({b"data": ROWS, b"ids": [1, 2]}, 'expected 5 whole numbers in "ids"'),
        ({b"data": ROWS, b"ids": list("abcde")}, 'expected 5 whole numbers in "ids"'),
        ({b"data": ROWS, b"ids": "abcde"}, "it is not a NumPy array"),
        ({b"data": Trap()}, "forbidden pickle: it names 'posix mkdir'"),
    ],
)
def test_pickles_of_another_kind(tmp_path, monkeypatch, content, text):
    monkeypatch.chdir(tmp_path)
    path = pickled(tmp_path / "x.pkl", content)
    refuses(UserError, f"{path}: {text}", lambda: predict.read([path]))
    assert not os.path.exists("sprung")


def test_pickles_that_are_none(tmp_path, monkeypatch):
    path = tmp_path / "x.pkl"
    path.write_bytes(b"")
    refuses(UserError, f"{path}: not a pickle: ", lambda: predict.read([path]))
    monkeypatch.setattr(arrays, "MAX_BYTES", 100)
    pickled(path, {b"data": ROWS})
    refuses(UserError, "bytes, expected at most 100", lambda: predict.read([path]))
