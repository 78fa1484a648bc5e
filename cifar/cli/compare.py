"""``cifar compare``: comparison of minigrad with PyTorch."""

from __future__ import annotations

from cifar.cli.command import Command
from cifar.results.tables import table
from cifar.twins import compare, tables


def run_comparison(settings: compare.Settings) -> int:
    """Train on both sides; print losses, differences, epochs, time and memory."""
    comparison, out = compare.run(settings)
    shown = [
        ("Loss and accuracy of the batch", tables.step_table(comparison)),
        ("Largest difference from PyTorch (relative)", tables.difference_table(comparison)),
        ("Epochs", tables.epoch_table(comparison)),
    ]
    if comparison.speed:
        shown.append(("Time and memory of a training step", tables.speed_table(comparison)))
    for title, (header, rows) in shown:
        print(f"\n{title}:\n{table(header, rows)}")
    print(f"\ncompare.json and compare.png are in {out}")
    return 0


COMPARE = Command(compare.Settings, run_comparison)
