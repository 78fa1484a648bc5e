"""Pickles of arrays are read as NumPy and Python would read them, and no others; nothing runs."""

from __future__ import annotations

import contextlib
import copyreg
import os
import pickle
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cifar import pickles
from cifar.pickles import CIFAR10, NUMPY, PickleError
from tests.common import refuses

PIXELS = np.random.default_rng(0).integers(0, 256, (2000, 12), np.uint8)  # in several frames
PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)


# ---------------------------------------------------------------------------- what is read


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "array",
    [PIXELS, PIXELS[:1], np.arange(5), np.arange(6, dtype=">i2"), np.int8([[1], [2]])],
    ids=lambda a: f"{a.dtype}{a.shape}",
)
def test_arrays_are_those_that_were_written(array, protocol):
    content = pickles.read(pickle.dumps({b"data": array, "copy": array}, protocol), NUMPY)
    assert content.keys() == {b"data", "copy"}
    for value in content.values():
        found = pickles.array(value)
        np.testing.assert_array_equal(found, array)
        assert (found.dtype, found.shape) == (array.dtype, array.shape)
        assert not found.flags.writeable


@given(
    st.dictionaries(
        st.text(max_size=5) | st.binary(max_size=5),
        st.lists(st.integers(-(2**31), 2**31 - 1) | st.text(max_size=300) | st.binary(max_size=300))
        | st.booleans()
        | st.none(),
        max_size=4,
    ),
    st.sampled_from(PROTOCOLS[1:]),  # protocol 2 has no opcode for bytes
)
def test_lists_are_those_that_were_written(content, protocol):
    assert pickles.read(pickle.dumps(content, protocol), NUMPY) == content


def test_many_labels():
    content = {"labels": list(range(20_000)), "filenames": [f"{i}.png" for i in range(20_000)]}
    assert pickles.read(pickle.dumps(content, 4), NUMPY) == content


def test_names_of_numpy_1():
    raw = pickle.dumps(PIXELS, 2).replace(b"numpy._core", b"numpy.core")
    np.testing.assert_array_equal(pickles.array(pickles.read(raw, NUMPY)), PIXELS)


@pytest.mark.parametrize(
    "value",
    [
        np.ones((2, 2)),
        np.array([None]),
        np.array(["text"]),
        np.zeros(2, "V1"),
        np.asfortranarray(np.ones((2, 3), np.uint8)),
        3,
        "text",
        None,
    ],
    ids=repr,
)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_other_arrays_are_refused(value, protocol):
    raw = pickle.dumps(value, protocol)
    said = "it is not a NumPy array of C-ordered integers"
    refuses(PickleError, said, lambda: pickles.array(pickles.read(raw, NUMPY)))


@given(st.data())
def test_damage_is_refused_or_read(data):
    """Damage raises PickleError, nothing else."""
    raw = bytearray(
        pickle.dumps({b"data": PIXELS[:1], b"ids": [1, 2]}, data.draw(st.sampled_from(PROTOCOLS)))
    )
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(PickleError):
        content = pickles.read(bytes(raw[: data.draw(st.integers(0, len(raw)))]), NUMPY)
        for value in content.values() if isinstance(content, dict) else ():
            pickles.array(value)


# ---------------------------------------------------------------------------- what means harm


class _Runs:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("words", [CIFAR10, NUMPY], ids=["CIFAR10", "NUMPY"])
@pytest.mark.parametrize("scanned", [True, False])  # either would do alone
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_no_command_runs(tmp_path, monkeypatch, words, scanned, protocol):
    if not scanned:
        monkeypatch.setattr(pickles, "_scan", lambda *_: None)
    marker = tmp_path / "marker"
    raw = pickle.dumps({b"data": _Runs(marker)}, protocol)
    refuses(PickleError, "forbidden pickle: ", lambda: pickles.read(raw, words))
    assert not marker.exists()


EXTENSION = 0x7F


@pytest.fixture
def extension() -> Iterator[None]:
    """`EXT1 7f` stands for os.mkdir, and is already in pickle's cache: find_class is not asked."""
    copyreg.add_extension("os", "mkdir", EXTENSION)
    pickle.loads(b"\x82\x7f.")
    yield
    copyreg.remove_extension("os", "mkdir", EXTENSION)


@pytest.mark.parametrize("code", [b"\x82\x7f", b"\x83\x7f\x00", b"\x84\x7f\x00\x00\x00"])
@pytest.mark.usefixtures("extension")
@pytest.mark.parametrize("words", [CIFAR10, NUMPY], ids=["CIFAR10", "NUMPY"])
def test_extension_opcodes(tmp_path: Path, code: bytes, words: pickles.Words) -> None:
    made = tmp_path / "made"
    raw = b"\x80\x02" + code + b"X" + struct.pack("<I", len(str(made))) + str(made).encode()
    act = lambda: pickles.read(raw + b"\x85R.", words)  # noqa: E731
    refuses(PickleError, "forbidden pickle: opcode EXT", act)
    assert not made.exists()


