"""Train a convolutional network on CIFAR-10 with minigrad.

    python examples/train_cnn.py
    python examples/train_cnn.py --device gpu --epochs 10 --out runs/gpu
    python examples/train_cnn.py --resume --out runs/gpu
    mpirun -n 4 python examples/train_cnn.py --distributed --sync-batch-norm

Exit codes: 0 if training ended, 2 for a mistake (one line says which), 130 after Ctrl-C.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import minigrad as mg
from cifar import cli, recipes
from cifar.training import parallel
from cifar.training.loop import fit
from cifar.training.request import Request
from cifar.training.train import in_words, open_run, save

RECIPE = "simple"  # unless the options name another one
DESCRIPTION = (
    f"Train a CIFAR-10 study's network: {RECIPE}, unless --recipe names another one of "
    f"{', '.join(recipes.names())}."
)


def parse(arguments: Sequence[str]) -> Request:
    """Parse the options of ``cifar train``. The recipe or the resumed run gives the others."""
    return cli.parse_options(Request, arguments, "train_cnn.py", DESCRIPTION)


def train(options: Request) -> int:
    """Train epoch by epoch, and print the last accuracy."""
    settings = mg.distributed.from_rank_0(lambda: options.settings(default_recipe=RECIPE))
    # A run holds the objects of a training: run.model is a minigrad.nn.Module, run.train yields
    # batches of images and labels, run.objective(logits, labels) is the loss. run.optimizer updates
    # the weights, and its step_schedules() sets the learning rate.
    with open_run(settings) as run:
        print(run.model)
        # For every batch, fit does the same as a training loop in PyTorch:
        #     loss = run.objective(run.model(images), labels)
        #     run.optimizer.zero_grad()
        #     loss.backward()
        #     run.optimizer.step()
        # After an epoch it evaluates and yields the metrics. To stop early, leave the loop.
        for metrics in fit(run):
            print(in_words(metrics))
            save(run, metrics)
    last = run.progress.history[-1]
    print(f"test accuracy {last.test_accuracy:.2%} after epoch {last.epoch}")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Train; returns the exit code."""

    def act(options: Request) -> int:
        with parallel.job(options.distributed):
            return train(options)

    return cli.guarded(lambda: parse(sys.argv[1:] if arguments is None else arguments), act)


if __name__ == "__main__":
    sys.exit(main())
