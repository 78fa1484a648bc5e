"""Train a convolutional network on CIFAR-10 with minigrad.

    python examples/train_cnn.py
    python examples/train_cnn.py --device gpu --epochs 10 --out runs/gpu
    python examples/train_cnn.py --resume --out runs/gpu

Exit codes: 0 trained, 2 a mistake to mend (one line says which), 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from cifar import cli, recipes
from cifar.errors import UserError
from cifar.training import request, train

RECIPE = "simple"  # unless another one is named


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line instead of the usage text: --help shows that."""
        raise UserError(f"{message} (see --help)")


def parse(arguments: list[str] | None = None) -> request.Request:
    """What the command-line arguments ask for; what they leave out is the recipe's, or the resumed
    run's."""
    parser = _Parser(description="Train a CIFAR-10 study's network with minigrad.")
    add = parser.add_argument
    add("--recipe", help=f"one of: {', '.join(recipes.names())} (default {RECIPE})")
    add("--device", help="cpu, gpu, gpu:N or auto: a GPU if there is one (default)")
    add(
        "--dataset",
        help="cifar10, synthetic, or auto: CIFAR-10 if it is on this machine, else the built-in "
        "synthetic set, saying so (default)",
    )
    add("--data-dir", help="folder of CIFAR-10 (default $MINIGRAD_DATA or ~/.cache/minigrad)")
    add("--precision", help="fp32, tf32 or bf16, of products on a GPU (default: tf32 if it can)")
    add("--capture", action="store_true", help="record the step on a GPU once, and replay it")
    add("--epochs", type=int, help="passes over the training set; the schedule is in proportion")
    add("--batch-size", type=int, help="images per step (default: the recipe's)")
    add("--lr", type=float, help="learning rate (default: the recipe's)")
    add("--seed", type=int, help="of initialisation, order, augmentation, dropout (default 0)")
    add("--out", help="folder for models, metrics and pictures (default runs/RECIPE-seedSEED)")
    add(
        "--resume",
        action="store_true",
        help="continue the run in --out, which brings all settings with it, or start it",
    )
    add(
        "--detect-anomaly",
        action="store_true",
        help="name the layer and operation in which NaN or infinity first appears; slower",
    )
    return request.Request(**vars(parser.parse_args(arguments)))


def main(arguments: list[str] | None = None) -> int:
    """Train; returns the exit code."""

    def act(asked: request.Request) -> int:
        last = train.run(asked.settings(default_recipe=RECIPE))[-1]
        print(f"test accuracy {last['test_accuracy']:.2%} after epoch {last['epoch']}")
        return 0

    return cli.guarded(lambda: parse(arguments), act)


if __name__ == "__main__":
    sys.exit(main())
