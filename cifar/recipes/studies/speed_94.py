"""The *speed* study: 94.01 % claimed, 93.97 ± 0.18 % measured over 6 seeds.

``cifar train speed-94 --seed N``, N = 0 to 4: benchmarks/results/speed-94-cpu.json. Both figures
are with test-time augmentation.

Jordan, *94% on CIFAR-10 in 3.29 seconds on a single GPU* (2024, arXiv 2404.00498), in the variant
with Muon (``airbench94_muon.py`` of the paper's repository, KellerJordan/cifar10-airbench), the
source of all numbers below; the claim is its mean over 200 runs. Muon trains the filters, SGD the
biases and the head.
"""

from cifar.datasets.augment import Augmentation
from cifar.recipes.groups import ParameterGroup
from cifar.recipes.recipe import Recipe

DECAY = 2e-6 * 2000  # of a weight in a step, before the rate falls; SGD multiplies by its rate
BIASES, HEAD = 0.053, 0.67  # their rates


def sgd(rate: float) -> dict[str, object]:
    return {"momentum": 0.85, "nesterov": True, "weight_decay": DECAY / rate}


def to_zero(epochs: int) -> dict[str, object]:
    return {"start_factor": 1.0, "end_factor": 0.0, "total_iters": epochs}


RECIPE = Recipe(
    name="speed-94",
    model="speed-94",
    whiten=5000,
    epochs=8,
    batch_size=2000,
    drop_last=True,
    optimizer="Muon",
    lr=0.24,
    optimizer_options={
        "momentum": 0.6,
        "nesterov": True,
        "ns_steps": 3,
        "weight_decay": 0.0,
        "normalize_weight": True,
    },
    schedule="LinearLR",
    schedule_options=to_zero(8),
    schedule_every="step",
    groups={
        "whitening": ParameterGroup("whiten.bias", "SGD", BIASES, sgd(BIASES), to_zero(3), 3),
        "biases": ParameterGroup("*.norm?.bias", "SGD", BIASES, sgd(BIASES)),
        "head": ParameterGroup("head.weight", "SGD", HEAD, sgd(HEAD)),
    },
    reduction="sum",
    label_smoothing=0.2,
    augmentation=Augmentation(crop=2, flip=True, alternating=True, fill="reflect"),
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
    tta=True,
    claim={"test_tta_accuracy": 0.9401},
)
