"""The results of a search: a table, pictures, one HTML page, and the best trial's recipe."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial

import minigrad as mg
from cifar import environment, process
from cifar.errors import UserError
from cifar.results import html
from cifar.search import pictures, winner
from cifar.search.live import WORDS, in_words, ranked
from cifar.search.request import JOURNAL
from cifar.search.storage import open_storage
from cifar.search.study import PARAMETERS, REASON, Study, find_study


@dataclass(frozen=True)
class Shown:
    """The results that :func:`show` wrote.

    Attributes:
        study: the study.
        best: its best completed trial, or None.
        test: the accuracy of the best trial on the test set, if known.
        out: the folder with the page, the pictures and the recipe.
    """

    study: Study
    best: FrozenTrial | None
    test: float | None
    out: Path


def find(place: str, name: str | None = None) -> Study:
    """The study in a search's folder, a journal file or a database.

    Raises:
        UserError: there is none.
    """
    if "://" in place:
        return find_study(open_storage(place), Path("."), name)
    path = Path(place)
    journal = path / JOURNAL if path.is_dir() else path
    if not journal.is_file():
        raise UserError(f"study: expected a search's folder, a journal or a URL, got {place}")
    return find_study(open_storage(str(journal)), journal.parent, name)


def show(study: Study, out: Path) -> Shown:
    """Write the page, the pictures, the figures and the recipe into ``out``."""
    trials = study.all()
    best = next(iter(ranked(trials)), None)
    tested = winner.tested(study, best) if best else None
    drawn: list[str] = []
    with process.writing("out", out):
        out.mkdir(parents=True, exist_ok=True)
        if best is not None:
            winner.write_recipe(study, best, out / winner.RECIPE)
            for name, words, draw in _pictures(study, trials):
                path = out / f"{name}.png"
                draw(path)
                drawn.append(html.picture(path, words))
        figures = {"machine": environment.describe("optuna"), **results(study)}
        environment.write(out / "trials.json", figures)
        page = _page(study, trials, best, tested, drawn)
        mg.checkpoint.write_text(out / "index.html", page)
    return Shown(study, best, tested["accuracy"] if tested else None, out)


def _pictures(
    study: Study, trials: Sequence[FrozenTrial]
) -> list[tuple[str, str, Callable[[Path], None]]]:
    """(name, caption, drawing function) of each picture."""
    found: list[tuple[str, str, Callable[[Path], None]]] = [
        ("history", "Accuracy by trial", lambda path: pictures.history(trials, path)),
        (
            "parallel",
            "Settings of the trials in parallel: the better, the darker",
            lambda path: pictures.parallel(trials, path),
        ),
    ]
    values = pictures.importance(_all_of_optuna(study))
    if any(values.values()):
        words = "Which settings tell good trials from others"
        found.append(("importances", words, lambda path: pictures.importances(values, path)))
    return found


def _all_of_optuna(study: Study) -> optuna.Study:
    return optuna.load_study(study_name=study.plan.name, storage=study.storage)


def header(study: Study) -> tuple[str, ...]:
    """The header of :func:`rows`."""
    return ("trial", "state", "epochs", "accuracy", "parameters", *names(study.all()), "")


def names(trials: Sequence[FrozenTrial]) -> list[str]:
    """The names of all settings."""
    return list(dict.fromkeys(name for trial in trials for name in trial.params))


def rows(study: Study) -> list[tuple[object, ...]]:
    """The completed trials, the best first, then the others in order."""
    trials = study.all()
    best = ranked(trials)
    others = [trial for trial in trials if trial not in best]
    return [
        (
            str(trial.number),
            WORDS[trial.state],
            len(trial.intermediate_values),
            _accuracy(trial),
            trial.user_attrs.get(PARAMETERS),
            *(_short(trial.params.get(name)) for name in names(trials)),
            trial.user_attrs.get(REASON, ""),
        )
        for trial in [*best, *others]
    ]


def _accuracy(trial: FrozenTrial) -> str | None:
    values = trial.intermediate_values
    return f"{100 * values[max(values)]:.2f} %" if values else None


def _short(value: Any) -> object:
    return f"{value:.3g}" if isinstance(value, float) else value


def results(study: Study) -> dict[str, Any]:
    """The results of a study, as in JSON."""
    return {
        "study": study.plan.name,
        "plan": study.attrs["plan"],
        "test": study.attrs.get(winner.TEST),
        "trials": [
            {
                "number": trial.number,
                "state": trial.state.name,
                "value": trial.value,
                "epochs": {str(k): v for k, v in sorted(trial.intermediate_values.items())},
                "params": trial.params,
                "parameters": trial.user_attrs.get(PARAMETERS),
                "reason": trial.user_attrs.get(REASON),
                "seconds": trial.duration.total_seconds() if trial.duration else None,
            }
            for trial in study.all()
        ],
    }


def _page(
    study: Study,
    trials: Sequence[FrozenTrial],
    best: FrozenTrial | None,
    tested: dict[str, Any] | None,
    drawn: Sequence[str],
) -> str:
    plan = study.plan
    title = f"Search {plan.name}: {len(trials)} trials on {plan.dataset}"
    counts = [f"{sum(t.state == s for t in trials)} {word}" for s, word in WORDS.items()]
    body = [
        f"<h1>{html.text(title)}</h1>",
        f"<p>{html.text(', '.join(counts))}. Accuracy is on training images held out. Sampler: "
        f"{html.text(plan.sampler)}; pruner: {html.text(plan.pruner or 'none')}.</p>",
    ]
    if best is not None:
        words = f"Best: trial {best.number}, {in_words(best)}"
        if tested:
            words += f"; on the test set, looked at once, {tested['accuracy']:.2%}"
        path = winner.source(winner.recipe_for_file(study, best), study, best)
        body += [f"<p><b>{html.text(words)}.</b></p>", f"<pre>{html.text(path)}</pre>"]
    body += drawn
    body += ["<h2>Trials</h2>", html.table(header(study), rows(study))]
    text = json.dumps(study.attrs["plan"]["space"], indent=1, ensure_ascii=False)
    body += ["<details><summary>Space</summary>", f"<pre>{html.text(text)}</pre>", "</details>"]
    return html.document(title, body)
