"""The *long-tail* study's baseline: 34.80 % claimed, 40.48 ± 0.78 % measured over 3 seeds.

``cifar train long-tail-ce --seed N``, N = 0, 1, 2: benchmarks/results/long-tail-ce-cpu.json.

ResNet-32 with cross-entropy on long-tailed CIFAR-10: 5000 images of the first class down to 50 of
the last, 12,406 in all, and a balanced test set. The study gives ten epochs and the accuracy;
optimiser, schedule and augmentation are those of He et al. (2016), shortened to ten epochs. With
their batch size of 128, ten epochs have fewer than a thousand steps; 64 gives twice as many. Of the
rates 0.05, 0.02, 0.01, 0.005 and 0.0025 this one was best on images held out of the training set
(``--set validation=5000``).
"""

from cifar.datasets.augment import Augmentation
from cifar.recipes.recipe import Recipe

RECIPE = Recipe(
    name="long-tail-ce",
    model="resnet-32",
    epochs=10,
    batch_size=64,
    optimizer="SGD",
    lr=0.005,
    optimizer_options={"momentum": 0.9, "weight_decay": 5e-4},
    schedule="MultiStepLR",
    schedule_options={"milestones": (6, 8), "gamma": 0.1},
    long_tail=0.01,
    augmentation=Augmentation(crop=4, flip=True),
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
    claim={"test_accuracy": 0.3480},
)
