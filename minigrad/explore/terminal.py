"""A recording as a table in a terminal."""

from __future__ import annotations

from ..console import aligned, byte_count, dimensions, one_line
from .record import Recording


def table(recording: Recording) -> str:
    """One row per operation that is on the tape, in the order of forward, and a line of totals."""
    rows = [("", "operation", "inputs", "result", "kept", "‖gradient‖")]
    numbers = {run.result: i for i, run in enumerate(recording.runs)}
    for i, run in enumerate(recording.runs):
        if not run.recorded:
            continue
        value = recording.values[run.result]
        given = [_input(recording, numbers, x) for x in run.inputs if x != "None"]
        name = recording.definitions[run.definition].name
        place = recording.path(run.module)
        gradient = value.gradient
        kept = sum(k.nbytes for k in run.kept if not k.shared)
        rows.append(
            (
                str(i),
                one_line(f"{place}: {name}" if place else name),
                one_line(", ".join(given)),
                f"{dimensions(value.shape)} {value.dtype}",
                byte_count(kept) if run.kept else "–",
                "–" if gradient is None else f"{gradient.norm:.4g}",
            )
        )
    leaves = [v for v in recording.values if v.landed]
    counted = f"{len(leaves)} {'leaf' if len(leaves) == 1 else 'leaves'}"
    most = byte_count(recording.peak)
    total = f"{len(rows) - 1} operations; gradients of {counted}; at most {most} at once"
    return f"{aligned(rows, right=(0, 4, 5))}\n{total}"


def _input(recording: Recording, numbers: dict[int, int], x: int | str) -> str:
    if isinstance(x, str):
        return x
    return f"#{numbers[x]}" if x in numbers else recording.values[x].name or "leaf"
