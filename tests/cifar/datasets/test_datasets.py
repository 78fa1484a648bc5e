"""`cifar.datasets` finds, downloads and reads CIFAR-10, refuses anything else, and draws shapes."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import io
import os
import pickle
import pwd
import signal
import struct
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cifar import datasets, process
from cifar.errors import DataError, UserError
from tests.common import unprivileged

ROWS = 10
NAMES = datasets._CIFAR10.classes
REAL = next(
    (
        place
        for place in (os.environ.get("MINIGRAD_DATA"), Path("~/.cache/minigrad").expanduser())
        if place and (Path(place) / "cifar-10-batches-py").is_dir()
    ),
    None,
)
real_data = pytest.mark.skipif(
    REAL is None, reason="no cifar-10-batches-py in $MINIGRAD_DATA or ~/.cache/minigrad"
)
quick = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

# --- Tiny files in the words of Python 2's pickle -----------------------------------------------


def text(value: bytes) -> bytes:
    return b"U" + bytes([len(value)]) + value


def listing(items: list[bytes]) -> bytes:
    return b"](" + b"".join(items) + b"e"


def array(
    blob: bytes, shape: tuple[int, int], dtype: bytes = b"u1", fortran: bytes = b"\x89"
) -> bytes:
    state = b"(K\x01" + struct.pack("<cHcH", b"M", shape[0], b"M", shape[1]) + b"\x86"
    state += b"cnumpy\ndtype\n" + text(dtype) + b"K\x00K\x01\x87R"
    state += b"(K\x03" + text(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    state += fortran + b"T" + struct.pack("<i", len(blob)) + blob + b"t"
    made = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b")
    return made + b"\x87R" + state + b"b"


def batch(
    blob: bytes,
    *,
    labels: bytes | None = None,
    data: bytes | None = None,
    key: bytes = b"data",
) -> bytes:
    """One batch file of ROWS images."""
    labels = listing([b"K" + bytes([i % 10]) for i in range(ROWS)]) if labels is None else labels
    data = array(blob, (ROWS, 3072)) if data is None else data
    names = listing([text(b"x_%d.png" % i) for i in range(ROWS)])
    items = text(b"batch_label") + text(b"tiny") + text(b"labels") + labels
    items += text(key) + data + text(b"filenames") + names
    return b"\x80\x02}q\x01(" + items + b"u."


def meta(names: tuple[str, ...] = NAMES) -> bytes:
    items = text(b"num_cases_per_batch") + b"M\x10\x27" + text(b"label_names")
    items += listing([text(name.encode()) for name in names]) + text(b"num_vis") + b"M\x00\x0c"
    return b"\x80\x02}q\x01(" + items + b"u."


def pixels(seed: int) -> bytes:
    return np.random.default_rng(seed).bytes(ROWS * 3072)


BLOBS = {"data_batch_1": pixels(1), "data_batch_2": pixels(2), "test_batch": pixels(3)}
FILES = {**{name: batch(blob) for name, blob in BLOBS.items()}, "batches.meta": meta()}
FOLDER = "cifar-10-batches-py"


def describe(files: dict[str, bytes], archive: bytes = b"") -> datasets._Spec:
    """A specification that these very bytes meet, so that only what is *in* them can be wrong."""

    def file(name: str) -> datasets._File:
        raw = files[name]
        return datasets._File(name, len(raw), hashlib.md5(raw).hexdigest())

    return datasets._Spec(
        splits={
            "train": (file("data_batch_1"), file("data_batch_2")),
            "test": (file("test_batch"),),
        },
        meta=file("batches.meta"),
        rows=ROWS,
        classes=NAMES,
        archive="cifar-10-python.tar.gz",
        archive_size=len(archive),
        archive_sha256=hashlib.sha256(archive).hexdigest(),
        mirrors=("https://127.0.0.1:1/nobody-listens-here",),
    )


def write(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, raw in files.items():
        (folder / name).write_bytes(raw)
    return folder


def tar_of(files: dict[str, bytes], *extra: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for info, raw in extra:
            tar.addfile(info, io.BytesIO(raw))
        for name, raw in files.items():
            info = tarfile.TarInfo(f"{FOLDER}/{name}")
            info.size = len(raw)
            tar.addfile(info, io.BytesIO(raw))
    return buffer.getvalue()


ARCHIVE = tar_of(FILES)
SPEC = describe(FILES, ARCHIVE)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, no $MINIGRAD_DATA, the tiny CIFAR-10, and no way to the network."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("MINIGRAD_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(datasets, "_CIFAR10", SPEC)
    datasets._announce_synthetic.cache_clear()
    return home


def refusal(act: Callable[[], object]) -> str:
    """The message of the DataError that `act` must raise: one line."""
    with pytest.raises(DataError) as caught:
        act()
    message = str(caught.value)
    assert "\n" not in message
    return message


def unreachable(*_: object) -> None:
    pytest.fail("reached")


# --- Reading ------------------------------------------------------------------------------------


def test_reads_images_and_labels(tmp_path: Path) -> None:
    write(tmp_path / FOLDER, FILES)
    train = datasets.load("cifar10", "train", tmp_path)
    expected = np.frombuffer(BLOBS["data_batch_1"] + BLOBS["data_batch_2"], np.uint8)
    np.testing.assert_array_equal(train.images.ravel(), expected)
    np.testing.assert_array_equal(train.labels, np.tile(np.arange(10), 2))
    assert train.images.shape == (2 * ROWS, 3, 32, 32)
    assert train.labels.shape == (2 * ROWS,)
    assert [train.images.dtype, train.labels.dtype] == ["uint8", "int64"]
    assert (train.name, train.split, train.classes) == ("cifar10", "train", NAMES)
    assert train.images.flags.c_contiguous
    assert len(train) == 2 * ROWS
    assert len(datasets.load("cifar10", "test", tmp_path)) == ROWS


def test_arrays_are_read_only(tmp_path: Path) -> None:
    write(tmp_path / FOLDER, FILES)
    test = datasets.load("cifar10", "test", tmp_path)
    with pytest.raises(ValueError, match="read-only"):
        test.images[0, 0, 0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        test.labels[0] = 1


def test_fingerprint_covers_images_and_labels() -> None:
    images, labels = np.zeros((2, 3, 32, 32), np.uint8), np.array([0, 1])
    one = datasets.Dataset("a", "test", images, labels, NAMES)
    expected = hashlib.sha256(images.tobytes() + labels.astype("<i8").tobytes()).hexdigest()
    assert one.fingerprint == expected
    assert datasets.Dataset("a", "test", images, labels[::-1].copy(), NAMES).fingerprint != expected


def test_unknown_name_and_split() -> None:
    with pytest.raises(UserError, match=r"'mnist'.*cifar10, synthetic, auto"):
        datasets.load("mnist", "train")
    with pytest.raises(UserError, match=r"'val'.*train, test"):
        datasets.load("synthetic", "val")


def test_class_names_need_no_data() -> None:
    assert datasets.classes("cifar10")[::9] == ("airplane", "truck")
    assert datasets.classes("synthetic") == datasets.load("synthetic", "test").classes
    with pytest.raises(UserError, match=r"'auto'.*cifar10, synthetic"):
        datasets.classes("auto")


@pytest.mark.parametrize("name", FILES)
def test_missing_file(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path / FOLDER, FILES)
    (folder / name).unlink()
    split = "test" if name == "test_batch" else "train"
    message = refusal(lambda: datasets.load("cifar10", split, tmp_path))
    assert message.startswith(f"{folder / name}: missing")


def test_file_that_is_a_folder(tmp_path: Path) -> None:
    folder = write(tmp_path / FOLDER, FILES)
    (folder / "test_batch").unlink()
    (folder / "test_batch").mkdir()
    message = refusal(lambda: datasets.load("cifar10", "test", tmp_path))
    assert "test_batch: not a regular file" in message


@quick
@given(st.data())
def test_truncated_file(tmp_path: Path, data: st.DataObject) -> None:
    raw = FILES["test_batch"]
    length = data.draw(st.integers(0, len(raw) - 1))
    folder = write(tmp_path / FOLDER, {**FILES, "test_batch": raw[:length]})
    message = refusal(lambda: datasets.load("cifar10", "test", tmp_path))
    assert f"{folder / 'test_batch'}: " in message
    assert f"{length} bytes, expected {len(raw)}" in message


def test_file_with_more_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(FILES["test_batch"])
    write(tmp_path / FOLDER, {**FILES, "test_batch": FILES["test_batch"] + b"\0"})
    spec = SPEC.splits["test"][0]
    act = lambda: datasets._read_pickle(tmp_path / FOLDER / "test_batch", spec)  # noqa: E731
    monkeypatch.setattr(Path, "read_bytes", unreachable)  # a huge file is not even read
    assert f"{size + 1} bytes, expected {size}" in refusal(act)


@quick
@given(st.data())
def test_any_flipped_bit_is_refused(tmp_path: Path, data: st.DataObject) -> None:
    raw = bytearray(FILES["test_batch"])
    bit = data.draw(st.integers(0, 8 * len(raw) - 1))
    raw[bit // 8] ^= 1 << bit % 8
    folder = write(tmp_path / FOLDER, {**FILES, "test_batch": bytes(raw)})
    message = refusal(lambda: datasets.load("cifar10", "test", tmp_path))
    assert message.startswith(f"{folder / 'test_batch'}: ")


def test_a_changed_pixel_is_named_as_such(tmp_path: Path) -> None:
    raw = bytearray(FILES["test_batch"])
    raw[len(raw) // 2] ^= 1
    write(tmp_path / FOLDER, {**FILES, "test_batch": bytes(raw)})
    message = refusal(lambda: datasets.load("cifar10", "test", tmp_path))
    assert (
        f"changed: MD5 {hashlib.md5(raw).hexdigest()}, expected {SPEC.splits['test'][0].md5}"
        in (message)
    )


def load_test_batch(tmp_path: Path, raw: bytes) -> datasets.Dataset:
    """Read `raw` as the test batch under a specification whose size and MD5 it meets."""
    files = {**FILES, "test_batch": raw}
    return datasets._read_split(write(tmp_path / FOLDER, files), "test", describe(files))


@quick
@given(st.binary(min_size=1, max_size=12), st.data())
def test_nonsense_under_a_right_md5_is_read_or_refused(
    tmp_path: Path, splice: bytes, data: st.DataObject
) -> None:
    """The checks before the MD5 stand alone: damage raises DataError, nothing else."""
    raw = FILES["test_batch"]
    blob = raw.index(BLOBS["test_batch"])
    places = st.integers(0, blob) | st.integers(blob + len(BLOBS["test_batch"]), len(raw))
    start = data.draw(places)
    with contextlib.suppress(DataError):
        load_test_batch(tmp_path, raw[:start] + splice + raw[start + len(splice) :])


BLOB = BLOBS["test_batch"]
DIGITS = [b"K" + bytes([i]) for i in range(ROWS)]


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        pytest.param(batch(BLOB, data=array(BLOB[3072:], (9, 3072))), r"\(9, 3072\)", id="rows"),
        pytest.param(batch(BLOB, data=array(BLOB[10:], (10, 3071))), r"\(10, 3071\)", id="columns"),
        pytest.param(batch(BLOB, data=array(BLOB, (3072, 10))), r"\(3072, 10\)", id="turned"),
        pytest.param(batch(BLOB, data=array(BLOB[1:], (10, 3072))), "30719 bytes", id="short-blob"),
        pytest.param(batch(BLOB, data=array(BLOB, (10, 3072), b"i1")), "uint8", id="dtype"),
        pytest.param(batch(BLOB, data=array(BLOB, (10, 3072), b"O8")), "uint8", id="objects"),
        pytest.param(
            batch(BLOB, data=array(BLOB, (10, 3072), fortran=b"K\x01")), "C-ordered", id="fortran"
        ),
        pytest.param(batch(BLOB, data=b"N"), "not a NumPy array", id="no-array"),
        pytest.param(batch(BLOB, data=b"cnumpy\nndarray\n"), "not a NumPy array", id="a-global"),
        pytest.param(batch(BLOB, key=b"dat"), "keys", id="keys"),
        pytest.param(batch(BLOB, labels=listing(DIGITS[:-1])), "'labels' is 9", id="few-labels"),
        pytest.param(batch(BLOB, labels=b"K\x00"), "'labels' is int", id="no-labels"),
        pytest.param(
            batch(BLOB, labels=listing([*DIGITS[:-1], b"K\x0a"])), "label 10, exp", id="label-10"
        ),
        pytest.param(
            batch(BLOB, labels=listing([*DIGITS[:-1], text(b"9")])), "label b'9'", id="a-text"
        ),
        pytest.param(
            batch(BLOB, labels=listing([*DIGITS[:-1], b"K\x00"])), "per class", id="unbalanced"
        ),
        pytest.param(b"\x80\x02N.", "a pickled NoneType", id="no-dict"),
        pytest.param(b"\x80\x02}(.", "not a pickle", id="stack"),
        pytest.param(b"", "not a pickle", id="empty"),
        pytest.param(b"\x80\x02}\n\n.", r"opcode b'\\n'", id="no-opcode"),
    ],
)
def test_wrong_contents(tmp_path: Path, raw: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        load_test_batch(tmp_path, raw)
    assert str(tmp_path / FOLDER) in str(caught.value)


def test_a_good_batch_passes_the_same_road(tmp_path: Path) -> None:
    assert len(load_test_batch(tmp_path, batch(BLOB))) == ROWS


@pytest.mark.parametrize("names", [NAMES[::-1], NAMES[:9], ("cat",) * 10])
def test_wrong_class_names(tmp_path: Path, names: tuple[str, ...]) -> None:
    files = {**FILES, "batches.meta": meta(names)}
    folder = write(tmp_path / FOLDER, files)
    message = refusal(lambda: datasets._read_split(folder, "test", describe(files)))
    assert f"{folder / 'batches.meta'}: class names" in message


# --- Pickles that mean harm ---------------------------------------------------------------------


class _Runs:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.marker}",)


def test_no_command_runs(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    raw = pickle.dumps({b"data": _Runs(marker)}, 2)
    message = refusal(lambda: load_test_batch(tmp_path, raw))
    assert message.startswith(f"{tmp_path / FOLDER / 'test_batch'}: forbidden pickle: ")
    assert not marker.exists()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"cnumpy\nndarray\n(J\xff\xff\xff\x7fJ\xff\xff\xff\x7ft\x85R", id="ndarray"),
        pytest.param(
            b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nJ\xff\xff\xff\x7f\x85"
            + text(b"d")
            + b"\x87R",
            id="reconstruct",
        ),
        pytest.param(b"cnumpy\ndtype\n" + text(b"V2000000000") + b"\x85R", id="dtype"),
        pytest.param(b"cnumpy\ndtype\n}(" + text(b"args") + b"Nub", id="build-a-global"),
    ],
)
def test_allowed_names_build_nothing(tmp_path: Path, data: bytes) -> None:
    """2**31 doubles, or a tampered NumPy function, would be within the opcodes allowed."""
    with pytest.raises(DataError, match=r"'data'|not a pickle|forbidden"):
        load_test_batch(tmp_path, batch(BLOB, data=data))
    assert np.dtype("u1") == np.uint8


# --- The real files -----------------------------------------------------------------------------


@real_data
@pytest.mark.parametrize(
    ("split", "first", "fingerprint"),
    [
        (
            "train",
            [6, 9, 9, 4, 1],
            "973ef2abb5897efc795681a4d79a6f5f642fa2bcb1a828f7476017c89db53a57",
        ),
        (
            "test",
            [3, 8, 8, 0, 6],
            "2c33b053d1cd726af8d86e174a96dd89d7000ba1412add026d68142375b89d51",
        ),
    ],
)
def test_real_cifar10(
    monkeypatch: pytest.MonkeyPatch, split: str, first: list[int], fingerprint: str
) -> None:
    monkeypatch.undo()
    real = datasets.load("cifar10", split, REAL, download=False)
    assert real.labels[:5].tolist() == first
    assert np.bincount(real.labels).tolist() == [len(real) // 10] * 10
    assert real.fingerprint == fingerprint


# --- Finding ------------------------------------------------------------------------------------


def other(seed: int) -> dict[str, bytes]:
    """Files that differ from FILES, to tell by the error which folder was read."""
    return {**FILES, "batches.meta": b"x" * seed}


def test_places_in_order(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = write(home / ".cache/minigrad" / FOLDER, other(1))
    chosen = write(tmp_path / "chosen" / FOLDER, other(2))
    given_ = write(tmp_path / "given" / FOLDER, other(3))
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path / "empty"))
    assert str(cache) in refusal(lambda: datasets.load("cifar10", "test"))
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path / "chosen"))
    assert str(chosen) in refusal(lambda: datasets.load("cifar10", "test"))
    assert str(given_) in refusal(lambda: datasets.load("cifar10", "test", tmp_path / "given"))


def test_a_user_without_a_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in a container that is run under a number of a user whom /etc/passwd does not have."""

    def getpwuid(number: int) -> None:
        raise KeyError(number)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", getpwuid)
    assert datasets.load("auto", "test").name == "synthetic"
    where = "the usual places: there is no home folder"
    assert f"was not found in {where}" in capsys.readouterr().err
    assert f"not in {where}; put" in refusal(lambda: datasets.load("cifar10", "test"))
    assert datasets.find() == (None, where)
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path))
    assert datasets.find() == (None, str(tmp_path))
    message = "data folder ~/data: there is no such home folder"
    assert refusal(lambda: datasets.find("~/data")) == message
    monkeypatch.setenv("MINIGRAD_DATA", "~nobody-here")
    message = "$MINIGRAD_DATA: data folder ~nobody-here: there is no such home folder"
    assert refusal(datasets.find) == message


