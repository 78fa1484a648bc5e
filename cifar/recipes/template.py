"""The file that ``cifar new-recipe`` writes: a recipe and a model to start from."""

TEXT = '''"""A recipe of your own: `cifar train ./{file}`, with any option that `cifar train` has.

`cifar recipes ./{file}` shows all settings, `cifar augment ./{file}` what the augmentation does.
"""

from cifar.datasets.augment import Augmentation
from cifar.recipes import Recipe
from minigrad import nn


def create(num_classes, image_size=32):
    """Images (N, 3, image_size, image_size) to logits (N, num_classes)."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, num_classes),
    )


RECIPE = Recipe(
    name="{name}",
    model=f"{{__file__}}:create",  # or the name of a study's model, such as "resnet-32"
    epochs=10,
    batch_size=64,
    optimizer="AdamW",  # of minigrad.optim
    lr=1e-3,
    optimizer_options={{"weight_decay": 0.01}},
    schedule="CosineAnnealingLR",  # of minigrad.optim.lr_scheduler, or None
    schedule_options={{"T_max": 10}},
    augmentation=Augmentation(crop=2, flip=True),
    mean=(0.4914, 0.4822, 0.4465),  # of red, green and blue in [0, 1]
    std=(0.2470, 0.2435, 0.2616),
)
'''
