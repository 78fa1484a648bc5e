"""Pictures and arrays that several of these tests use."""

from __future__ import annotations

import numpy as np
from PIL import Image

RNG = np.random.default_rng(0)

PIXELS = RNG.integers(0, 256, (32, 32, 3), np.uint8)

PLANES = PIXELS.transpose(2, 0, 1)


def saved(path, pixels=PIXELS, mode=None, **options):
    image = Image.fromarray(np.asarray(pixels, np.uint8))
    (image.convert(mode) if mode else image).save(path, **options)
    return path


BATCH = RNG.integers(0, 256, (5, 3, 32, 32), np.uint8)
