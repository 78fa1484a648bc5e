"""What training notes in its files besides tensors: JSON, to be read back and checked before it is
believed, since whoever can write a file can write a digest that fits it."""

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

DEEPEST: Final = 20  # of dicts and lists within each other; training's own are 6 deep
LARGEST: Final = float(np.finfo(np.float32).max)  # what a weight, a loss or a rate may be


def read(
    path: str | os.PathLike[str], device: str | mg.device = "cpu"
) -> tuple[dict[str, mg.Tensor], dict[str, Any]]:
    """The tensors of a file that training wrote, and its note; {} of any other file.

    Raises:
        ValueError: it cannot be read, is damaged, or its note is not of texts and numbers; the
            message names it and says which.
    """
    try:
        with instead_of_warnings():
            tensors, note = mg.checkpoint.read(path, device)
    except (OSError, ValueError, ImportError) as error:
        raise ValueError(str(error).removeprefix("path: ")) from None
    if not _is_plain(note):
        raise ValueError(
            f"{path} has metadata that training never writes: more than {DEEPEST} lists deep, or "
            "text that is not Unicode"
        )
    return tensors, note if isinstance(note, dict) else {}


def parse(text: str) -> Any:
    """What JSON text holds.

    Raises:
        ValueError: it is no JSON, is more than :data:`DEEPEST` levels deep, or holds text that is
            not Unicode.
    """
    try:
        found = json.loads(text)
    except RecursionError as error:
        raise ValueError(str(error)) from None
    if not _is_plain(found):
        raise ValueError(f"more than {DEEPEST} levels deep, or text that is not Unicode")
    return found


@contextmanager
def instead_of_warnings() -> Iterator[None]:
    """Lines on stderr, as a person reads them, for what would be a library's warnings."""
    with warnings.catch_warnings(record=True) as remarks:
        warnings.simplefilter("always")
        yield
    for remark in remarks:
        print(f"note: {remark.message}", file=sys.stderr)


def _is_plain(value: Any, depth: int = 0) -> bool:
    """Whether JSON is neither so deep that Python cannot show it nor holds half a character."""
    if isinstance(value, str):
        return not any("\ud800" <= c <= "\udfff" for c in value)
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list):
        return depth < DEEPEST and all(_is_plain(inner, depth + 1) for inner in value)
    return True


def is_whole(value: Any, low: int = 0, high: float = math.inf) -> bool:
    """Whether it is a whole number in [low, high]."""
    return type(value) is int and low <= value <= high


def is_number(value: Any, low: float = -LARGEST, high: float = LARGEST) -> bool:
    """Whether it is a number in [low, high]; NaN never is."""
    return type(value) in (int, float) and low <= value <= high


def brief(value: object) -> str:
    """Its ``str``, as one line of at most 120 characters that steer no terminal."""
    return mg.console.one_line(str(value)[:1000])[:120]
