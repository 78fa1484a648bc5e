"""The output of a running search: a live table on a terminal, otherwise a line for every trial."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import rich.console
import rich.live
import rich.table
from optuna.trial import FrozenTrial, TrialState

import minigrad as mg
from cifar.search.study import HOST, PARAMETERS, REASON

Show: TypeAlias = Callable[[Sequence[FrozenTrial]], None]
WORDS = {
    TrialState.COMPLETE: "done",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


@contextmanager
def shown(live: bool) -> Iterator[Show]:
    """Context that yields a function to show trials; on a terminal, it updates a table."""
    console = rich.console.Console()
    if not (live and console.is_terminal):
        known: set[int] = set()
        yield lambda trials: _print_ended(trials, known)
        return
    with rich.live.Live(console=console, auto_refresh=False) as place:
        yield lambda trials: place.update(table(trials), refresh=True)


def _print_ended(trials: Sequence[FrozenTrial], known: set[int]) -> None:
    """Print a line for every trial that has ended since the last call."""
    for trial in trials:
        if trial.state.is_finished() and trial.number not in known:
            known.add(trial.number)
            print(f"trial {trial.number}: {in_words(trial)}", flush=True)


def in_words(trial: FrozenTrial) -> str:
    """A trial's result in words, such as "61.20 % after 2 epochs, 175,258 parameters"."""
    reason = trial.user_attrs.get(REASON)
    size = trial.user_attrs.get(PARAMETERS)
    parts = [WORDS[trial.state]] if trial.state != TrialState.COMPLETE else []
    if trial.intermediate_values:
        epoch = max(trial.intermediate_values)
        s = "s" * (epoch != 1)
        parts.append(f"{trial.intermediate_values[epoch]:.2%} after {epoch} epoch{s}")
    parts += [f"{size:,} parameters"] if size and not reason else []
    return mg.console.one_line(", ".join([*parts, *([reason] if reason else [])]))


def table(trials: Sequence[FrozenTrial], most: int = 5) -> Any:
    """The running trials and the best ones."""
    counts = {word: sum(trial.state == s for trial in trials) for s, word in WORDS.items()}
    shown_table = rich.table.Table(
        title=f"{len(trials)} trials: " + ", ".join(f"{n} {w}" for w, n in counts.items() if n),
        title_justify="left",
    )
    for name in ("trial", "state", "epochs", "validation accuracy", "parameters", "where"):
        shown_table.add_column(name, justify="left" if name in ("state", "where") else "right")
    running = [trial for trial in trials if trial.state == TrialState.RUNNING]
    for trial in [*running, *ranked(trials)[:most]]:
        values = trial.intermediate_values
        size = trial.user_attrs.get(PARAMETERS)
        shown_table.add_row(
            str(trial.number),
            WORDS[trial.state],
            str(len(values)),
            f"{values[max(values)]:.2%}" if values else "–",
            f"{size:,}" if size else "–",
            mg.console.one_line(str(trial.user_attrs.get(HOST, ""))),
        )
    return shown_table


def ranked(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The completed trials, the best first; of equal ones, the earlier first."""
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    return sorted(done, key=lambda trial: (-trial.values[0], trial.number))
