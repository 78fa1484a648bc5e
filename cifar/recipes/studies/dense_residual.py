"""The *dense-residual* study: 88.74 % claimed, 88.48 % measured.

``cifar train dense-residual``: benchmarks/results/dense-residual-cpu.json.

Adam in three stages, each with fresh moments and a lower rate. 40,000 images train, 10,000
validate. The L2 term is part of every loss reported.
"""

from cifar.datasets.augment import Augmentation
from cifar.recipes.recipe import Recipe

RECIPE = Recipe(
    name="dense-residual",
    model="dense-residual",
    epochs=35,
    batch_size=64,
    optimizer="Adam",
    lr=3e-4,
    optimizer_options={"eps": 1e-7},
    restarts=((20, 1e-4), (30, 5e-5)),
    l2=1e-4,
    validation=10_000,
    augmentation=Augmentation(
        flip=True, rotation=15, shift=0.1, fill="edge", interpolation="bilinear"
    ),
    claim={"validation_accuracy": 0.8915, "test_accuracy": 0.8874, "test_loss": 0.5771},
)

COURSE = {20: {"validation_accuracy": 0.8553}, 30: {"validation_accuracy": 0.8761}}