def test_data_dir_is_the_only_place(tmp_path: Path, home: Path) -> None:
    write(home / ".cache/minigrad" / FOLDER, FILES)
    assert len(datasets.load("cifar10", "test", download=False)) == ROWS
    (tmp_path / "given").mkdir()
    act = lambda: datasets.load("cifar10", "test", tmp_path / "given", download=False)  # noqa: E731
    message = refusal(act)
    assert f"not in {tmp_path / 'given'};" in message
    assert "--dataset synthetic" in message


def test_data_dir_may_be_the_batch_folder_or_hold_the_archive(tmp_path: Path) -> None:
    inner = write(tmp_path / "a" / "renamed", FILES)
    assert len(datasets.load("cifar10", "test", inner)) == ROWS
    write(tmp_path / "b", {"cifar-10-python.tar.gz": ARCHIVE})
    assert len(datasets.load("cifar10", "test", tmp_path / "b", download=False)) == ROWS
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == [
        FOLDER,
        "cifar-10-python.tar.gz",
    ]


@pytest.mark.parametrize("name", ["cifar10", "auto"])
def test_data_dir_must_be_a_folder(tmp_path: Path, name: str) -> None:
    message = refusal(lambda: datasets.load(name, "test", tmp_path / "none"))
    assert f"{tmp_path / 'none'} does not exist" in message
    (tmp_path / "file").write_bytes(b"")
    message = refusal(lambda: datasets.load(name, "test", tmp_path / "file"))
    assert f"{tmp_path / 'file'} is not a folder" in message


