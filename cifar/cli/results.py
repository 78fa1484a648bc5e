"""``cifar evaluate``, ``cifar predict`` and ``cifar report``: use of trained models."""

from __future__ import annotations

from cifar.cli.command import Command
from cifar.results import evaluate, predict, report, tables


def run_evaluation(settings: evaluate.Settings) -> int:
    """Evaluate, and print the scores."""
    found, out = evaluate.run(settings)
    named = {**found.per_class, "macro average": found.macro, "weighted average": found.weighted}
    rows = [
        (name, f"{s.precision:.4f}", f"{s.recall:.4f}", f"{s.f1:.4f}", s.support)
        for name, s in named.items()
    ]
    print(tables.table(("class", "precision", "recall", "F1", "support"), rows))
    term = f" + {found.l2_term:.4f} (L2 term)" if found.l2_term else ""
    print(f"accuracy {found.accuracy:.2%}, loss {found.loss:.4f}{term} on {found.images:,} images")
    if found.accuracy_without_tta is not None:
        print(
            "these figures are with test-time augmentation, the mean over six views of each image; "
            f"accuracy without it: {found.accuracy_without_tta:.2%}"
        )
    if found.picked:
        print(
            "this epoch was picked by its accuracy on these images, which flatters it; --last "
            "evaluates the last one, which nobody picked"
        )
    print(f"evaluation.json, confusion.png and mistakes.png are in {out}")
    return 0


EVALUATE = Command(evaluate.Settings, run_evaluation)


def run_prediction(settings: predict.Settings) -> int:
    """Predict, and print the likeliest classes or the path of the CSV file."""
    found = predict.run(settings)
    if settings.csv is not None:
        print(f"{len(found.ids):,} predictions are in {settings.csv}")
        return 0
    rows = [
        (name, *(text for label, p in best for text in (label, f"{100 * p:.1f}")))
        for name, best in found.top()
    ]
    guesses = ("first", "%", "second", "%", "third", "%")
    print(tables.table(("image", *guesses)[: len(rows[0])], rows))
    return 0


PREDICT = Command(predict.Settings, run_prediction)


def run_report(settings: report.Settings) -> int:
    """Print all runs with the studies' figures, and the path of the page."""
    groups, out = report.run(settings)
    print(tables.table(report.HEADER, report.rows(groups)))
    print(f"curves and details are in {out}")
    return 0


REPORT = Command(report.Settings, run_report)
