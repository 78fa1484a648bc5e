"""Pickles of arrays, read without trusting them.

    content = read(raw)               # a dict of lists, bytes and placeholders
    images = array(content[b"data"])  # uint8 (10000, 3072)

A pickle is a program for a stack machine. This machine knows only the opcodes of a dict of arrays
of integers and of lists of integers and strings, as Python 2 and 3 write them with protocols 2 to 5
and NumPy 1 and 2. It imports and calls nothing: names become placeholders that store the arguments
of their calls, and arrays are made from the stored bytes. Size, depth and reuse of parts are
limited during construction.
"""

from __future__ import annotations

import math
import pickle
import pickletools
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["PickleError", "array", "read"]

# Of values in a container, those of its parts included (a part that is used twice counts twice),
# and of opcodes; a list of a million numbers needs fewer.
MAX_VALUES: Final = 4_000_000
MAX_DEPTH: Final = 16  # of nested containers; CIFAR-10's own are 6 deep
MAX_DIMENSIONS: Final = 4

_NDARRAY: Final = "numpy ndarray"
_DTYPE: Final = "numpy dtype"
_ENCODE: Final = "_codecs encode"
_RECONSTRUCT: Final = ("numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct")
_FROM_BUFFER: Final = ("numpy.core.numeric _frombuffer", "numpy._core.numeric _frombuffer")
_NAMES: Final = frozenset({_NDARRAY, _DTYPE, _ENCODE, *_RECONSTRUCT, *_FROM_BUFFER})

# Opcodes by the format (of `struct`) of the number that follows: a value, a length, or an index of
# the memo.
_INTEGERS: Final = {pickle.BININT: "<i", pickle.BININT1: "<B", pickle.BININT2: "<H"}
_BYTES: Final = {
    pickle.BINSTRING: "<i",  # Python 2's, whose strings are bytes
    pickle.SHORT_BINSTRING: "<B",
    pickle.BINBYTES: "<I",
    pickle.SHORT_BINBYTES: "<B",
    pickle.BINBYTES8: "<Q",
    pickle.BYTEARRAY8: "<Q",
}
_TEXTS: Final = {pickle.BINUNICODE: "<I", pickle.SHORT_BINUNICODE: "<B"}
_PUTS: Final = {pickle.BINPUT: "<B", pickle.LONG_BINPUT: "<I"}
_GETS: Final = {pickle.BINGET: "<B", pickle.LONG_BINGET: "<I"}
_IGNORED: Final = {pickle.PROTO: "<B", pickle.FRAME: "<Q"}
_CONSTANTS: Final = {pickle.NONE: None, pickle.NEWFALSE: False, pickle.NEWTRUE: True}
_OPCODES: Final = {one.code.encode("latin-1"): one.name for one in pickletools.opcodes}
_TUPLES: Final = {pickle.TUPLE1: 1, pickle.TUPLE2: 2, pickle.TUPLE3: 3}


class PickleError(ValueError):
    """Not a pickle, or one that uses something forbidden; the message says which."""


@dataclass(frozen=True)
class _Global:
    """A permitted name, before it is called."""

    name: str


class _Made:
    """The placeholder for the result of calling a name: its arguments and its state."""

    __slots__ = ("args", "name", "state")

    def __init__(self, name: str, args: tuple[Any, ...]) -> None:
        self.name, self.args = name, args
        self.state: Any = None


@dataclass
class _Size:
    """Size and depth of a container. It refers to the container, so that no other gets its id."""

    value: Any
    size: int = 1
    depth: int = 1
    shared: bool = False


def read(raw: bytes) -> Any:
    """The value of the pickle ``raw``: dicts, lists, tuples, bytes, strings, small integers, and
    placeholders for arrays, which :func:`array` turns into arrays. Nothing that it names is
    imported or called.

    Raises:
        PickleError: it uses anything else, is malformed, or would build too much.
    """
    machine = _Machine(raw)
    try:
        return machine.run()
    except (LookupError, struct.error, UnicodeError) as error:
        raise PickleError(f"not a pickle: {str(error)!r:.120}, at byte {machine.start}") from None


