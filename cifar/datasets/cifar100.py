"""CIFAR-100: 50,000 training and 10,000 test images of a hundred classes in twenty superclasses of
five (Krizhevsky, 2009).

The labels of "cifar100" are the classes, those of "cifar100-coarse" the superclasses.
"""

from __future__ import annotations

from typing import Final

from cifar.datasets.archive import Archive, File
from cifar.datasets.published import Published

_CLASSES: Final = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus
butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab
crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard
lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom
oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake
spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor
train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""
_GROUPS: Final = """
aquatic_mammals fish flowers food_containers fruit_and_vegetables
household_electrical_devices household_furniture insects large_carnivores
large_man-made_outdoor_things large_natural_outdoor_scenes large_omnivores_and_herbivores
medium_mammals non-insect_invertebrates people reptiles small_mammals trees vehicles_1
vehicles_2
"""
CLASSES: Final = tuple(_CLASSES.split())
GROUPS: Final = tuple(_GROUPS.split())
ARCHIVE: Final = Archive(
    title="CIFAR-100",
    name="cifar-100-python.tar.gz",
    size=169_001_437,
    sha256="85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    folder="cifar-100-python",
    files=(
        File("train", 155_249_918, "16019d7e3df5f24257cddd939b257f8d"),
        File("test", None, "f0ef6b0ae62326f3e7ffdfab6717acfc"),
        File("meta", None, "7973b15100ade9c7d40fb424638fde48"),
    ),
    mirrors=(
        "https://dataset.bj.bcebos.com/cifar/cifar-100-python.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
    ),
)

FINE: Final = Published("cifar100", ARCHIVE, b"fine_labels", CLASSES)
COARSE: Final = Published("cifar100-coarse", ARCHIVE, b"coarse_labels", GROUPS)
