"""Losses."""

from __future__ import annotations

from typing import Any

from benchmarks.ops.case import Case, Sizes, case, classes, positive, unit, x

CLASSES = Sizes((64, 10), (1024, 100), (4096, 1000))
PIXELS = Sizes((4, 10, 8, 8), (16, 20, 64, 64), (32, 20, 128, 128))
labels = classes.of(lambda s: s[:1])
pixels = classes.of(lambda s: (s[0], *s[2:]))
target = x.of(lambda s: s, constant=True)
true = unit.of(lambda s: s, constant=True)
weight = positive.of(lambda s: s[1:2], constant=True, parameter=True)


def focal_loss(e: Any, x: Any, t: Any) -> Any:
    """PyTorch has none: as its users write it."""
    if hasattr(e.functional, "focal_loss"):
        return e.functional.focal_loss(x, t)
    log_p = -e.functional.cross_entropy(x, t, reduction="none")
    return -((1 - log_p.exp()) ** 2 * log_p).mean()


LOSS: list[Case] = [
    case(
        "cross_entropy", lambda e, x, t: e.functional.cross_entropy(x, t), x, labels, sizes=CLASSES
    ),
    case(
        "cross_entropy, weighted",
        lambda e, x, t, w: e.functional.cross_entropy(x, t, w),
        x,
        labels,
        weight,
        sizes=CLASSES,
    ),
    case(
        "cross_entropy, smoothed",
        lambda e, x, t: e.functional.cross_entropy(x, t, label_smoothing=0.1),
        x,
        labels,
        sizes=CLASSES,
    ),
    case(
        "cross_entropy, of probabilities",
        lambda e, x, t: e.functional.cross_entropy(x, t),
        x,
        true,
        sizes=CLASSES,
    ),
    case(
        "cross_entropy, of pixels",
        lambda e, x, t: e.functional.cross_entropy(x, t),
        x,
        pixels,
        sizes=PIXELS,
    ),
    case("nll_loss", lambda e, x, t: e.functional.nll_loss(x, t), x, labels, sizes=CLASSES),
    case("focal_loss", focal_loss, x, labels, sizes=CLASSES),
    case("mse_loss", lambda e, x, t: e.functional.mse_loss(x, t), x, target),
    case(
        "mse_loss, each", lambda e, x, t: e.functional.mse_loss(x, t, reduction="none"), x, target
    ),
    case("l1_loss", lambda e, x, t: e.functional.l1_loss(x, t), x, target),
    case("smooth_l1_loss", lambda e, x, t: e.functional.smooth_l1_loss(x, t), x, target),
    case("huber_loss", lambda e, x, t: e.functional.huber_loss(x, t), x, target),
    case("kl_div", lambda e, x, t: e.functional.kl_div(x, t, reduction="batchmean"), x, true),
    case(
        "binary_cross_entropy", lambda e, x, t: e.functional.binary_cross_entropy(x, t), unit, true
    ),
    case(
        "binary_cross_entropy_with_logits",
        lambda e, x, t: e.functional.binary_cross_entropy_with_logits(x, t),
        x,
        true,
    ),
]

FAMILIES: dict[str, list[Case]] = {"loss": LOSS}
