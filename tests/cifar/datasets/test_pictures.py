"""Pictures of every kind as the network sees them."""

from __future__ import annotations

import io
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import EpsImagePlugin, Image

from cifar.datasets import pictures
from cifar.errors import UserError
from tests.cifar.datasets.files import PIXELS, PLANES, saved
from tests.common import refuses

SMOOTH = np.linspace(0, 255, 32)[:, None, None] * np.ones((32, 32, 3))  # dark above, light below


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "ppm", "ico"])
def test_a_32_by_32_picture_stays_bit_for_bit(tmp_path, suffix):
    found = pictures.read_picture(saved(tmp_path / f"x.{suffix}"))
    np.testing.assert_array_equal(found, PLANES)
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("L", "png"), ("1", "png"), ("P", "gif"), ("LA", "png"), ("RGBA", "png"), ("CMYK", "jpg"),
     ("YCbCr", "jpg"), ("RGB", "webp"), ("I;16", "png"), ("I", "tiff"), ("F", "tiff")],
)  # fmt: skip
def test_modes(tmp_path, mode, suffix):
    """Whatever the mode, a picture that grows light downwards stays one."""
    path = tmp_path / f"x.{suffix}"
    if mode in ("I;16", "I", "F"):
        scale, kind = {"I;16": (257, "u2"), "I": (257, "i4"), "F": (1, "f4")}[mode]
        Image.fromarray((SMOOTH[:, :, 0] * scale).astype(kind)).save(path)
    else:
        saved(path, SMOOTH, mode)
    with Image.open(path) as picture:
        assert mode in (picture.mode, "YCbCr")
    rows = pictures.read_picture(path).astype(float).mean((0, 2))
    coarse = {"1": 130, "P": 30}  # black and white, and six shades, dithered
    np.testing.assert_allclose(rows, SMOOTH[:, 0, 0], atol=coarse.get(mode, 6))


@pytest.mark.parametrize(
    ("kind", "largest", "noted"),
    [
        ("u2", 65535, False), ("u2", 4095, True), ("u2", 255, False), ("i4", 65535, False),
        ("i4", 255, False), ("f4", 1, False), ("f4", 0.5, False), ("f4", 255, False),
        ("f4", 2, True), ("f4", 0, False),
    ],
)  # fmt: skip
def test_deep_pictures_have_the_right_scale_or_a_note(tmp_path, capsys, kind, largest, noted):
    """What is saved as floats from 0 to 1, or as bytes in wider numbers, is not black."""
    path = tmp_path / "x.tiff"
    values = (SMOOTH[:, :, 0] * (largest / 255)).astype(kind)
    Image.fromarray(values).save(path)
    found = pictures.read_picture(path).astype(float)
    err = capsys.readouterr().err
    assert err.startswith(f"note: {path} comes out all but black: its pixels reach {largest}") == (
        noted
    )
    white = next(w for w in ((1, 255) if kind == "f4" else (255, 65535)) if largest <= w)
    np.testing.assert_allclose(found[0], 255 / white * values, atol=0.51)
    assert noted or not largest or found.max() > 100
    assert bool(err) is noted


@pytest.mark.parametrize(
    ("kind", "values", "text"),
    [
        ("f4", [-1, 1], "expected pixels from 0 to 1 or 255, got -1 to 1"),
        ("f4", [0, 300], "expected pixels from 0 to 1 or 255, got 0 to 300"),
        ("f4", [0, np.nan], "expected pixels from 0 to 1 or 255, got nan to nan"),
        ("f4", [0, np.inf], "expected pixels from 0 to 1 or 255, got 0 to inf"),
        ("i4", [0, 70_000], "expected pixels from 0 to 255 or 65,535, got 0 to 70000"),
        ("i4", [-1, 3], "expected pixels from 0 to 255 or 65,535, got -1 to 3"),
    ],
)
def test_pixels_of_no_known_scale(tmp_path, kind, values, text):
    Image.fromarray(np.tile(np.array(values, kind), (4, 2))).save(tmp_path / "x.tiff")
    refuses(UserError, f"x.tiff: {text}", lambda: pictures.read_picture(tmp_path / "x.tiff"))


def test_no_other_program_is_started(tmp_path, monkeypatch):
    """Pillow gives EPS to Ghostscript, whatever the file is called."""
    started = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *given: started.append(given))
    path = tmp_path / "cat.jpg"
    Image.new("RGB", (32, 32)).save(path, "EPS")
    refuses(
        UserError, "cat.jpg: not a picture of a known kind", lambda: pictures.read_picture(path)
    )
    assert not started


