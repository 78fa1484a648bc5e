"""The *resnet* study: 94.60 % claimed after 200 epochs, 49.96 % measured after one.

``cifar train resnet-82 --epochs 1``: benchmarks/results/resnet-82-1-epoch-cpu.json. The study
reports 50.60 % after one epoch.

SGD with momentum, and a cosine schedule to zero over two hundred epochs.
"""

from cifar.datasets.augment import Augmentation
from cifar.recipes.recipe import Recipe

RECIPE = Recipe(
    name="resnet-82",
    model="resnet-82",
    epochs=200,
    batch_size=128,
    optimizer="SGD",
    lr=0.01,
    optimizer_options={"momentum": 0.9, "weight_decay": 5e-4},
    schedule="CosineAnnealingLR",
    schedule_options={"T_max": 200},
    augmentation=Augmentation(crop=4, flip=True, rotation=5),
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2023, 0.1994, 0.2010),
    claim={"train_accuracy": 0.9992, "test_accuracy": 0.9460},
)

# The study numbers its epochs from 0 and shows the 0th, 50th, 100th and 200th.
COURSE = {
    1: {"train_accuracy": 0.2791, "test_accuracy": 0.5060},
    50: {"train_accuracy": 0.9225, "test_accuracy": 0.9059},
    100: {"train_accuracy": 0.9565, "test_accuracy": 0.9198},
}
