"""The user's own Python files with recipes and models, and the permission to run their code.

A run's record holds the source of its model, so that the model can be made without the file. Code
from a record runs only if the user has trained with the same code on this machine, or names it now:
a downloaded run executes nothing by itself.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import minigrad as mg
from cifar.errors import UserError

MAX_BYTES: Final = 1 << 20  # of a file of source


@dataclass(frozen=True)
class Source:
    """A Python file and the function in it that makes a model.

    Attributes:
        file: its path as it was given.
        function: takes ``num_classes`` and, if it has such an argument, ``image_size``.
        text: its content.
        sha256: of the content, in hex.

    Raises:
        ValueError: the digest does not fit, or the function's name is none.
    """

    file: str
    function: str
    text: str
    sha256: str

    def __post_init__(self) -> None:
        if not self.function.isidentifier():
            raise ValueError(f"function {self.function!r:.80}")
        if hashlib.sha256(self.text.encode("utf-8", "replace")).hexdigest() != self.sha256:
            raise ValueError(f"sha256 {self.sha256!r:.80}")


def is_path(name: str) -> bool:
    """Whether the name of a recipe or a model is that of a Python file."""
    return name.partition(".py:")[1] == ".py:" or name.endswith(".py")


def read(name: str) -> Source:
    """Read the file that the user names as FILE.py or FILE.py:FUNCTION, and permit its code.

    Raises:
        UserError: it cannot be read.
    """
    file, _, function = name.partition(".py:") if ".py:" in name else (name, "", "create")
    path = Path(f"{file.removesuffix('.py')}.py")
    try:
        raw = mg.checkpoint.readable(path).read_bytes()
        if len(raw) > MAX_BYTES:
            raise UserError(f"{path}: {len(raw):,} bytes, expected at most {MAX_BYTES:,}")
        source = Source(str(path), function, raw.decode("utf-8"), hashlib.sha256(raw).hexdigest())
    except OSError as error:
        raise UserError(f"{path}: {str(error).removeprefix('path: ')}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a Python file in UTF-8") from None
    except ValueError:
        raise UserError(
            f"{path}: expected FILE.py:FUNCTION with the name of a function, got {name!r:.80}"
        ) from None
    with suppress(OSError, RuntimeError):  # without a home, it must be named every time
        mark = _mark(source)
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    return source


def permitted(source: Source, named: str | None) -> Source:
    """The code to run for a record that holds ``source``.

    Args:
        named: the file that the user names now, if any.

    Raises:
        UserError: the code was not named on this machine, or other code is named now.
    """
    if named is not None:
        given = read(named)
        if (given.sha256, given.function) != (source.sha256, source.function):
            raise UserError(
                f"model: {named} is not what the run was trained with: {source.function} in a file "
                f"of SHA-256 {source.sha256[:12]}, not {given.function} of {given.sha256[:12]}"
            )
        return given
    with suppress(OSError, RuntimeError):
        if _mark(source).exists():
            return source
    raise UserError(
        f"model: the run brings code of its own ({Path(source.file).name!r:.80}, SHA-256 "
        f"{source.sha256[:12]}), which has not been used on this machine. Read it, in model.py of "
        f"the run's folder, and name it if you trust it: --model RUN/model.py:{source.function}"
    )


def _mark(source: Source) -> Path:
    """The file that marks the code as permitted on this machine."""
    name = f"{source.sha256}-{source.function}"
    return Path("~/.cache/minigrad/own-code").expanduser() / name


def run(source: Source) -> ModuleType:
    """Execute the code; returns its module.

    Raises:
        UserError: the code raises an exception.
    """
    module = ModuleType(f"own_code_{source.sha256[:16]}")
    module.__file__ = os.path.abspath(source.file)  # as Python does for any module
    sys.modules[module.__name__] = module  # dataclasses look their module up
    try:
        exec(compile(source.text, source.file, "exec"), vars(module))
    except Exception as error:
        raise UserError(f"{source.file}: {type(error).__name__}: {error}") from None
    return module


def make_model(
    source: Source, num_classes: int, seed: int, image_size: int, **options: Any
) -> mg.nn.Module:
    """A new model from the function of ``source``, tried on a black image.

    Args:
        options: further arguments of the function.

    Raises:
        UserError: the code raises an exception, or the result is not a model from such images to
            that number of logits.
    """
    name = f"{source.file}:{source.function}"
    create = getattr(run(source), source.function, None)
    if not callable(create):
        raise UserError(f"model: there is no function {source.function} in {source.file}")
    mg.manual_seed(seed)
    try:
        sized = "image_size" in inspect.signature(create).parameters
        size = {"image_size": image_size} if sized else {}
        model = create(num_classes, **size, **options)
        if not isinstance(model, mg.nn.Module):
            raise TypeError(f"expected a minigrad.nn.Module, got {type(model).__name__}")
        with mg.no_grad():
            shape = model.eval()(mg.zeros(1, 3, image_size, image_size)).shape
        if shape != (1, num_classes):
            raise ValueError(f"expected logits of shape (1, {num_classes}), got {tuple(shape)}")
    except Exception as error:
        pixels = f"{image_size} x {image_size}"
        raise UserError(
            f"model: {name} does not make {num_classes} logits of images of {pixels}: "
            f"{type(error).__name__}: {error}"
        ) from None
    return model.train()
