"""Commands: parsing of their options, and one-line messages for mistakes."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import io
import itertools
import os
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import tyro

import minigrad as mg
from cifar.errors import UserError

T = TypeVar("T")


@dataclass(frozen=True)
class Command:
    """A command.

    Attributes:
        settings: the dataclass of its options; its docstring is their help.
        act: runs the command and returns the exit code.
    """

    settings: type
    act: Callable[[Any], int]


def parse(arguments: Sequence[str], commands: Mapping[str, Command]) -> Any:
    """Parse the settings of the command that the first one or two arguments name.

    Raises:
        UserError: the arguments cannot be parsed.
        SystemExit: after --help.
    """
    name = name_in(arguments, commands)
    arguments = [name, *arguments[name.count(" ") + 1 :]] if arguments else []
    if name not in commands:
        if not name.startswith("-"):
            raise _unknown(name, commands)
        with contextlib.suppress(UserError):
            _parse(_any_of(commands), arguments, "cifar", DESCRIPTION)  # --help
        raise _unknown(name, commands)
    return _parse(_any_of(commands), arguments, "cifar", DESCRIPTION, f"cifar {name}")


def name_in(arguments: Sequence[str], commands: Mapping[str, Command]) -> str:
    """The command at the start of the arguments, of one or two words, such as "search show"; if it
    is unknown, the first argument."""
    two = " ".join(arguments[:2])
    return two if two in commands and len(arguments) > 1 else next(iter(arguments), "")


def parse_options(settings: type[T], arguments: Sequence[str], program: str, description: str) -> T:
    """Parse the settings of a program with one command; raises the same errors as :func:`parse`."""
    return typing.cast(T, _parse(settings, arguments, program, description))


DESCRIPTION = "Studies of CIFAR-10 on minigrad. `cifar COMMAND --help` says more."


def _any_of(commands: Mapping[str, Command]) -> Any:
    """The union of all commands' settings, which tyro takes for subcommands."""
    subcommands = tuple(
        Annotated[c.settings, tyro.conf.subcommand(name)] for name, c in commands.items()
    )
    return typing.Union[subcommands]  # noqa: UP007  # of a tuple made here


def _parse(
    settings: Any,
    arguments: Sequence[str],
    program: str,
    description: str,
    helped: str | None = None,
) -> Any:
    """Parse the arguments with tyro; its framed errors become a UserError of one line.

    Args:
        helped: the command whose --help explains the options (default: ``program``).
    """

    def call(**options: Any) -> Any:
        return tyro.cli(
            settings,
            prog=program,
            description=description,
            args=list(arguments),
            config=(
                tyro.conf.PositionalRequiredArgs,
                tyro.conf.PositionalMetavarFromFieldName,
                tyro.conf.DisallowNone,
                tyro.conf.FlagCreatePairsOff,
            ),
            **options,
        )

    advice = f"(see {helped or program} --help)"
    shown, framed = io.StringIO(), io.StringIO()
    try:  # redirected, because tyro colours its errors if stdout is a terminal
        with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(framed):
            parsed, unknown = call(return_unknown_args=True)
    except SystemExit as stop:
        if not stop.code:
            call()  # again, to show the help on this terminal
        raise UserError(f"{_first_paragraph(framed.getvalue())} {advice}") from None
    if unknown:
        name = unknown[0].partition("=")[0]
        guess = _nearest(name, _flags(type(parsed)))
        raise UserError(f"unknown argument {name!r}{guess} {advice}")
    return parsed


def _unknown(name: str, commands: Mapping[str, Command]) -> UserError:
    problem = f"unknown command {name!r}{_nearest(name, commands)}" if name else "command"
    return UserError(f"{problem}: expected one of {', '.join(commands)} (see cifar --help)")


def _flags(settings: type) -> list[str]:
    """The named options of a dataclass, without its positional arguments."""
    fields = [
        field
        for field in dataclasses.fields(settings)
        if "Suppress" not in str(field.type) and "Positional" not in str(field.type)
    ]
    names = [("no-" if field.default is True else "") + field.name for field in fields]
    return ["--" + name.replace("_", "-") for name in names]


def _nearest(word: str, words: Iterable[str]) -> str:
    """The most similar of ``words``, as a question; "" if none is similar."""
    matches = difflib.get_close_matches(word, list(words), 1, 0.7)
    return f" (did you mean {matches[0]}?)" if matches else ""


def _first_paragraph(text: str) -> str:
    """The first paragraph below the title of tyro's framed message, as one line."""
    _, *lines = (line.strip("│ ") for line in text.splitlines())
    body = itertools.dropwhile(_is_blank, lines)
    paragraph = itertools.takewhile(lambda line: not _is_blank(line), body)
    return " ".join(paragraph).removeprefix("Error parsing ").rstrip(".")


def _is_blank(line: str) -> bool:
    """Whether a line is empty, a rule or the frame."""
    return not any(c.isalnum() for c in line)


def guarded(parse: Callable[[], T], act: Callable[[T], int]) -> int:
    """The exit code of ``act(parse())``; a mistake of the user gives one line on stderr and 2."""

    def check_and_act(settings: T) -> int:
        try:  # check the environment's variables before any work
            mg.get_num_threads()
            if os.environ.get("MINIGRAD_COMPILED"):
                mg.is_compiled()
        except (ImportError, ValueError) as error:
            raise UserError(str(error)) from None
        return act(settings)

    return mg.console.run(parse, check_and_act, (UserError, mg.DeviceError))