@pytest.mark.parametrize("kind", ["SGI", "PDF", "ICNS", "SPIDER"])
def test_other_kinds_are_not_pictures(tmp_path, kind):
    Image.new("RGB", (32, 32)).convert("F" if kind == "SPIDER" else "RGB").save(
        tmp_path / "x", kind
    )
    text = "x: not a picture of a known kind (AVIF, BMP, DIB,"
    refuses(UserError, text, lambda: pictures.read_picture(tmp_path / "x"))


def test_a_phones_picture(tmp_path):
    """Several JPEGs in one file, which Pillow takes for a kind of its own."""
    image = Image.new("RGB", (32, 32), "red")
    image.save(tmp_path / "x.jpg", "MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))])
    assert pictures.read_picture(tmp_path / "x.jpg")[:, 9, 9].tolist() == [254, 0, 0]


def test_the_middle_square_is_scaled(tmp_path):
    wide = np.zeros((64, 200, 3))
    wide[:, 68:132] = 200  # the middle 64 columns
    assert (pictures.read_picture(saved(tmp_path / "x.png", wide)) == 200).all()
    assert (pictures.read_picture(saved(tmp_path / "y.png", wide.transpose(1, 0, 2))) == 200).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (31, 33), (700, 400)])
def test_any_size(tmp_path, size):
    found = pictures.read_picture(saved(tmp_path / "x.png", np.full((*size, 3), 77)))
    assert found.shape == (3, 32, 32)
    assert (found == 77).all()


def test_a_fine_pattern_turns_grey_when_scaled_down(tmp_path):
    """A filter that only picked pixels would leave black and white."""
    board = np.indices((320, 320)).sum(0) % 2 * 255
    found = pictures.read_picture(saved(tmp_path / "x.png", board[:, :, None].repeat(3, 2)))
    assert np.abs(found[:, 2:-2, 2:-2].astype(int) - 127).max() < 12


def test_a_picture_on_its_side_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: to be turned right by a quarter
    path = saved(tmp_path / "x.png", exif=exif)
    np.testing.assert_array_equal(pictures.read_picture(path), np.rot90(PLANES, -1, (1, 2)))


def test_transparent_parts_become_white(tmp_path):
    pixels = np.dstack([PIXELS, np.zeros((32, 32), np.uint8)])
    pixels[:16, :, 3] = 255
    found = pictures.read_picture(saved(tmp_path / "x.png", pixels))
    np.testing.assert_array_equal(found[:, :16], PLANES[:, :16])
    assert (found[:, 16:] == 255).all()


def test_the_first_frame_of_several(tmp_path):
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    assert pictures.read_picture(tmp_path / "x.gif")[:, 0, 0].tolist() == [255, 0, 0]  # red


@pytest.mark.parametrize(
    "limit", [600, 400]
)  # 1,024 pixels: Pillow warns above it, raises at twice
def test_a_picture_too_large_to_unpack(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    path = saved(tmp_path / "bomb.png")
    refuses(UserError, f"bomb.png: more than {limit} pixels", lambda: pictures.read_picture(path))


def test_a_picture_of_16_bits_takes_no_more_memory_than_others(tmp_path):
    """Arrays of floats of a whole picture would be eight bytes a pixel, each."""
    Image.fromarray(np.full((1000, 1000), 40_000, np.uint16)).save(tmp_path / "x.png")
    pictures.read_picture(tmp_path / "x.png")  # with what is imported
    tracemalloc.start()
    assert (pictures.read_picture(tmp_path / "x.png") == 156).all()
    assert tracemalloc.get_traced_memory()[1] < 8e6
    tracemalloc.stop()


def test_damaged_pictures_name_themselves(tmp_path):
    path = tmp_path / "x"
    path.write_text("no picture")
    refuses(UserError, f"{path}: not a picture", lambda: pictures.read_picture(path))
    path.write_bytes(b"")
    refuses(UserError, f"{path}: not a picture", lambda: pictures.read_picture(path))


@given(st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP"]), st.data())
def test_no_damage_raises_anything_else(tmp_path_factory, kind, data):
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, kind)
    raw = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(0, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(bytes(raw[: data.draw(st.integers(0, len(raw)))]))
    refused = ""
    try:
        assert pictures.read_picture(path).shape == (3, 32, 32)
    except UserError as error:
        refused = str(error)
    assert not refused or refused.startswith(f"{path}: ")
    assert "\n" not in refused