def test_a_place_that_cannot_be_read_is_not_one_that_is_empty() -> None:
    with unprivileged() as folder:
        (folder / "data" / FOLDER).mkdir(parents=True)
        (folder / "data").chmod(0o600)
        for name, said in (
            ("data", f"{folder}/data cannot be searched: Permission denied"),
            ("data/x", f"data folder {folder}/data/x cannot be read (Permission denied)"),
        ):
            assert said in refusal(lambda name=name: datasets.load("auto", "test", folder / name))
        (folder / "data").chmod(0o700)
        (folder / "data" / FOLDER / "batches.meta").touch(0)
        message = refusal(lambda: datasets.load("auto", "test", folder / "data"))
        assert f"{folder}/data/{FOLDER}/batches.meta: " in message


def test_data_dir_may_start_with_a_tilde(home: Path) -> None:
    write(home / "here" / FOLDER, FILES)
    assert len(datasets.load("cifar10", "test", "~/here")) == ROWS


def test_auto_takes_cifar10_when_it_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / FOLDER, FILES)
    assert datasets.load("auto", "test", tmp_path).name == "cifar10"
    assert capsys.readouterr().err == ""


def test_auto_announces_the_synthetic_set(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "_download", unreachable)
    monkeypatch.setenv("MINIGRAD_DATA", "")
    assert datasets.load("auto", "test").name == "synthetic"
    said = capsys.readouterr()
    assert said.out == ""
    for words in (
        "USING THE SYNTHETIC SET",
        "NOTHING about CIFAR-10",
        str(home / ".cache/minigrad"),
        "--dataset cifar10",
        "--data-dir",
    ):
        assert words in said.err
    datasets.load("auto", "test")
    assert capsys.readouterr().err == ""  # once is enough


