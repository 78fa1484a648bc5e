"""Augmentation of a whole batch equals what Pillow makes of each image alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import minigrad as mg
from cifar.datasets import augment
from cifar.datasets.augment import Augmentation, Moves
from cifar.errors import UserError
from minigrad.data import replayable
from tests.common import host, lay_out, layouts, refuses, seeds

MEAN, STD = (0.5, 0.4, 0.1), (0.25, 0.2, 0.3)
NAME_IN_NUMPY = {"zero": "constant", "edge": "edge", "reflect": "reflect"}
STUDIES = (
    Augmentation(4, True),
    Augmentation(4, True, 10, fill="reflect"),
    Augmentation(4, True, 5),
    Augmentation(0, True, 15, 0.1, "edge", "bilinear"),
)

fills = st.sampled_from(tuple(NAME_IN_NUMPY))
interpolations = st.sampled_from(("nearest", "bilinear"))
sides = st.integers(1, 9)


def pixels(n=5, h=6, w=7, seed=0):
    return np.random.default_rng(seed).integers(1, 256, (n, 3, h, w)).astype(np.uint8)


def still(n, **changes):
    """Moves of n images that change nothing, apart from ``changes``."""
    moves = {"down": 0.0, "right": 0.0, "angle": 0.0, "mirror": False} | changes
    return Moves(**{name: np.broadcast_to(value, n) for name, value in moves.items()})


def moved(images, moves, fill="zero", interpolation="nearest"):
    return augment.moved(mg.Tensor(images), moves, fill, interpolation).numpy()


def same_memory_and_type(result, interpolation):
    assert result.dtype == {"nearest": np.uint8, "bilinear": np.float32}[interpolation]
    assert result.data.transpose(1, 2, 3, 0).flags.c_contiguous


# ---------------------------------------------------------------------------- crops and mirrorings


def cropped_one_by_one(images, crop, flip, fill, generator):
    """Pad, cut out at a drawn place, mirror if drawn: one image after another."""
    n, _, h, w = images.shape
    tops, lefts, mirrored = generator.random((6, n))[:3]
    out = []
    for image, top, left, mirror in zip(images, tops, lefts, mirrored, strict=True):
        around = ((0, 0), (crop, crop), (crop, crop))
        padded = np.pad(image, around, NAME_IN_NUMPY[fill])
        top, left = int(top * (2 * crop + 1)), int(left * (2 * crop + 1))
        cut = padded[:, top : top + h, left : left + w]
        out.append(cut[:, :, ::-1] if flip and mirror < 0.5 else cut)
    return np.stack(out)


@given(
    st.integers(0, 9), st.booleans(), fills, interpolations, st.integers(1, 6), sides, sides,
    layouts, seeds,
)  # fmt: skip
def test_crop_and_flip(crop, flip, fill, interpolation, n, h, w, layout, seed):
    crop = min(crop, h, w)
    images = pixels(n, h, w, seed)
    given_ = mg.Tensor(lay_out(images, layout))
    options = Augmentation(crop, flip, fill=fill, interpolation=interpolation)
    ours = augment.augmented(given_, options, replayable(seed))
    expected = cropped_one_by_one(images, crop, flip, fill, replayable(seed))
    np.testing.assert_array_equal(ours.numpy(), expected)
    np.testing.assert_array_equal(given_.numpy(), images, "its input was changed")
    if crop or flip:
        same_memory_and_type(ours, interpolation)


def test_every_shift_and_both_mirrorings_come_about_equally_often():
    images = np.zeros((4000, 1, 5, 5), np.uint8)
    images[:, 0, 2, 1] = 1  # off the middle, so that a mirrored one can be told apart
    out = augment.augmented(mg.Tensor(images), Augmentation(1, True), replayable(0)).numpy()
    _, _, row, col = np.nonzero(out)
    counts = np.zeros((3, 5), int)
    np.add.at(counts, (row - 1, col), 1)
    assert len(row) == 4000
    # Three rows, and columns 0, 1, 2 as they were or 2, 3, 4 mirrored: eighteen equal chances.
    expected = np.tile(4000 / 18 * np.array([1, 1, 2, 1, 1]), (3, 1))
    np.testing.assert_allclose(counts, expected, rtol=0.25)


# ---------------------------------------------------------------------------- turns and shifts


def by_pillow(image, down, right, angle, mirror, fill, interpolation):
    """One image (C, H, W) by ``Image.transform``; and where "nearest" has a clear answer (H, W).

    The image is padded first, so far that nothing outside of it is ever asked for: how Pillow
    treats a border is not ours to compare.
    """
    _, h, w = image.shape
    margin = 2 * (h + w) + 8

    def step(of_x, of_y, dx, of_x_too, of_y_too, dy):
        return np.array([[of_x, of_y, dx], [of_x_too, of_y_too, dy], [0, 0, 1]])

    # From the corner of the new image, in pixels, to the corner of the padded one.
    to_centre, back = (step(1, 0, s * w / 2, 0, 1, s * h / 2) for s in (-1, 1))
    flip = step(-1 if mirror else 1, 0, 0, 0, 1, 0)
    turn = step(np.cos(angle), -np.sin(angle), 0, np.sin(angle), np.cos(angle), 0)
    cut = step(1, 0, right + margin, 0, 1, down + margin)
    place = cut @ back @ turn @ flip @ to_centre

    around = ((0, 0), (margin, margin), (margin, margin))
    padded = np.pad(image, around, NAME_IN_NUMPY[fill]).astype(np.float32)
    resample = getattr(Image.Resampling, interpolation.upper())
    out = [
        np.asarray(
            Image.fromarray(channel).transform(
                (w, h), Image.Transform.AFFINE, place[:2].ravel(), resample
            )
        )
        for channel in padded
    ]
    x, y = np.meshgrid(np.arange(w) + 0.5, np.arange(h) + 0.5)
    source = np.tensordot(place[:2], np.stack([x, y, np.ones_like(x)]), 1)
    # Pillow computes nearest places in steps of 2^-16, so close to a border it may go either way.
    return np.stack(out), (np.abs(source - np.round(source)) > 2e-3).all(axis=0)


@given(sides, sides, fills, interpolations, layouts, seeds)
def test_any_move_is_pillows(h, w, fill, interpolation, layout, seed):
    n, rng = 4, np.random.default_rng(seed)
    images = pixels(n, h, w, seed)
    moves = Moves(
        rng.uniform(-h, h, n), rng.uniform(-w, w, n), rng.uniform(-np.pi, np.pi, n),
        rng.random(n) < 0.5,
    )  # fmt: skip
    given_ = mg.Tensor(lay_out(images, layout))
    ours = augment.moved(given_, moves, fill, interpolation)
    same_memory_and_type(ours, interpolation)
    np.testing.assert_array_equal(given_.numpy(), images, "its input was changed")
    for i in range(n):
        one = (moves.down[i], moves.right[i], moves.angle[i], moves.mirror[i])
        expected, clear = by_pillow(images[i], *one, fill, interpolation)
        if interpolation == "nearest":
            np.testing.assert_array_equal(ours.numpy()[i][:, clear], expected[:, clear])
        else:
            np.testing.assert_allclose(ours.numpy()[i], expected, atol=0.05)


@pytest.mark.parametrize("options", STUDIES, ids=str)
def test_the_studies_settings_are_pillows(options):
    images = pixels(12, 32, 32)
    ours = augment.augmented(mg.Tensor(images), options, replayable(3)).numpy()
    draws = replayable(3).random((6, 12))
    for i, (image, (top, left, mirror, turn, down, right)) in enumerate(
        zip(images, draws.T, strict=True)
    ):
        steps = 2 * options.crop + 1
        moves = (
            int(top * steps) - options.crop + 32 * options.shift * (2 * down - 1),
            int(left * steps) - options.crop + 32 * options.shift * (2 * right - 1),
            np.radians(options.rotation) * (2 * turn - 1),
            mirror < 0.5,
        )
        expected, clear = by_pillow(image, *moves, options.fill, options.interpolation)
        clear |= options.interpolation == "bilinear"
        assert clear.mean() > 0.9
        np.testing.assert_allclose(ours[i][:, clear], expected[:, clear], atol=0.05)


@pytest.mark.parametrize("degrees", [-77, -10, 15, 90, 180])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_turns_go_the_way_of_pillows_rotate(degrees, interpolation):
    y, x = np.mgrid[:20, :24]
    image = (40 + 7 * x + 2 * y).astype(np.uint8)  # smooth: half a pixel aside is no other picture
    ours = moved(image[None, None], still(1, angle=np.radians(degrees)), "edge", interpolation)[
        0, 0
    ]
    resample = getattr(Image.Resampling, interpolation.upper())
    theirs = np.asarray(Image.fromarray(image).rotate(degrees, resample))
    inside = np.asarray(Image.fromarray(np.ones_like(image)).rotate(degrees, resample)) == 1
    assert inside.sum() > 100
    error = np.abs(ours - theirs.astype(float))[inside]
    assert np.quantile(error, 0.9) <= 1
    assert error.max() <= 9


@given(interpolations, fills, seeds)
def test_right_angles_are_exact(interpolation, fill, seed):
    images = pixels(4, 7, 7, seed)
    moves = still(4, angle=np.pi / 2 * np.arange(4))
    expected = np.stack([np.rot90(image, i, (1, 2)) for i, image in enumerate(images)])
    ours = moved(images, moves, fill, interpolation)
    np.testing.assert_allclose(ours, expected, atol=0 if interpolation == "nearest" else 1e-3)


@given(interpolations, fills, sides, sides)
def test_nothing_moved_and_mirrored_twice(interpolation, fill, h, w):
    images = pixels(3, h, w)
    np.testing.assert_array_equal(moved(images, still(3), fill, interpolation), images)
    mirrored = moved(images, still(3, mirror=[True, False, True]), fill)
    np.testing.assert_array_equal(mirrored[1], images[1])
    np.testing.assert_array_equal(mirrored[::2], images[::2, :, :, ::-1])
    again = moved(mirrored, still(3, mirror=[True, False, True]), fill)
    np.testing.assert_array_equal(again, images)


@given(st.sampled_from(("edge", "reflect")), interpolations, sides, sides, seeds)
def test_what_is_filled_in_is_of_the_image(fill, interpolation, h, w, seed):
    options = Augmentation(min(h, w), True, 180, 1.0, fill, interpolation)
    images = pixels(6, h, w, seed)
    out = augment.augmented(mg.Tensor(images), options, replayable(seed)).numpy()
    low, high = (f(images, axis=(2, 3), keepdims=True) for f in (np.min, np.max))
    assert (low - 1e-3 <= out).all()
    assert (out <= high + 1e-3).all()
    if interpolation == "nearest":
        assert all(np.isin(new, old).all() for new, old in zip(out, images, strict=True))


def test_bilinear_fades_into_the_black():
    images = np.full((1, 1, 4, 4), 200, np.uint8)
    out = moved(images, still(1, right=0.25), "zero", "bilinear")
    np.testing.assert_allclose(out[0, 0], np.tile([200, 200, 200, 150], (4, 1)))


# ---------------------------------------------------------------------------- draws


@pytest.mark.parametrize("options", STUDIES, ids=str)
def test_the_generator_alone_decides(options):
    images = mg.Tensor(pixels(8, 32, 32))
    first, second, other = (
        augment.augmented(images, options, replayable(seed, 1, 2)).numpy() for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


def test_an_option_leaves_what_the_others_draw_as_it_was():
    full = augment.draw(Augmentation(3, True, 20, 0.2), 50, 8, 10, replayable(0))
    less = augment.draw(Augmentation(1, False, 20, 0.2), 50, 8, 10, replayable(0))
    shifted = augment.draw(Augmentation(shift=0.2), 50, 8, 10, replayable(0))
    crops = augment.draw(Augmentation(3), 50, 8, 10, replayable(0))
    np.testing.assert_array_equal(full.angle, less.angle)
    np.testing.assert_allclose(full.down, crops.down + shifted.down)
    np.testing.assert_allclose(full.right, crops.right + shifted.right)
    generators = [replayable(0), replayable(0)]
    for generator, options in zip(generators, (STUDIES[0], STUDIES[3]), strict=True):
        augment.draw(options, 5, 32, 32, generator)
    assert generators[0].random() == generators[1].random()


def test_how_draws_are_spread():
    n, h, w = 20000, 20, 40
    crops = augment.draw(Augmentation(2, True), n, h, w, replayable(0))
    for whole in (crops.down, crops.right):
        values, counts = np.unique(whole, return_counts=True)
        np.testing.assert_array_equal(values, [-2, -1, 0, 1, 2])
        np.testing.assert_allclose(counts, n / 5, rtol=0.06)
    assert crops.mirror.mean() == pytest.approx(0.5, abs=0.02)
    assert not crops.angle.any()

    turns = augment.draw(Augmentation(rotation=10, shift=0.1), n, h, w, replayable(0))
    assert not turns.mirror.any()
    spread = ((turns.angle, np.radians(10)), (turns.down, 0.1 * h), (turns.right, 0.1 * w))
    for values, bound in spread:
        counts, _ = np.histogram(values, 10, (-bound, bound))
        assert counts.sum() == n
        np.testing.assert_allclose(counts, n / 10, rtol=0.1)
    drawn = np.array([crops.down, crops.right, crops.mirror, *(values for values, _ in spread)])
    np.testing.assert_allclose(np.corrcoef(drawn), np.eye(6), atol=0.04)


# ---------------------------------------------------------------------------- transforms


@given(layout=layouts, n=st.integers(1, 5), dtype=st.sampled_from((np.uint8, np.float32)))
def test_normalize(layout, n, dtype):
    images = pixels(n).astype(dtype)
    given_ = mg.Tensor(lay_out(images, layout))
    ours = augment.normalize(given_, MEAN, STD)
    column = (3, 1, 1)
    expected = (images / 255 - np.reshape(MEAN, column)) / np.reshape(STD, column)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(given_.numpy(), images, "its input was changed")
    assert ours.data.transpose(1, 2, 3, 0).flags.c_contiguous


@pytest.mark.parametrize(("mean", "std"), [(1e300, 1.0), (0.0, 1e-300)])
def test_normalizing_beyond_all_numbers_is_quiet(mean, std):
    """Warnings are errors in this suite; the loss of such images will tell."""
    ours = augment.normalize(mg.Tensor(pixels(2)), (mean, 0, 0), (std, 1, 1))
    assert not np.isfinite(ours.numpy()[:, 0]).all()
    assert np.isfinite(ours.numpy()[:, 1:]).all()


@pytest.mark.parametrize("options", [Augmentation(), *STUDIES], ids=str)
def test_transforms(options, device):
    images = pixels(8, 32, 32)
    given_ = mg.tensor(images, device=device)
    changed = augment.augmented(given_, options, replayable(1))
    on_cpu = augment.augmented(mg.Tensor(images), options, replayable(1))
    np.testing.assert_array_equal(host(changed), host(on_cpu))
    assert (changed is given_) is (options == Augmentation())

    train = augment.training(options, MEAN, STD)(given_, replayable(1))
    assert train.device == mg.device(device)
    assert train.dtype == np.float32
    assert train.data.transpose(1, 2, 3, 0).flags.c_contiguous
    np.testing.assert_allclose(
        host(train), host(augment.normalize(on_cpu, MEAN, STD)), rtol=1e-6, atol=1e-6
    )
    test = augment.evaluation(MEAN, STD)(given_, replayable(1))
    np.testing.assert_array_equal(host(test), host(augment.normalize(given_, MEAN, STD)))


# ---------------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (Augmentation(), "none"),
        (Augmentation(fill="edge", interpolation="bilinear"), "none"),
        (STUDIES[0], "crop 4 px, flip, fill zero"),
        (STUDIES[1], "crop 4 px, flip, rotation ±10°, fill reflect, nearest"),
        (STUDIES[3], "flip, rotation ±15°, shift ±10 %, fill edge, bilinear"),
    ],
)
def test_in_words(options, text):
    assert str(options) == text


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("crop", -1, "a whole number of pixels from 0"),
        ("crop", 1.5, "a whole number of pixels from 0"),
        ("crop", True, "a whole number of pixels from 0"),
        ("flip", 1, "True or False"),
        ("rotation", -1, "from 0 to 180 degrees"),
        ("rotation", 181, "from 0 to 180 degrees"),
        ("rotation", float("nan"), "from 0 to 180 degrees"),
        ("rotation", "10", "from 0 to 180 degrees"),
        ("shift", -0.1, "from 0 to 1 of the size"),
        ("shift", 10, "from 0 to 1 of the size"),
        ("fill", "wrap", "one of zero, edge, reflect"),
        ("interpolation", "cubic", "one of nearest, bilinear"),
    ],
)
def test_mistakes_in_options(name, value, expected):
    refuses(
        UserError,
        f"{name}: expected {expected}, got {value!r}",
        lambda: Augmentation(**{name: value}),
    )


def test_mistakes_in_images():
    options = Augmentation(crop=6)
    for images in (np.zeros((2, 3, 8, 8), np.float32), np.zeros((3, 8, 8), np.uint8)):
        refuses(
            ValueError,
            f"images: expected uint8 (N, C, H, W), got {images.dtype} {images.shape}",
            lambda images=images: augment.augmented(mg.Tensor(images), options, replayable(0)),
        )
    refuses(
        UserError,
        "crop: expected at most 5 px, the images' size, got 6",
        lambda: augment.augmented(mg.Tensor(pixels(2, 5, 9)), options, replayable(0)),
    )


# ---------------------------------------------------------------------------- alternating flip


def test_every_second_epoch_is_mirrored():
    """Each image is seen one way in even epochs and the other way in odd ones; half of them begin
    mirrored; an epoch entered late goes on alike."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (200, 3, 4, 4)).astype(np.uint8)
    augmentation = Augmentation(flip=True, alternating=True)
    data = mg.data.TensorDataset(
        mg.tensor(augment.half_mirrored(images, 5)), mg.tensor(np.arange(200))
    )
    loader = augment.Batches(
        data, augmentation, batch_size=64, shuffle=True,
        transform=augment.training(augmentation, (0, 0, 0), (1, 1, 1)),
    )  # fmt: skip

    def epoch(number, start=0):
        """Whether each image is mirrored, by its number."""
        found = {}
        for batch, labels in loader.epoch(number, start):
            for image, label in zip(batch.numpy(), labels.numpy().tolist(), strict=True):
                pixels = np.rint(image * 255)
                same = (pixels == images[label]).all()
                assert same or (pixels == images[label, :, :, ::-1]).all()
                found[label] = not same
        return found

    first, second, third = (epoch(number) for number in range(3))
    assert first == third == {label: not mirrored for label, mirrored in second.items()}
    assert 70 < sum(first.values()) < 130
    late = epoch(1, 2)
    assert len(late) == 72
    assert late.items() <= second.items()


def test_alternating_needs_flip():
    refuses(
        UserError,
        "alternating: expected False without flip",
        lambda: Augmentation(alternating=True),
    )
