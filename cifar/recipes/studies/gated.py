"""The *gated* study: 87.33 % claimed, 86.99 % measured.

``cifar train gated``: benchmarks/results/gated-cpu.json.

RMSprop, with the rate divided by ten when the test loss stops improving.
"""

from cifar.datasets.augment import Augmentation
from cifar.recipes.recipe import Recipe

RECIPE = Recipe(
    name="gated",
    model="gated",
    epochs=50,
    batch_size=128,
    optimizer="RMSprop",
    lr=1e-3,
    optimizer_options={"alpha": 0.99, "eps": 1e-8},
    schedule="ReduceLROnPlateau",
    schedule_options={"factor": 0.1, "patience": 5},
    augmentation=Augmentation(crop=4, flip=True, rotation=10, fill="reflect"),
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    claim={"train_accuracy": 0.9036, "test_accuracy": 0.8733},
)
