"""``cifar evaluate``, ``cifar predict`` and ``cifar report``: use of trained models."""

from __future__ import annotations

from cifar.cli.command import Command
from cifar.results import evaluate, predict, report, tables


def run_evaluation(settings: evaluate.Settings) -> int:
    """Evaluate, and print the scores."""
    evaluation, out = evaluate.run(settings)
    named = {
        **evaluation.per_class,
        "macro average": evaluation.macro,
        "weighted average": evaluation.weighted,
    }
    rows = [
        (name, f"{s.precision:.4f}", f"{s.recall:.4f}", f"{s.f1:.4f}", s.support)
        for name, s in named.items()
    ]
    print(tables.table(("class", "precision", "recall", "F1", "support"), rows))
    term = f" + {evaluation.l2_term:.4f} (L2 term)" if evaluation.l2_term else ""
    print(
        f"accuracy {evaluation.accuracy:.2%}, loss {evaluation.loss:.4f}{term} "
        f"on {evaluation.images:,} images"
    )
    if evaluation.accuracy_without_tta is not None:
        print(
            "these figures are with test-time augmentation, the mean over six views of each image; "
            f"accuracy without it: {evaluation.accuracy_without_tta:.2%}"
        )
    if evaluation.picked:
        print(
            "this epoch was picked by its accuracy on these images, so its figures are too high; "
            "--last evaluates the last epoch, which was not picked"
        )
    print(f"evaluation.json, confusion.png and mistakes.png are in {out}")
    return 0


EVALUATE = Command(evaluate.Settings, run_evaluation)


def run_prediction(settings: predict.Settings) -> int:
    """Predict, and print the likeliest classes or the path of the CSV file."""
    predictions = predict.run(settings)
    if settings.csv is not None:
        print(f"{len(predictions.ids):,} predictions are in {settings.csv}")
        return 0
    rows = [
        (name, *(text for label, p in best for text in (label, f"{100 * p:.1f}")))
        for name, best in predictions.top()
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