class _Machine:
    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.at = self.start = 0  # the next byte; the opcode's
        self.stack: list[Any] = []
        self.outer: list[list[Any]] = []  # the stacks below the marks
        self.memo: dict[int, Any] = {}
        self.sizes: dict[int, _Size] = {}  # by id of the container
        self.encoded = 0

    def run(self) -> Any:
        for _ in range(MAX_VALUES):
            self.start, self.at = self.at, self.at + 1
            code = self.raw[self.start : self.at]
            if code == pickle.STOP:
                return self.stack.pop()
            self.act(code)
        raise self.forbidden(f"more than {MAX_VALUES} opcodes")

    def act(self, code: bytes) -> None:
        stack = self.stack
        if code in _INTEGERS:
            stack.append(self.number(_INTEGERS[code]))
        elif code in _BYTES:
            stack.append(self.string(_BYTES[code]))
        elif code in _TEXTS:
            stack.append(self.string(_TEXTS[code]).decode("utf-8", "surrogatepass"))
        elif code in _PUTS:
            self.memo[self.number(_PUTS[code])] = stack[-1]
        elif code == pickle.MEMOIZE:
            self.memo[len(self.memo)] = stack[-1]
        elif code in _GETS:
            stack.append(value := self.memo[self.number(_GETS[code])])
            if size := self.sizes.get(id(value)):
                size.shared = True
        elif code in _IGNORED:
            self.number(_IGNORED[code])
        elif code in _CONSTANTS:
            stack.append(_CONSTANTS[code])
        elif code == pickle.EMPTY_LIST:
            self.push([])
        elif code == pickle.EMPTY_DICT:
            self.push({})
        elif code in _TUPLES:
            parts = [stack.pop() for _ in range(_TUPLES[code])]
            self.push(tuple(reversed(parts)))
        elif code == pickle.MARK:
            if len(self.outer) == MAX_DEPTH:
                raise self.forbidden(f"more than {MAX_DEPTH} marks within each other")
            self.outer.append(stack)
            self.stack = []
        elif code == pickle.TUPLE:
            self.push(tuple(self.since_mark()))
        elif code == pickle.APPEND:
            self.extend([stack.pop()])
        elif code == pickle.APPENDS:
            self.extend(self.since_mark())
        elif code == pickle.SETITEM:
            value, key = stack.pop(), stack.pop()
            self.update([key, value])
        elif code == pickle.SETITEMS:
            self.update(self.since_mark())
        elif code == pickle.GLOBAL:
            self.name(self.line(), self.line())
        elif code == pickle.STACK_GLOBAL:
            name, module = stack.pop(), stack.pop()
            self.name(module, name)
        elif code == pickle.REDUCE:
            args, called = stack.pop(), stack.pop()
            self.call(called, args)
        elif code == pickle.BUILD:
            state = stack.pop()
            made = self.holder(_Made)
            self.grow(made, [state])
            made.state = state
        else:
            if not code:
                raise IndexError("it ends before STOP")
            raise self.forbidden(f"opcode {_OPCODES.get(code, repr(code))}")

    # Reading the argument of an opcode.

    def number(self, kind: str) -> int:
        (value,) = struct.unpack_from(kind, self.raw, self.at)
        self.at += struct.calcsize(kind)
        return int(value)

    def string(self, kind: str) -> bytes:
        length = self.number(kind)
        if not 0 <= length <= len(self.raw) - self.at:
            raise IndexError("it ends within a string")
        self.at += length
        return self.raw[self.at - length : self.at]

    def line(self) -> str:
        end = self.raw.find(b"\n", self.at, self.at + 100)
        if end < 0:
            raise IndexError("it ends within a name, or should")
        self.at, line = end + 1, self.raw[self.at : end]
        return line.decode("latin-1")

    # Building values.

    def since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.outer.pop()
        return items

    def holder(self, kind: type) -> Any:
        """The container on top of the stack."""
        if type(self.stack[-1]) is not kind:
            raise LookupError(f"expected a {kind.__name__.strip('_').lower()}")
        return self.stack[-1]

    def push(self, container: Any) -> None:
        self.stack.append(container)
        self.sizes[id(container)] = _Size(container)
        self.grow(container, container if type(container) is tuple else ())

    def grow(self, container: Any, parts: Iterable[Any]) -> None:
        """Count ``parts``, which are then added to ``container``."""
        whole = self.sizes[id(container)]
        if whole.shared:  # its holder has counted it already, and might become one of its parts
            raise self.forbidden("a container that is used again is changed")
        for part in parts:
            size = self.sizes.get(id(part))
            whole.size += size.size if size else 1
            whole.depth = max(whole.depth, size.depth + 1 if size else 1)
        if whole.size > MAX_VALUES:
            raise self.forbidden(f"more than {MAX_VALUES} values")
        if whole.depth > MAX_DEPTH:
            raise self.forbidden(f"more than {MAX_DEPTH} containers within each other")

    def extend(self, items: list[Any]) -> None:
        target = self.holder(list)
        self.grow(target, items)
        target += items

    def update(self, items: list[Any]) -> None:
        target = self.holder(dict)
        keys, values = items[::2], items[1::2]
        if len(keys) != len(values):
            raise LookupError("a key without a value")
        for key in keys:
            if type(key) not in (str, bytes):  # hashing a tuple may take for ever
                raise self.forbidden(f"a key of type {type(key).__name__.strip('_').lower()}")
        self.grow(target, items)
        target.update(zip(keys, values, strict=True))

    def name(self, module: object, name: object) -> None:
        full = f"{module!s:.80} {name!s:.80}" if type(module) is type(name) is str else ""
        if full not in _NAMES:
            raise self.forbidden(f"it names {full!r:.80}")
        self.stack.append(_Global(full))

    def call(self, called: object, args: object) -> None:
        if type(called) is not _Global or type(args) is not tuple:
            raise LookupError("expected a name and its arguments")
        if called.name == _ENCODE:  # Python 3 writes bytes so by protocol 2
            match args:
                case (str(text), "latin1"):
                    pass
                case _:
                    raise self.forbidden(f"{_ENCODE} of anything but text as latin1")
            self.encoded += len(text)
            if self.encoded > len(self.raw):
                raise self.forbidden("more bytes than it has itself")
            self.stack.append(text.encode("latin1"))
            return
        self.push(made := _Made(called.name, args))
        self.grow(made, [args])

    def forbidden(self, what: str) -> PickleError:
        return PickleError(f"forbidden pickle: {what}, at byte {self.start}")


