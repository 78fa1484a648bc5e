"""``cifar export`` and ``cifar import``: models to and from other programs."""

from __future__ import annotations

from cifar import process
from cifar.cli.command import Command
from cifar.results import exchange


def run_export(settings: exchange.Export) -> int:
    """Export, and print the path."""
    trained = exchange.export(settings)
    print(f"{trained.record.describe()} is in {settings.out}")
    return 0


EXPORT = Command(exchange.Export, run_export)


def run_import(settings: exchange.Import) -> int:
    """Import, and print the next command."""
    exchange.adopt(settings)
    word = process.shell_word(settings.out)
    print(f"the weights are in {settings.out}; next: cifar evaluate {word}")
    return 0


IMPORT = Command(exchange.Import, run_import)
