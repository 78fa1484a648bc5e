"""Pickles of arrays, read without trusting them.

    content = read(raw, NUMPY)            # a dict of lists, bytes and placeholders
    images = array(content[b"data"])      # uint8 (10000, 3072)

A pickle is a program, so ours are held to few words. The opcodes are counted first against
:class:`Words`, which bounds depth and size; then the names they call stand for placeholders that
only remember how they were called; then arrays are made from the remembered bytes.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["CIFAR10", "NUMPY", "PickleError", "Words", "array", "read"]

_NDARRAY: Final = "numpy ndarray"
_DTYPE: Final = "numpy dtype"
_ENCODE: Final = "_codecs encode"


class PickleError(ValueError):
    """It is no pickle, or one that uses what is forbidden; the message says which."""


@dataclass(frozen=True)
class Words:
    """All that a pickle may use.

    Attributes:
        opcodes: how often each may come, by its name in :mod:`pickletools`; no other may.
        names: "module name" of each global.
        memo: the largest memo index; the memo is an array as long as that.
    """

    opcodes: Mapping[str, int]
    names: frozenset[str]
    memo: int


# What Python 2 wrote into CIFAR-10's files, each just as often as in the published ones.
CIFAR10: Final = Words(
    {
        "PROTO": 1,
        "EMPTY_DICT": 1,
        "EMPTY_LIST": 2,
        "MARK": 23,
        "APPENDS": 20,
        "SETITEMS": 1,
        "GLOBAL": 3,
        "TUPLE": 2,
        "TUPLE1": 1,
        "TUPLE2": 1,
        "TUPLE3": 2,
        "REDUCE": 2,
        "BUILD": 2,
        "NONE": 3,
        "NEWFALSE": 1,
        "BININT": 2,
        "BININT1": 10_006,
        "BININT2": 2,
        "BINSTRING": 1,
        "SHORT_BINSTRING": 10_008,
        "BINPUT": 255,
        "LONG_BINPUT": 9_758,
        "STOP": 1,
    },
    frozenset({"numpy.core.multiarray _reconstruct", _NDARRAY, _DTYPE}),
    10_013,
)

_FEW, _MANY = 64, 1_000_000
_ONCE = ("PROTO", "EMPTY_DICT", "STOP")
_NESTED = (
    *("EMPTY_LIST", "SETITEM", "SETITEMS", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
    *("GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD", "NONE", "NEWFALSE", "NEWTRUE"),
    *("BINSTRING", "BINBYTES", "BINBYTES8", "BYTEARRAY8"),
)
_ITEMS = (
    *("MARK", "APPEND", "APPENDS", "BININT", "BININT1", "BININT2", "BINUNICODE"),
    *("SHORT_BINSTRING", "SHORT_BINBYTES", "SHORT_BINUNICODE"),
    *("BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET", "MEMOIZE", "FRAME"),
)

# A dict of arrays of integers and of lists of integers and strings, as protocols 2 to 5 of Python 2
# and 3 write it with NumPy 1 and 2. What can nest is few, so depth is bounded.
NUMPY: Final = Words(
    {**dict.fromkeys(_ONCE, 1), **dict.fromkeys(_NESTED, _FEW), **dict.fromkeys(_ITEMS, _MANY)},
    CIFAR10.names
    | {
        "numpy._core.multiarray _reconstruct",
        "numpy.core.numeric _frombuffer",
        "numpy._core.numeric _frombuffer",
        _ENCODE,
    },
    _MANY,
)

_CODES: Final = {opcode.code.encode("latin-1"): opcode for opcode in pickletools.opcodes}


def read(raw: bytes, words: Words) -> Any:
    """What the pickle ``raw`` holds: dicts, lists, tuples, bytes, strings, small integers, and
    placeholders for arrays, of which :func:`array` makes some. Nothing named in it is imported or
    called.

    Raises:
        PickleError: it uses anything but ``words``, or makes no sense.
    """
    _scan(raw, words)
    try:
        return _Unpickler(raw, words).load()
    except PickleError:
        raise
    except Exception as error:  # the machine may raise anything on a program that makes no sense
        raise PickleError(f"not a pickle: {str(error)!r:.120}") from None


def _scan(raw: bytes, words: Words) -> None:
    """Refuse a pickle that uses anything but ``words``, before any of it is built."""
    left, stream, name = dict(words.opcodes), io.BytesIO(raw), ""
    try:
        while name != "STOP":
            position, code = stream.tell(), stream.read(1)
            if not code:
                raise ValueError("it ends before STOP")
            opcode = _CODES.get(code)
            name = opcode.name if opcode else repr(code)
            left[name] = left.get(name, 0) - 1
            if left[name] < 0:
                most = words.opcodes.get(name, 0)
                what = f"more than {most} times {name}" if most else f"opcode {name}"
                raise _forbidden(f"{what}, at byte {position}")
            if name == "GLOBAL":  # pickletools' reader would decode escapes, pickle does not
                lines = (stream.readline() + stream.readline()).decode("latin-1")
                if lines.count("\n") < 2:
                    raise ValueError("it ends within a name")
                full = lines[:-1].replace("\n", " ")
                if full not in words.names:
                    raise _forbidden(f"it names {full!r:.80}, at byte {position}")
            elif opcode and opcode.arg:
                arg = opcode.arg.reader(stream)
                if name == "LONG_BINPUT" and arg > words.memo:
                    raise _forbidden(f"memo index {arg}, at byte {position}")
    except PickleError:
        raise
    except ValueError as error:
        raise PickleError(f"not a pickle: {str(error)!r:.120}") from None


def _forbidden(what: str) -> PickleError:
    return PickleError(f"forbidden pickle: {what}")


class _Placeholder:
    """What an allowed global stands for: remembers its arguments and its state, does nothing."""

    __slots__ = ("args", "name", "state")

    def __init__(self, name: str, args: tuple[Any, ...] | None = None) -> None:
        self.name, self.args = name, args
        self.state: Any = None

    def __call__(self, *args: Any) -> _Placeholder | bytes:
        match self.name, args:  # how Python 3 writes bytes by protocol 2
            case "encode", (str(text), "latin1"):
                return text.encode("latin1")
        return _Placeholder(self.name, args)

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Unpickler(pickle.Unpickler):
    def __init__(self, raw: bytes, words: Words) -> None:
        super().__init__(io.BytesIO(raw), fix_imports=False, encoding="bytes")
        self.names = words.names

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module} {name}"
        if full not in self.names:  # STACK_GLOBAL's name is not known before this
            raise _forbidden(f"it names {full!r:.80}")
        return full if full == _NDARRAY else _Placeholder(name)


def array(value: object) -> NDArray[Any]:
    """The array of integers that ``value``, from :func:`read`, stands for: a read-only view.

    Raises:
        PickleError: it stands for anything else than a C-ordered NumPy array of integers.
    """
    match value:
        case _Placeholder(
            name="_reconstruct",
            args=("numpy ndarray", (0,), b"b"),
            state=(1, tuple(shape), dtype, False, bytes(blob)),
        ):
            pass
        case _Placeholder(
            name="_frombuffer", args=(bytes() | bytearray() as blob, dtype, tuple(shape), "C")
        ):
            pass
        case _:
            raise PickleError("it is not a NumPy array of C-ordered integers")
    kind = _integers(dtype)
    if kind is None:
        raise PickleError("it is not a NumPy array of C-ordered integers")
    fits = all(type(n) is int and n >= 0 for n in shape)
    if not fits or math.prod(shape) * kind.itemsize != len(blob):
        raise PickleError(f"it has the shape {shape!s:.80} in {len(blob)} bytes")
    try:
        return np.frombuffer(bytes(blob), kind).reshape(shape)
    except (ValueError, OverflowError) as error:
        raise PickleError(f"it has the shape {shape!s:.80} ({error!s:.80})") from None


def _integers(value: object) -> np.dtype[Any] | None:
    """The dtype that ``value`` stands for as NumPy pickles it, if it is one of integers."""
    match value:
        case _Placeholder(
            name="dtype", args=(code, 0, 1), state=(3, order, None, None, None, -1, -1, 0)
        ):
            text = "".join(
                part.decode("latin-1") if isinstance(part, bytes) else str(part)
                for part in (order, code)
            )
            return np.dtype(text) if re.fullmatch("[|<>][iu][1248]", text) else None
    return None