def test_auto_never_falls_back_from_a_named_folder(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(datasets, "_download", unreachable)
    message = refusal(lambda: datasets.load("auto", "test", tmp_path / "empty"))
    assert f"not in {tmp_path / 'empty'}, and --data-dir names a folder" in message
    assert "--dataset synthetic" in message
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path / "empty"))
    message = refusal(lambda: datasets.load("auto", "test"))
    assert f"not in {tmp_path / 'empty'} or {home / '.cache/minigrad'}, and $MINIGRAD" in message
    assert capsys.readouterr() == ("", "")
    write(home / ".cache/minigrad" / FOLDER, FILES)  # the next place, as for cifar10
    assert datasets.load("auto", "test").name == "cifar10"


def test_the_folder_that_was_chosen(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = write(home / ".cache/minigrad" / FOLDER, FILES)
    given_ = write(tmp_path / "given" / FOLDER, FILES)
    assert datasets.chosen_folder() is None
    assert datasets.chosen_folder(tmp_path / "given") == given_
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path / "empty"))
    assert datasets.chosen_folder() == cache
    assert datasets.holds_batches(given_)
    assert not datasets.holds_batches(tmp_path / "given")
    (given_ / "test_batch").unlink()
    assert not datasets.holds_batches(given_)


def test_auto_does_not_hide_damage(tmp_path: Path) -> None:
    write(tmp_path / FOLDER, other(1))
    assert "batches.meta" in refusal(lambda: datasets.load("auto", "test", tmp_path))


