"""Pickles of arrays are read as NumPy and Python would read them, and no others; nothing runs."""

from __future__ import annotations

import contextlib
import copyreg
import os
import pickle
import pickletools
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cifar.datasets import pickles
from cifar.datasets.pickles import PickleError
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
    content = pickles.read(pickle.dumps({b"data": array, "copy": array}, protocol))
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
    assert pickles.read(pickle.dumps(content, protocol)) == content


def test_many_labels():
    content = {"labels": list(range(20_000)), "filenames": [f"{i}.png" for i in range(20_000)]}
    assert pickles.read(pickle.dumps(content, 4)) == content


def test_names_of_numpy_1():
    raw = pickle.dumps(PIXELS, 2).replace(b"numpy._core", b"numpy.core")
    np.testing.assert_array_equal(pickles.array(pickles.read(raw)), PIXELS)


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
    refuses(PickleError, said, lambda: pickles.array(pickles.read(raw)))


@given(st.data())
def test_damage_is_refused_or_read(data):
    """Damage raises PickleError, nothing else."""
    raw = bytearray(
        pickle.dumps({b"data": PIXELS[:1], b"ids": [1, 2]}, data.draw(st.sampled_from(PROTOCOLS)))
    )
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(PickleError):
        content = pickles.read(bytes(raw[: data.draw(st.integers(0, len(raw)))]))
        for value in content.values() if isinstance(content, dict) else ():
            pickles.array(value)


# ---------------------------------------------------------------------------- what means harm


class _Runs:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_no_command_runs(tmp_path, protocol):
    marker = tmp_path / "marker"
    raw = pickle.dumps({b"data": _Runs(marker)}, protocol)
    refuses(PickleError, "forbidden pickle: ", lambda: pickles.read(raw))
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
def test_extension_opcodes(tmp_path: Path, code: bytes) -> None:
    made = tmp_path / "made"
    raw = b"\x80\x02" + code + b"X" + struct.pack("<I", len(str(made))) + str(made).encode()
    act = lambda: pickles.read(raw + b"\x85R.")  # noqa: E731
    refuses(PickleError, "forbidden pickle: opcode EXT", act)
    assert not made.exists()


HUGE = struct.pack("<I", 2**31 - 1)
NDARRAY = b"cnumpy\nndarray\n"


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        pytest.param(b"cos\nsystem\n.", "forbidden pickle: it names 'os system'", id="os.system"),
        pytest.param(b"cbuiltins\neval\n.", "pickle: it names 'builtins eval'", id="eval"),
        pytest.param(b"cnumpy\nload\n.", "pickle: it names 'numpy load'", id="numpy.load"),
        pytest.param(b"c\\x6eumpy\nndarray\n.", "pickle: it names '\\\\x6e", id="escaped-name"),
        pytest.param(b"c" + b"x" * 500_000 + b"\n\n.", "not a pickle", id="long-name"),
        pytest.param(
            b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "names 'os system'", id="STACK_GLOBAL"
        ),
        pytest.param(b"\x80\x04K\x01K\x02\x93.", "it names ''", id="STACK_GLOBAL-numbers"),
        pytest.param(b"(ios\nsystem\n.", "opcode INST", id="INST"),
        pytest.param(b"(" + NDARRAY + b"o.", "opcode OBJ", id="OBJ"),
        pytest.param(NDARRAY + b")\x81.", "opcode EMPTY_TUPLE", id="NEWOBJ"),
        pytest.param(b"Pname\n.", "opcode PERSID", id="PERSID"),
        pytest.param(b"K\x00Q.", "opcode BINPERSID", id="BINPERSID"),
        pytest.param(b"K\x01" + b"2" * 500_000, "opcode DUP", id="DUP"),
        pytest.param(b"\x97.", "opcode NEXT_BUFFER", id="NEXT_BUFFER"),
        pytest.param(b"\x8a\xff" + b"1" * 255 + b".", "opcode LONG1", id="LONG1"),
        pytest.param(b"\x8b" + HUGE + b"x.", "opcode LONG4", id="LONG4-length"),
        pytest.param(b"S'\\u'\n.", "opcode STRING", id="STRING-escape"),
        pytest.param(b"L" + b"9" * 500_000 + b"L\n.", "opcode LONG", id="LONG-digits"),
        pytest.param(b"T" + HUGE + b"x.", "not a pickle", id="BINSTRING-length"),
        pytest.param(b"T\xff\xff\xff\xffx.", "not a pickle", id="BINSTRING-negative"),
        pytest.param(b"\x8e" + b"\xff" * 7 + b"\x7fx.", "not a pickle", id="BINBYTES8-length"),
        pytest.param(b"\x96" + b"\xff" * 7 + b"\x7fx.", "not a pickle", id="BYTEARRAY8-length"),
        pytest.param(b"\x95" + b"\xff" * 3, "not a pickle", id="FRAME-short"),
        pytest.param(b"h\x07.", "not a pickle", id="memo-that-is-empty"),
        pytest.param(b"", "not a pickle", id="empty"),
        pytest.param(b".", "not a pickle", id="nothing"),
        pytest.param(b"N", "not a pickle", id="no-STOP"),
        pytest.param(b"N\x85a.", "not a pickle", id="append-to-nothing"),
        pytest.param(b"N(NNu.", "not a pickle", id="items-of-None"),
        pytest.param(b"}(U\x01au.", "not a pickle: 'a key without a value'", id="odd-items"),
        pytest.param(b"e.", "not a pickle", id="no-mark"),
        pytest.param(b"NN\x85R.", "not a pickle", id="calls-None"),
        pytest.param(NDARRAY + b"NR.", "not a pickle", id="calls-with-None"),
        pytest.param(NDARRAY + b"Nb.", "not a pickle", id="builds-a-name"),
        pytest.param(b"](N.", "", id="open-mark"),
    ],
)
def test_what_is_forbidden_or_senseless(raw, said):
    refused(raw, said) if said else pickles.read(raw)