def array(value: object) -> NDArray[Any]:
    """The array of integers for the placeholder ``value`` from :func:`read`: a read-only view.

    Raises:
        PickleError: ``value`` stands for anything but a C-ordered NumPy array of integers.
    """
    match value:
        case _Made(
            name=name,
            args=(_Global(name="numpy ndarray"), (0,), b"b"),
            state=(1, tuple(shape), dtype, False, bytes(blob)),
        ) if name in _RECONSTRUCT:
            pass
        case _Made(name=name, args=(bytes() | bytearray() as blob, dtype, tuple(shape), "C")) if (
            name in _FROM_BUFFER
        ):
            pass
        case _:
            raise PickleError("it is not a NumPy array of C-ordered integers")
    kind = _integers(dtype)
    if kind is None:
        raise PickleError("it is not a NumPy array of C-ordered integers")
    if len(shape) > MAX_DIMENSIONS or not all(type(n) is int and n >= 0 for n in shape):
        raise PickleError(f"it has the shape of no array of up to {MAX_DIMENSIONS} dimensions")
    if math.prod(shape) * kind.itemsize != len(blob):
        raise PickleError(f"it has the shape {shape} in {len(blob)} bytes")
    try:
        return np.frombuffer(bytes(blob), kind).reshape(shape)
    except ValueError as error:  # empty, and its other dimensions too large
        raise PickleError(f"it has the shape {shape} ({error!s:.80})") from None


def _integers(value: object) -> np.dtype[Any] | None:
    """The dtype for the placeholder ``value`` if it is a dtype of integers, else None."""
    match value:
        case _Made(
            name="numpy dtype", args=(code, 0, 1), state=(3, order, None, None, None, -1, -1, 0)
        ):
            parts = [
                part.decode("latin-1") if type(part) is bytes else part for part in (order, code)
            ]
            if all(type(part) is str and len(part) < 3 for part in parts):
                text = "".join(parts)
                return np.dtype(text) if re.fullmatch("[|<>][iu][1248]", text) else None
    return None
