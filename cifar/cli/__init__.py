"""The ``cifar`` command: CIFAR-10's data, recipes and models; training, evaluation, prediction,
reports, and models to and from other programs.

    cifar train simple --dataset cifar10
    cifar evaluate runs/simple-seed0

Exit codes: 0 for success, 1 for a negative answer (``cifar data`` without CIFAR-10, ``cifar
verify`` of a run that differs), 2 for a mistake (one line on stderr), 130 after Ctrl-C, 141 if the
reader of stdout, such as ``head``, stops reading.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Final

from cifar.cli import command, compare, data, exchange, explore, results, search, studies, train
from cifar.cli.command import Command, guarded, parse_options

__all__ = ["COMMANDS", "guarded", "main", "parse", "parse_options"]

COMMANDS: Final[dict[str, Command]] = {
    "data": data.DATA,
    "recipes": studies.RECIPES,
    "new-recipe": studies.NEW_RECIPE,
    "models": studies.MODELS,
    "augment": studies.AUGMENT,
    "explore": explore.EXPLORE,
    "train": train.TRAIN,
    "search": search.SEARCH,
    "search show": search.SHOW,
    "evaluate": results.EVALUATE,
    "predict": results.PREDICT,
    "verify": train.VERIFY,
    "compare": compare.COMPARE,
    "report": results.REPORT,
    "export": exchange.EXPORT,
    "import": exchange.IMPORT,
}


def parse(arguments: Sequence[str]) -> Any:
    """Parse the settings of one command; see :func:`cifar.cli.command.parse`."""
    return command.parse(arguments, COMMANDS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    name = command.name_in(words, COMMANDS)
    return guarded(lambda: parse(words), lambda settings: COMMANDS[name].act(settings))