def test_cifar10_never_falls_back() -> None:
    assert "could not download" in refusal(lambda: datasets.load("cifar10", "test"))
    assert "not in" in refusal(lambda: datasets.load("cifar10", "test", download=False))


# --- Unpacking ----------------------------------------------------------------------------------


def info(
    name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, link: str = ""
) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.size, member.linkname = kind, size, link
    return member


def unpack(tmp_path: Path, archive: bytes) -> Path:
    """Unpack `archive` under a specification whose size and hash it meets."""
    place = write(tmp_path / "place", {"cifar-10-python.tar.gz": archive})
    return datasets._unpack(place / "cifar-10-python.tar.gz", describe(FILES, archive))


def left_in(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "place").iterdir())


def without(name: str) -> dict[str, bytes]:
    return {other_name: raw for other_name, raw in FILES.items() if other_name != name}


@pytest.mark.parametrize(
    "name", ["../outside", "/tmp/minigrad-outside", f"{FOLDER}/../../outside", f"{FOLDER}/more"]
)
def test_unknown_members_are_not_written(tmp_path: Path, name: str) -> None:
    folder = unpack(tmp_path, tar_of(FILES, (info(name, size=1), b"x")))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES
    assert left_in(tmp_path) == [FOLDER, "cifar-10-python.tar.gz"]
    assert not (tmp_path / "outside").exists()
    assert not Path("/tmp/minigrad-outside").exists()


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE]
)
def test_only_regular_members(tmp_path: Path, kind: bytes) -> None:
    (tmp_path / "secret").write_bytes(FILES["test_batch"])
    member = info(f"{FOLDER}/test_batch", kind, link=str(tmp_path / "secret"))
    archive = tar_of(without("test_batch"), (member, b""))
    assert "is not a regular file" in refusal(lambda: unpack(tmp_path, archive))
    assert left_in(tmp_path) == ["cifar-10-python.tar.gz"]


def test_a_link_is_not_written_through(tmp_path: Path) -> None:
    """A folder member that is a link elsewhere, then a file through it."""
    (tmp_path / "elsewhere").mkdir()
    link = info(FOLDER, tarfile.SYMTYPE, link=str(tmp_path / "elsewhere"))
    folder = unpack(tmp_path, tar_of(FILES, (link, b"")))
    assert not folder.is_symlink()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_missing_and_oversized_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    message = refusal(lambda: unpack(tmp_path, tar_of(without("test_batch"))))
    assert f"no member '{FOLDER}/test_batch'" in message
    monkeypatch.setattr(datasets, "_MAX_FILE", 100)
    assert f"has {len(FILES['data_batch_1'])} bytes" in refusal(lambda: unpack(tmp_path, ARCHIVE))
    assert left_in(tmp_path) == ["cifar-10-python.tar.gz"]


@pytest.mark.parametrize("archive", [b"", b"not gzip", ARCHIVE[:-2000], ARCHIVE[:3000] * 2])
def test_damaged_archive_under_a_right_hash(tmp_path: Path, archive: bytes) -> None:
    message = refusal(lambda: unpack(tmp_path, archive))
    assert "not a gzipped tar file" in message or "no member" in message
    assert left_in(tmp_path) == ["cifar-10-python.tar.gz"]


def test_archive_of_wrong_size_or_hash(tmp_path: Path) -> None:
    place = write(tmp_path, {"cifar-10-python.tar.gz": ARCHIVE[:-1]})
    act = lambda: datasets.load("cifar10", "test", place, download=False)  # noqa: E731
    assert f"{len(ARCHIVE) - 1} bytes, expected {len(ARCHIVE)}" in refusal(act)
    write(tmp_path, {"cifar-10-python.tar.gz": ARCHIVE[:-1] + b"x"})
    message = refusal(act)
    assert f"{place / 'cifar-10-python.tar.gz'}: SHA-256" in message
    assert [path.name for path in place.iterdir() if path.name != "home"] == [
        "cifar-10-python.tar.gz"
    ]


