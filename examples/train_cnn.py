"""Train a convolutional network on CIFAR-10 with minigrad.

    python examples/train_cnn.py
    python examples/train_cnn.py --device gpu --epochs 10 --out runs/gpu
    python examples/train_cnn.py --resume --out runs/gpu

Exit codes: 0 trained, 2 a mistake to mend (one line says which), 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cifar import cli, recipes
from cifar.training import train
from cifar.training.request import Request

RECIPE = "simple"  # unless the options name another one
DESCRIPTION = (
    f"Train a CIFAR-10 study's network: {RECIPE}, unless --recipe names another one of "
    f"{', '.join(recipes.names())}."
)


def parse(arguments: Sequence[str]) -> Request:
    """The options, those of ``cifar train``. The recipe or the resumed run fills in the rest."""
    return cli.parse_options(Request, arguments, "train_cnn.py", DESCRIPTION)


def run(options: Request) -> int:
    """Train, and print the last accuracy."""
    last = train.run(options.settings(default_recipe=RECIPE))[-1]
    print(f"test accuracy {last.test_accuracy:.2%} after epoch {last.epoch}")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Train; returns the exit code."""
    return cli.guarded(lambda: parse(sys.argv[1:] if arguments is None else arguments), run)


if __name__ == "__main__":
    sys.exit(main())
