"""Pictures of a study: history, settings in parallel coordinates, importance of the settings."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from cifar.results import plots
from cifar.search.live import ranked


def history(trials: Sequence[FrozenTrial], path: Path) -> None:
    """Plot every trial's accuracy by its number, and the best so far."""
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    pruned = [
        trial for trial in trials if trial.state == TrialState.PRUNED and trial.intermediate_values
    ]
    with plots.picture(path, 1, 1, (8, 4)) as (figure, ((axis,),)):
        for some, colour, words in (
            (done, plots.BLUE, "trained to the end"),
            (pruned, plots.ORANGE, "pruned: its last accuracy"),
        ):
            if some:
                accuracies = [100 * _last(trial) for trial in some]
                axis.plot(
                    [trial.number for trial in some], accuracies, "o", color=colour, label=words
                )
        best = np.maximum.accumulate([100 * _last(trial) for trial in done])
        numbers = [trial.number for trial in done]
        axis.step(numbers, best, where="post", color=plots.VERMILION, label="best until then")
        axis.set_xlabel("trial")
        axis.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axis.set_ylabel("validation accuracy (%)")
        axis.grid(alpha=0.3)
        figure.legend(loc="outside lower center", ncols=3, fontsize=9)


def _last(trial: FrozenTrial) -> float:
    return trial.intermediate_values[max(trial.intermediate_values)]


def parallel(trials: Sequence[FrozenTrial], path: Path) -> None:
    """Plot a line for each completed trial through its value on every setting's axis; better trials
    are darker. The value of a setting that a trial does not have is at the bottom."""
    done = [*reversed(ranked(trials))]  # the best on top
    names = list(dict.fromkeys(name for trial in done for name in trial.params))
    scales = {
        name: _Scale([trial for trial in done if name in trial.params], name) for name in names
    }
    low, high = 100 * done[0].values[0], 100 * done[-1].values[0]
    size = (max(8.0, 1.0 + 1.1 * (len(names) + 1)), 5.0)
    with plots.picture(path, 1, 1, size) as (_, ((axis,),)):
        for trial in done:
            share = (100 * trial.values[0] - low) / ((high - low) or 1.0)
            places = [
                scales[n].place(trial.params[n]) if n in trial.params else -0.1 for n in names
            ]
            line = {"color": plots.BLUE, "alpha": 0.15 + 0.75 * share, "linewidth": 1 + share}
            axis.plot(range(len(names) + 1), [*places, share], **line)
        for i, name in enumerate(names):
            axis.axvline(i, color="0.8", zorder=0)
            for place, text in scales[name].ticks():
                axis.annotate(text, (i, place), fontsize=7, ha="center", va="center", **_PAPER)
        for place, value in ((0.0, low), (1.0, high)):
            axis.annotate(f"{value:.1f} %", (len(names), place), fontsize=7, ha="center", **_PAPER)
        axis.axvline(len(names), color="0.8", zorder=0)
        axis.set_xticks(range(len(names) + 1), [*names, "accuracy"], rotation=30, ha="right")
        axis.set_yticks([])
        axis.set_ylim(-0.15, 1.1)


_PAPER: Mapping[str, Any] = {
    "bbox": {"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.8}
}


class _Scale:
    """The scale of a setting's axis, from 0 to 1."""

    def __init__(self, trials: Sequence[FrozenTrial], name: str) -> None:
        kind = trials[0].distributions[name]
        values = [trial.params[name] for trial in trials]
        self.log = bool(getattr(kind, "log", False))
        self.listed: list[Any] = []
        if isinstance(kind, optuna.distributions.CategoricalDistribution):
            self.listed = list(kind.choices)
            self.low, self.high = 0.0, max(1.0, len(self.listed) - 1.0)
        else:
            self.low, self.high = self._number(min(values)), self._number(max(values))

    def _number(self, value: Any) -> float:
        if self.listed:
            return float(self.listed.index(value))
        return math.log10(value) if self.log else float(value)

    def place(self, value: Any) -> float:
        return (self._number(value) - self.low) / ((self.high - self.low) or 1.0)

    def ticks(self) -> list[tuple[float, str]]:
        """Positions on the axis, and their values in words."""
        if self.listed:
            return [(self.place(value), str(value)) for value in self.listed]
        width = (self.high - self.low) or 1.0
        ends = dict.fromkeys((self.low, self.high))
        return [((x - self.low) / width, f"{10**x if self.log else x:.3g}") for x in ends]


def importances(importances_by_name: Mapping[str, float], path: Path) -> None:
    """A bar for each setting, of :func:`importance`."""
    names = sorted(importances_by_name, key=lambda name: importances_by_name[name])
    with plots.picture(path, 1, 1, (8, 1.0 + 0.3 * len(names))) as (_, ((axis,),)):
        axis.barh(names, [importances_by_name[name] for name in names], color=plots.BLUE)
        axis.set_xlabel("importance (PED-ANOVA), of 1 in all")
        axis.grid(alpha=0.3, axis="x")


def importance(study: optuna.Study) -> dict[str, float]:
    """The importance of each setting for the difference between good trials and all trials
    (Watanabe et al., *PED-ANOVA*, IJCAI 2023); empty if there are too few trials."""
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of settings that few trials have
            values = optuna.importance.get_param_importances(study, evaluator=evaluator)
    except (ValueError, RuntimeError):
        return {}
    numbers = {name: float(value) for name, value in values.items()}
    finite = all(math.isfinite(value) for value in numbers.values())
    return numbers if finite else {}
