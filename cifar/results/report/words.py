"""The sentences of a report about its runs and pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from cifar import metadata, recipes
from cifar.results.report.runs import Group, Run

TERMS: Final = {
    "CIFAR-10": "60,000 colour photographs of 32 × 32 pixels in ten classes. A network learns from "
    "50,000 of them to name the class; the other 10,000 are the test images.",
    "study, recipe": "A study is a published training of a network on CIFAR-10, with the figures "
    "that it reached. A recipe holds all the settings of a study, so that it can be run again.",
    "accuracy": "The share of images whose class is predicted correctly. With ten classes, "
    "guessing gets 10 %.",
    "loss": "The mean of −ln p, where p is the probability that the network gives to the right "
    "class: lower is better, and 0 means certain and right. Where a recipe smooths labels or "
    "weights classes, the training loss is of these, and is not comparable with the others.",
    "test, validation, training": "Test images are never trained on, and their figures count. "
    "Validation images are held out of the training images to choose settings by. Training "
    "figures are means over an epoch, of images that augmentation changes at random.",
    "epoch": "One pass over all training images.",
    "seed": "Where random numbers begin. Runs that differ in their seed alone show how much is "
    "chance: ± is their standard deviation (n − 1).",
    "TTA": "Test-time augmentation: the prediction is the mean over six views of each image, "
    "mirrored and moved by a pixel.",
    "points": "Percentage points: from 90 % to 91 % is one point.",
}

FIGURES: Final = (
    "“Study” is what the study claims, “here” what these runs reached after their last epoch, and "
    "the difference is ours less the study's. No epoch is picked. Of runs with different numbers "
    "of epochs done, only those with the most are averaged. Minutes are those of training steps."
)

SCORES: Final = (
    "Precision: of the images that the network takes for the class, the share that are. Recall: "
    "of the class's images, the share that it recognises. F1: their harmonic mean. Support: the "
    "number of test images."
)

# Of the pictures that training and `cifar evaluate` draw, by name.
PICTURES: Final = {
    "confusion": "What is taken for what: a row for each true class, a column for each predicted "
    "one.",
    "mistakes": "The mistakes that the network is surest of. Above each image is the class that "
    "it names, with its confidence; below that, what it is.",
    "predictions": "The first test images, with the class that the network names and its "
    "confidence; mistakes are in bold, with what it is.",
}


def introduction(group: Group) -> str:
    """A description of the training."""
    record, recipe = group.first, group.first.recipe
    size = f" ({record.parameters:,} parameters)" if record.parameters else ""
    images = f"{sum(record.images_per_class):,} images" if record.images_per_class else "images"
    seeds = f", by {len(group.runs)} runs of different seeds" if len(group.runs) > 1 else ""
    return (
        f"The network {metadata.brief(recipe.model)}{size} was trained on {images} of "
        f"{metadata.brief(record.dataset)} by {metadata.brief(recipe.optimizer)}, "
        f"{recipe.batch_size:,} images a step{seeds}."
    )


def differences(group: Group) -> str:
    """The differences of a group from its study."""
    record, now = group.first, group.first.recipe
    if now.name not in recipes.names():
        return "This recipe does not come with cifar: what differs from a study is not known."
    own = recipes.load(now.name)
    sentences = []
    if record.dataset != "cifar10":
        sentences.append(
            f"the images are those of {metadata.brief(record.dataset)}, not of CIFAR-10"
        )
    done = max(run.final["epoch"] for run in group.runs)
    if now.epochs != own.epochs:
        sentences.append(f"{now.epochs} epochs, not {own.epochs}")
    if done < now.epochs:
        sentences.append(f"only {done} of {now.epochs} epochs are done")
    sentences += [
        f"{name} is {_brief(value)}, not {_brief(getattr(own, name))}"
        for name, value in recipes.changes(now).items()
        if name != "epochs"
    ]
    if record.init is not None:
        sentences.append("training began from the weights of another run")
    if record.freeze:
        sentences.append("some parameters were not trained")
    if not sentences:
        return (
            "Nothing that the study fixes differs from it; what it leaves open is chosen in the "
            "recipe, which says how."
        )
    left_out = "" if group.claims else " The study's figures are therefore left out."
    return f"What differs from the study: {'; '.join(sentences)}.{left_out}"


def _brief(value: Any) -> str:
    plain = recipes.plain(value)
    text = plain if isinstance(plain, str) else json.dumps(plain)
    return text if len(text) <= 80 else f"{text[:79]}…"


def curves(runs: Sequence[Run], claims: bool, course: bool, training: bool) -> str:
    """How to read loss and accuracy by epoch."""
    words = [
        "Loss (left, lower is better) and accuracy (right, higher is better) after each epoch, of "
        "images that were held out of training"
    ]
    if training:
        words.append("; dotted: of the training images")
    if any(k.endswith("tta_accuracy") for run in runs for k in run.final):
        words.append("; star: with TTA")
    if claims:
        words.append("; dashed: what the study claims")
    if course:
        words.append("; diamonds: what it reports on its way")
    words.append(".")
    if training:
        words.append(
            " Where training goes on improving and held-out images no longer do, the network "
            "learns its training images by heart."
        )
    return "".join(words)


def confusion(counts: np.ndarray, classes: Sequence[str]) -> str:
    """How to read the confusion matrix, and the two most frequent mistakes."""
    wrong = counts - np.diag(counts.diagonal())
    order = np.argsort(-wrong, axis=None, kind="stable")[:2]
    worst = [np.unravel_index(i, wrong.shape) for i in order if wrong.flat[i]]
    pairs = [
        f"{metadata.brief(classes[place[0]])} taken for {metadata.brief(classes[place[1]])} "
        f"({wrong[place]:,})"
        for place in worst
    ]
    most = f" The commonest mistakes: {', '.join(pairs)}." if pairs else ""
    return (
        "Test images by true class (row) and by the class that the network names (column), shaded "
        f"by their share of the row: what is right lies on the diagonal.{most}"
    )