HUGE = struct.pack("<I", 2**31 - 1)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        pytest.param(b"cos\nsystem\n.", "forbidden pickle: it names 'os system'", id="os.system"),
        pytest.param(b"cbuiltins\neval\n.", "pickle: it names 'builtins eval'", id="eval"),
        pytest.param(b"cnumpy\nload\n.", "pickle: it names 'numpy load'", id="numpy.load"),
        pytest.param(b"cnumpy._core.multiarray\n_reconstruct\n.", "numpy._core", id="numpy-2-name"),
        pytest.param(b"c\\x6eumpy\nndarray\n.", "pickle: it names '\\\\x6e", id="escaped-name"),
        pytest.param(b"\x80\x04U\x02osU\x06system\x93.", "opcode STACK_GLOBAL", id="STACK_GLOBAL"),
        pytest.param(b"(ios\nsystem\n.", "opcode INST", id="INST"),
        pytest.param(b"(cnumpy\nndarray\no.", "opcode OBJ", id="OBJ"),
        pytest.param(b"cnumpy\nndarray\n)\x81.", "opcode EMPTY_TUPLE", id="NEWOBJ"),
        pytest.param(b"Pname\n.", "opcode PERSID", id="PERSID"),
        pytest.param(b"K\x00Q.", "opcode BINPERSID", id="BINPERSID"),
        pytest.param(b"](" * 500_000, "more than 2 times EMPTY_LIST", id="nested-lists"),
        pytest.param(b"N" + b"\x85" * 500_000, "more than 1 times TUPLE1", id="nested-tuples"),
        pytest.param(b"(" * 500_000, "more than 23 times MARK", id="marks"),
        pytest.param(b"K\x00" * 500_000, "more than 10006 times BININT1", id="many-ints"),
        pytest.param(b"K\x01" + b"2" * 500_000, "opcode DUP", id="DUP"),
        pytest.param(b"NrA\x00\x00\x7f.", "memo index 2130706497", id="memo"),
        pytest.param(b"Nr\x1e\x27\x00\x00.", "memo index 10014", id="memo-by-one"),
        pytest.param(b"T" + HUGE + b"x.", "not a pickle", id="BINSTRING-length"),
        pytest.param(b"T\xff\xff\xff\xffx.", "not a pickle", id="BINSTRING-negative"),
        pytest.param(b"\x8e" + b"\xff" * 7 + b"\x7fx.", "opcode BINBYTES8", id="BINBYTES8-length"),
        pytest.param(b"\x8b" + HUGE + b"x.", "opcode LONG4", id="LONG4-length"),
        pytest.param(b"S'\\u'\n.", "opcode STRING", id="STRING-escape"),
        pytest.param(b"L" + b"9" * 500_000 + b"L\n.", "opcode LONG", id="LONG-digits"),
        pytest.param(b"\x95" + b"\xff" * 7 + b"\x7f.", "opcode FRAME", id="FRAME"),
    ],
)
def test_forbidden_to_cifar10(raw, said):
    start = time.perf_counter()
    refuses(PickleError, said, lambda: pickles.read(raw, CIFAR10))
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"cos\nsystem\n.", "forbidden pickle: it names 'os system'"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "forbidden pickle: it names 'os system'"),
        (b"\x80\x04\x8c\x05numpy\x8c\x04load\x93.", "it names 'numpy load'"),
        (b"(cnumpy\nndarray\no.", "opcode OBJ"),
        (b"cnumpy\nndarray\n)\x81.", "opcode EMPTY_TUPLE"),
        (b"](" * 500_000, "more than 64 times EMPTY_LIST"),
        (b"N" + b"\x85" * 500_000, "more than 64 times TUPLE1"),
        (b"K\x01" + b"2" * 500_000, "opcode DUP"),
        (b"NrA\x00\x00\x7f.", "memo index 2130706497"),
        (b"\x8e" + b"\xff" * 7 + b"\x7fx.", "not a pickle"),
        (b"\x96" + b"\xff" * 7 + b"\x7fx.", "not a pickle"),
        (b"\x8a\xff" + b"1" * 255 + b".", "opcode LONG1"),
        (b"\x97.", "opcode NEXT_BUFFER"),
        (b"", "not a pickle"),
    ],
)
def test_forbidden_to_all(raw, said):
    refuses(PickleError, said, lambda: pickles.read(raw, NUMPY))


@pytest.mark.parametrize("size", [(2**31 - 1, 2**31 - 1), (0, 2**31 - 1), (-1, -12), ("a",)])
def test_a_shape_that_lies_makes_nothing(size):
    raw = pickle.dumps(PIXELS[:1], 5)
    value = pickles.read(raw, NUMPY)
    blob, dtype, _, order = value.args
    value.args = blob, dtype, size, order
    refuses(PickleError, "it has the shape", lambda: pickles.array(value))
