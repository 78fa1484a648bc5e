"""The metadata of the files that training writes: JSON. It is checked after reading, because
whoever can write a file can also write a matching digest."""

from __future__ import annotations

import json
import math
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np

import minigrad as mg

MAX_DEPTH: Final = 20  # of nested dicts and lists; training's own are 6 deep
MAX_FLOAT: Final = float(np.finfo(np.float32).max)  # of a weight, a loss or a rate


def read(
    path: str | os.PathLike[str], device: str | mg.device = "cpu"
) -> tuple[dict[str, mg.Tensor], dict[str, Any]]:
    """The tensors and the metadata of a file; {} for the metadata unless training wrote it.

    Raises:
        ValueError: it cannot be read, is damaged, or its metadata are not plain text and numbers;
            the message names the file.
    """
    try:
        with warnings_as_notes():
            tensors, note = mg.checkpoint.read(path, device)
    except (OSError, ValueError, ImportError) as error:
        raise ValueError(str(error).removeprefix("path: ")) from None
    if not _is_plain(note):
        raise ValueError(
            f"{path} has metadata that training never writes: more than {MAX_DEPTH} lists deep, or "
            "text that is not Unicode"
        )
    return tensors, note if isinstance(note, dict) else {}


def parse(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is not JSON, is more than :data:`MAX_DEPTH` levels deep, or holds text that
            is not Unicode.
    """
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError(str(error)) from None
    if not _is_plain(value):
        raise ValueError(f"more than {MAX_DEPTH} levels deep, or text that is not Unicode")
    return value


@contextmanager
def warnings_as_notes() -> Iterator[None]:
    """Print a library's warnings as notes on stderr."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        print(f"note: {warning.message}", file=sys.stderr)


def _is_plain(value: Any, depth: int = 0) -> bool:
    """Whether a JSON value is not too deep for Python to print and has no half of a character."""
    if isinstance(value, str):
        return not any("\ud800" <= c <= "\udfff" for c in value)
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list):
        return depth < MAX_DEPTH and all(_is_plain(inner, depth + 1) for inner in value)
    return True


def is_whole(value: Any, low: int = 0, high: float = math.inf) -> bool:
    """Whether a value is an int in [low, high]."""
    return type(value) is int and low <= value <= high


def is_number(value: Any, low: float = -MAX_FLOAT, high: float = MAX_FLOAT) -> bool:
    """Whether a value is an int or float in [low, high]; NaN is in no range."""
    return type(value) in (int, float) and low <= value <= high


def brief(value: object) -> str:
    """``str(value)`` as one line of at most 120 printable characters."""
    return mg.console.one_line(str(value)[:1000])[:120]