def refused(raw, said):
    """At once: whatever takes longer would be uninterruptible within C."""
    start = time.perf_counter()
    refuses(PickleError, said, lambda: pickles.read(raw))
    assert time.perf_counter() - start < 5


# ---------------------------------------------------------------------------- what grows


def pairs(count):
    """Tuples of one thing twice, which is a tuple of one thing twice, and so on."""
    built = b"X\x01\x00\x00\x00aq\x00"
    return built + b"".join(b"h%ch%c\x86q%c" % (i, i, i + 1) for i in range(count))


@pytest.mark.parametrize("count", [60, 12])
def test_a_tuple_is_no_key(count):
    """The hash of this one takes 2 to the power of ``count`` steps."""
    refused(
        b"}(" + pairs(count) + b"Nu.", "containers within" if count > 15 else "a key of type tuple"
    )


@pytest.mark.parametrize("key", [b"N", b"K\x01", b"]", b"}", NDARRAY])
def test_keys_are_names(key):
    refused(b"}(" + key + b"Nu.", "forbidden pickle: a key of type ")
    refused(b"}" + key + b"Ns.", "forbidden pickle: a key of type ")


def test_sharing_is_bounded_by_what_it_would_be_without():
    wide = b"](" + b"K\x01" * 250 + b"eq\x00"  # 250 values, 250 times, 250 times
    for i in range(3):
        wide += b"](" + b"h%c" % i * 250 + b"eq%c" % (i + 1)
        if i < 1:
            assert len(pickles.read(wide + b".")) == 250
    refused(wide + b".", "forbidden pickle: more than 4000000 values")


@pytest.mark.parametrize(
    ("start", "middle", "end"),
    [
        (b"", b"]", b"a" * 499 + b"."),
        (b"", b"](", b"."),
        (b"", b"}U\x01a", b"N" + b"s" * 500 + b"."),
        (b"N", b"\x85", b"."),
        (b"(", b"(", b"."),
        (b"N", b"q\x00" + NDARRAY + b"h\x00\x85R", b"."),
    ],
    ids=["lists", "lists and marks", "dicts", "tuples", "marks", "calls"],
)
def test_depth_is_bounded(start, middle, end):
    refused(start + middle * 500 + end, f"forbidden pickle: more than {pickles.MAX_DEPTH} ")


@pytest.mark.parametrize(
    "raw",
    [
        b"]q\x00h\x00a.",
        b"]q\x00(h\x00e.",
        b"}q\x00U\x01ah\x00s.",
        b"]q\x00h\x00\x85a.",
        NDARRAY + b"N\x85Rq\x00h\x00b.",
    ],
)
def test_nothing_holds_itself(raw):
    refused(raw, "forbidden pickle: a container that is used again is changed")


def test_bytes_are_no_more_than_in_the_file():
    text = b"X\xe8\x03\x00\x00" + b"x" * 1000 + b"q\x00"
    call = b"c_codecs\nencode\nh\x00X\x06\x00\x00\x00latin1\x86R"
    assert pickles.read(text + call + b".") == b"x" * 1000
    refused(text + call * 100 + b".", "forbidden pickle: more bytes than it has itself")


def test_opcodes_are_bounded(monkeypatch):
    monkeypatch.setattr(pickles, "MAX_VALUES", 1000)
    refused(b"N" + b"q\x00" * 1000 + b".", "forbidden pickle: more than 1000 opcodes")


def test_parts_that_are_used_again():
    labels = [1, 2]
    content = {"data": PIXELS[:1], "labels": labels, "fine": labels, "both": (labels, labels)}
    for protocol in PROTOCOLS:
        found = pickles.read(pickle.dumps(content, protocol))
        assert found["labels"] == found["fine"] == labels
        assert found["both"] == (labels, labels)


@given(st.data())
def test_any_program_ends(data):
    codes = st.sampled_from(sorted(pickletools.code2op)).map(lambda c: c.encode("latin-1"))
    program = data.draw(st.lists(codes | st.binary(max_size=3), max_size=40).map(b"".join))
    with contextlib.suppress(PickleError):
        pickles.read(b"\x80\x02}(U\x01a](K\x01eq\x00N\x85" + program + b".")


def test_an_empty_array_of_too_large_a_shape():
    value = pickles.read(pickle.dumps(PIXELS[:0], 5))
    _, dtype, _, order = value.args
    value.args = b"", dtype, (0, 2**62, 2**62), order
    refuses(PickleError, "it has the shape (0, ", lambda: pickles.array(value))


LIES = [(2**31 - 1, 2**31 - 1), (0, 2**31 - 1), (-1, -12), ("a",), (1,) * 5, (2,) * 1_000_000]


@pytest.mark.parametrize("size", LIES, ids=lambda size: f"{len(size)}-{size[0]}")
def test_a_shape_that_lies_makes_nothing(size):
    raw = pickle.dumps(PIXELS[:1], 5)
    value = pickles.read(raw)
    blob, dtype, _, order = value.args
    value.args = blob, dtype, size, order
    start = time.perf_counter()
    refuses(PickleError, "it has the shape", lambda: pickles.array(value))
    assert time.perf_counter() - start < 1
