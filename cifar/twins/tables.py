"""Tables of a comparison, as headers and rows."""

from __future__ import annotations

from typing import TypeAlias

from cifar.twins.lockstep import QUANTITIES, Comparison
from cifar.twins.sides import OURS, THEIRS

Table: TypeAlias = "tuple[tuple[str, ...], list[tuple[object, ...]]]"  # header and rows


def step_table(comparison: Comparison) -> Table:
    """Loss and accuracy of every side at the first, second, fifth, tenth, … and last step."""
    names = comparison.sides
    header = ("step", *(f"{name}: loss" for name in names), *(f"{name}: %" for name in names))
    rows: list[tuple[object, ...]] = []
    for step in _round_steps(len(comparison.losses[OURS])):
        losses = (f"{comparison.losses[name][step - 1]:.6f}" for name in names)
        accuracies = (f"{100 * comparison.accuracies[name][step - 1]:.2f}" for name in names)
        rows.append((step, *losses, *accuracies))
    return header, rows


def difference_table(comparison: Comparison) -> Table:
    """The largest differences from PyTorch at the same steps: absolute (relative)."""
    names = list(comparison.differences)
    header = ("step", *(f"{name}: {quantity}" for name in names for quantity in QUANTITIES))
    by_step = [{int(d["step"]): d for d in comparison.differences[name]} for name in names]
    rows: list[tuple[object, ...]] = []
    for step in _round_steps(len(comparison.losses[OURS])):
        lines = [own[step] for own in by_step]
        cells = (
            f"{line[f'{q}_absolute']:.1e} ({line[f'{q}_relative']:.1e})"
            for line in lines
            for q in QUANTITIES
        )
        rows.append((step, *cells))
    return header, rows


def _round_steps(steps: int) -> list[int]:
    """1, 2, 5, 10, 20, 50, … up to ``steps``, and ``steps`` itself."""
    round_ones = (m * 10**e for e in range(len(str(steps))) for m in (1, 2, 5))
    return [*(n for n in round_ones if n < steps), steps]


def epoch_table(comparison: Comparison) -> Table:
    """Loss and accuracy of every side and epoch, and the differences of the accuracies from
    PyTorch's, in points."""
    metrics = {metric for line in comparison.epochs for metric in line[OURS]}
    splits = [s for s in ("train", "validation", "test") if f"{s}_loss" in metrics]
    header = ["epoch", "contestant", "lr"]
    for split in splits:
        header += [f"{split} loss", f"{split} %", "− PyTorch's"]
    rows: list[tuple[object, ...]] = []
    for line in comparison.epochs:
        for name in comparison.sides:
            found, expected = line[name], line[THEIRS]
            cells: list[object] = [line["epoch"], name, f"{found['lr']:.3g}"]
            for split in splits:
                if f"{split}_loss" not in found:  # an epoch that was cut short
                    cells += [None] * 3
                    continue
                accuracy = 100 * found[f"{split}_accuracy"]
                gap = accuracy - 100 * expected[f"{split}_accuracy"]
                shown = None if name == THEIRS else f"{gap:+.2f}"
                cells += [f"{found[f'{split}_loss']:.4f}", f"{accuracy:.2f}", shown]
            rows.append(tuple(cells))
    return tuple(header), rows


def speed_table(comparison: Comparison) -> Table:
    """Time per step and memory of both, and their ratio."""
    ours, theirs = (comparison.speed[name] for name in (OURS, THEIRS))
    rows: list[tuple[object, ...]] = []
    for metric, label, scale in (
        ("seconds_per_step", "ms per step, median", 1000),
        ("images_per_second", "images/s", 1),
        ("peak_memory_mb", "peak memory, MB", 1),
    ):
        a, b = ours[metric], theirs[metric]
        if a is not None and b is not None:
            ratio = f"{a / b:.2f}" if b else None
            rows.append((label, f"{scale * a:.1f}", f"{scale * b:.1f}", ratio))
    return ("each in a process of its own", OURS, THEIRS, "ratio"), rows