# --- Downloading --------------------------------------------------------------------------------


@dataclass
class Mirror:
    """A local server; the path says how it behaves.

    `asked` lists (path, Range) of each request; `cut` is set when a client hangs up on it; "gated"
    sends its second half once `gate` is set.
    """

    port: int
    asked: list[tuple[str, str | None]]
    cut: threading.Event
    gate: threading.Event

    def url(self, behaviour: str) -> str:
        return f"http://127.0.0.1:{self.port}/{behaviour}"


AWAY = {
    "half-an-address": "http://[::1",
    "no-port": "http://127.0.0.1:99999/",
    "no-name": "http://" + "x" * 70 + ".\u00e4./",
    "no-host": "http:///",
    "round": "/round",
    "nowhere": "http://\\x",
}


class _Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        headers.setdefault("Content-Length", str(len(body)))
        for name, value in headers.items():
            if value:
                self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def pour(self) -> None:
        """256 MB, unless the client hangs up before."""
        try:
            for _ in range(256):
                self.wfile.write(bytes(1 << 20))
        except ConnectionError:
            self.server.cut.set()  # type: ignore[attr-defined]

    def do_GET(self) -> None:
        path, asked = self.path.strip("/"), self.headers.get("Range")
        self.server.asked.append((path, asked))  # type: ignore[attr-defined]
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        size = len(ARCHIVE)
        if path == "good" and start:
            content_range = f"bytes {start}-{size - 1}/{size}"
            self.answer(206, ARCHIVE[start:], Content_Range=content_range)
        elif path in ("good", "whole"):
            self.answer(200, ARCHIVE)
        elif path == "half":
            self.answer(200, ARCHIVE[: size // 2], **{"Content-Length": str(size)})
        elif path == "lies-short":
            self.answer(200, ARCHIVE, **{"Content-Length": "17"})
        elif path == "lies-long":
            self.answer(200, ARCHIVE, **{"Content-Length": str(10**15)})
        elif path in ("endless", "endless-wrong"):
            body = ARCHIVE if path == "endless" else ARCHIVE[::-1]
            self.answer(200, body, **{"Content-Length": ""})
            self.pour()
        elif path == "silent-end":
            self.answer(200, ARCHIVE[:-1], **{"Content-Length": ""})
        elif path == "wrong":
            self.answer(200, b"x" * size)
        elif path == "wrong-part":
            self.answer(206, ARCHIVE[1:], Content_Range=f"bytes 1-{size - 1}/{size}")
        elif path == "trickle":
            self.answer(200, b"", **{"Content-Length": str(size)})
            with contextlib.suppress(ConnectionError):
                for byte in ARCHIVE[:200]:
                    self.wfile.write(bytes([byte]))
                    time.sleep(0.02)
        elif path == "head-trickle":
            head = b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % size
            with contextlib.suppress(ConnectionError):
                for byte in head:
                    self.wfile.write(bytes([byte]))
                    time.sleep(0.05)
                self.wfile.write(ARCHIVE)
        elif path == "stall":
            time.sleep(0.6)
        elif path == "gated":  # half of it, and the rest when the test says so
            self.send_response(200)
            self.send_header("Content-Length", str(size))
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                self.wfile.write(ARCHIVE[: size // 2])
                self.server.gate.wait(30)  # type: ignore[attr-defined]
                self.wfile.write(ARCHIVE[size // 2 :])
        elif path == "endless-redirect":
            self.answer(302, b"", Location="/good", **{"Content-Length": ""})
            self.pour()
        elif path == "trailers":  # lines after a body of too few bytes, each long before a timeout
            self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            self.wfile.write(b"5\r\nbytes\r\n0\r\n")
            with contextlib.suppress(ConnectionError):
                while not self.server.gate.wait(0.02):  # type: ignore[attr-defined]
                    self.wfile.write(b"x: y\r\n")
        elif path == "whole-and-trailers":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            self.wfile.write(b"%x\r\n" % size + ARCHIVE + b"\r\n0\r\n")
            with contextlib.suppress(ConnectionError):
                while not self.server.gate.wait(0.02):  # type: ignore[attr-defined]
                    self.wfile.write(b"x: y\r\n")
        elif path == "no-chunks":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n?\r\n")
        elif path == "no-http":
            self.wfile.write(b"\0" * 100)
        elif path == "many-headers":
            self.answer(200, ARCHIVE, **{f"X-{i}": "x" for i in range(200)})
        elif path in AWAY:
            self.answer(302, b"", Location=AWAY[path])
        elif path.startswith("to-"):
            self.answer(302, b"", Location=path.removeprefix("to-") + ":///etc/passwd")
        else:
            self.answer(404, b"")


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    mirror = Mirror(server.server_port, [], threading.Event(), threading.Event())
    vars(server).update(asked=mirror.asked, cut=mirror.cut, gate=mirror.gate)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield mirror
    mirror.gate.set()
    server.shutdown()
    server.server_close()
    thread.join()


def download(
    monkeypatch: pytest.MonkeyPatch, mirror: Mirror, *behaviours: str, **changes: object
) -> datasets.Dataset:
    mirrors = tuple(map(mirror.url, behaviours))
    changes = {"schemes": ("http://",), "mirrors": mirrors, **changes}
    monkeypatch.setattr(datasets, "_CIFAR10", replace(SPEC, **changes))  # type: ignore[arg-type]
    return datasets.load("cifar10", "test")


@pytest.fixture
def cache(home: Path) -> Path:
    return home / ".cache" / "minigrad"


@pytest.fixture
def part(cache: Path) -> Path:
    cache.mkdir(parents=True)
    return cache / "cifar-10-python.tar.gz.part"


def test_good_download(
    cache: Path,
    mirror: Mirror,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert len(download(monkeypatch, mirror, "good", "missing")) == ROWS
    assert mirror.asked == [("good", None)]
    assert sorted(path.name for path in cache.iterdir()) == [FOLDER, "cifar-10-python.tar.gz"]
    assert "CIFAR-10 from 127.0.0.1" in capsys.readouterr().err
    assert len(datasets.load("cifar10", "train")) == 2 * ROWS
    assert len(mirror.asked) == 1


def test_downloads_into_the_place_that_was_named(
    cache: Path, tmp_path: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path / "new" / "folder"))
    download(monkeypatch, mirror, "good")
    assert (tmp_path / "new" / "folder" / FOLDER).is_dir()
    (tmp_path / "given").mkdir()
    datasets.load("cifar10", "test", tmp_path / "given")
    assert (tmp_path / "given" / FOLDER).is_dir()
    assert not cache.exists()


def test_resumes_in_the_next_call(
    part: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = len(ARCHIVE) // 2
    assert "broke off" in refusal(lambda: download(monkeypatch, mirror, "half"))
    assert [path.name for path in part.parent.iterdir()] == [part.name]
    assert part.read_bytes() == ARCHIVE[:half]
    download(monkeypatch, mirror, "good")
    assert mirror.asked == [("half", None), ("good", f"bytes={half}-")]
    assert not part.exists()


def test_resumes_at_the_next_mirror(
    part: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    download(monkeypatch, mirror, "half", "good")
    assert mirror.asked[1] == ("good", f"bytes={len(ARCHIVE) // 2}-")


@quick
@given(length=st.integers(0, len(ARCHIVE)))
def test_resumes_from_any_length(mirror: Mirror, home: Path, length: int) -> None:
    (home / "part").write_bytes(ARCHIVE[:length])
    datasets._fetch(mirror.url("good"), home / "part", replace(SPEC, schemes=("http://",)))
    assert (home / "part").read_bytes() == ARCHIVE


@pytest.mark.parametrize("behaviour", ["endless", "whole-and-trailers"])
def test_what_comes_after_the_last_byte_is_not_read(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch, behaviour: str
) -> None:
    assert len(download(monkeypatch, mirror, behaviour)) == ROWS
    if behaviour == "endless":
        assert mirror.cut.wait(5)


def test_what_a_redirection_holds_is_not_read(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(download(monkeypatch, mirror, "endless-redirect")) == ROWS
    assert [path for path, _ in mirror.asked] == ["endless-redirect", "good"]
    assert mirror.cut.wait(5)


def test_starts_over_where_ranges_are_ignored(
    part: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    part.write_bytes(b"?" * 100)
    download(monkeypatch, mirror, "whole")
    assert mirror.asked == [("whole", "bytes=100-")]


def test_a_bad_part_does_not_spoil_the_only_mirror(
    part: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    part.write_bytes(b"?" * 100)
    download(monkeypatch, mirror, "good")
    assert mirror.asked == [("good", "bytes=100-"), ("good", None)]


@pytest.mark.parametrize("length", [len(ARCHIVE), len(ARCHIVE) + 1])
def test_a_bad_part_of_full_length(
    part: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    part.write_bytes(b"?" * length)
    download(monkeypatch, mirror, "good")
    assert mirror.asked == [("good", None)]


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ("wrong", "wrong bytes"),
        ("lies-short", "offers 17 bytes"),
        ("lies-long", "offers 1000000000000000 bytes"),
        ("endless-wrong", "wrong bytes"),
        ("silent-end", f"stopped at {len(ARCHIVE) - 1} of {len(ARCHIVE)} bytes"),
        ("half", "broke off"),
        ("wrong-part", "another part"),
        ("missing", "HTTP 404"),
        ("stall", "timed out"),
        ("head-trickle", "timed out"),
        ("trickle", "sent fewer than 1000 bytes in 0.5 s"),
        ("to-file", "leads away"),
        ("to-ftp", "leads away"),
        ("trailers", "sent fewer than 1000 bytes in 0.5 s"),
        ("no-chunks", "broke off"),
        ("no-http", "cannot connect"),
        ("many-headers", "cannot connect"),
        *((name, "127.0.0.1") for name in AWAY),
    ],
)
def test_a_bad_mirror_is_left_for_the_next(
    part: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch, behaviour: str, said: str
) -> None:
    monkeypatch.setattr(datasets, "_TIMEOUT", (5, 0.2))
    monkeypatch.setattr(datasets, "_PACE", (0.5, 1000))
    message = refusal(lambda: download(monkeypatch, mirror, behaviour))
    assert f"127.0.0.1:{mirror.port}: " in message
    assert said in message
    assert "--data-dir" in message
    assert "--dataset synthetic" in message
    assert {path.name for path in part.parent.iterdir()} <= {part.name}
    part.unlink(missing_ok=True)
    assert len(download(monkeypatch, mirror, behaviour, "good")) == ROWS


def test_every_failure_is_told(part: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = "http://127.0.0.1:1/x"
    mirrors = (mirror.url("missing"), dead, mirror.url("wrong"))
    message = refusal(lambda: download(monkeypatch, mirror, mirrors=mirrors))
    assert [word in message for word in ("404", ":1: cannot connect", "wrong bytes")] == [True] * 3
    assert list(part.parent.iterdir()) == []


def test_https_only(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    message = refusal(lambda: download(monkeypatch, mirror, "good", schemes=("https://",)))
    assert "https://" in message
    assert mirror.asked == []
    real = datasets._Spec.__dataclass_fields__["schemes"].default
    assert real == ("https://",)


def test_published_mirrors_are_https(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert all(url.startswith("https://") for url in datasets._CIFAR10.mirrors)


def test_unwritable_place(tmp_path: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path / "file" / "below"))
    message = refusal(lambda: download(monkeypatch, mirror, "good"))
    assert f"cannot write CIFAR-10 to {tmp_path / 'file' / 'below'}" in message


# --- Several processes at once ------------------------------------------------------------------


def meanwhile(act: Callable[[], datasets.Dataset]) -> futures.Future[datasets.Dataset]:
    """What `act()` comes to in a thread; locks tell threads apart as they do processes."""
    return futures.ThreadPoolExecutor(1).submit(act)


def wait_for(condition: Callable[[], object]) -> None:
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    pytest.fail("waited for 30 s")


def test_two_downloads_at_once_are_one(
    cache: Path,
    part: Path,
    mirror: Mirror,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = meanwhile(lambda: download(monkeypatch, mirror, "gated"))
    wait_for(part.exists)
    second = meanwhile(lambda: datasets.load("cifar10", "train"))
    said = ""

    def is_said() -> bool:
        nonlocal said
        said += capsys.readouterr().err
        return "note: waiting for another process that downloads or unpacks CIFAR-10 in" in said

    wait_for(is_said)
    mirror.gate.set()
    assert (len(first.result(30)), len(second.result(30))) == (ROWS, 2 * ROWS)
    assert mirror.asked == [("gated", None)]
    assert sorted(path.name for path in cache.iterdir()) == [FOLDER, "cifar-10-python.tar.gz"]


def test_who_waited_for_a_download_that_failed_tries_in_turn(
    part: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    with process.in_turn(part.with_name(".cifar-10-python.tar.gz.lock"), ""):
        part.write_bytes(ARCHIVE[:9])
        waiting = meanwhile(lambda: download(monkeypatch, mirror, "good"))
        with pytest.raises(futures.TimeoutError):
            waiting.result(0.2)
    assert len(waiting.result(30)) == ROWS
    assert mirror.asked == [("good", "bytes=9-")]


def test_a_download_that_was_killed_holds_up_nobody(
    part: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import sys, tests.cifar.datasets.test_datasets as t\n"
        "spec = t.replace(t.SPEC, schemes=('http://',), mirrors=(sys.argv[1],))\n"
        "t.datasets._download(t.Path(sys.argv[2]), spec)\n"
    )
    command = [sys.executable, "-c", code, mirror.url("gated"), str(part.parent)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        wait_for(lambda: part.exists() and part.stat().st_size == len(ARCHIVE) // 2)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert len(download(monkeypatch, mirror, "good")) == ROWS
    assert mirror.asked[1:] == [("good", f"bytes={len(ARCHIVE) // 2}-")]
    assert sorted(path.name for path in part.parent.iterdir()) == [
        FOLDER,
        "cifar-10-python.tar.gz",
    ]


def test_what_a_killed_unpacking_left_is_removed_by_the_next(tmp_path: Path) -> None:
    stray = write(tmp_path / "place" / ".unpacking-x1y2" / FOLDER, FILES)
    unpack(tmp_path, ARCHIVE)
    assert not stray.exists()
    assert left_in(tmp_path) == [FOLDER, "cifar-10-python.tar.gz"]


def test_two_unpackings_at_once_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second neither removes nor repeats what the first one is at."""
    opened, gate, really = [], threading.Event(), tarfile.open

    def open_slowly(*given: object) -> object:
        opened.append(left_in(tmp_path))
        assert gate.wait(30)
        return really(*given)  # type: ignore[call-overload]

    monkeypatch.setattr(tarfile, "open", open_slowly)
    write(tmp_path / "place", {"cifar-10-python.tar.gz": ARCHIVE})
    first = meanwhile(lambda: datasets.load("cifar10", "test", tmp_path / "place"))
    wait_for(lambda: opened)
    second = meanwhile(lambda: datasets.load("cifar10", "train", tmp_path / "place"))
    with pytest.raises(futures.TimeoutError):
        second.result(0.3)
    gate.set()
    assert (len(first.result(30)), len(second.result(30))) == (ROWS, 2 * ROWS)
    assert len(opened) == 1
    assert left_in(tmp_path) == [FOLDER, "cifar-10-python.tar.gz"]
