"""Prediction: pictures as Pillow reads them, arrays without trusting them, tables and CSV."""

from __future__ import annotations

import io
import os
import pickle
import sys
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import EpsImagePlugin, Image

from cifar.errors import UserError
from cifar.results import evaluate, predict
from cifar.training import train
from tests.cifar import tiny
from tests.common import refuses, unprivileged

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (32, 32, 3), np.uint8)
PLANES = PIXELS.transpose(2, 0, 1)
SMOOTH = np.linspace(0, 255, 32)[:, None, None] * np.ones((32, 32, 3))  # dark above, light below


def saved(path, pixels=PIXELS, mode=None, **options):
    image = Image.fromarray(np.asarray(pixels, np.uint8))
    (image.convert(mode) if mode else image).save(path, **options)
    return path


# ---------------------------------------------------------------------------- pictures


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "ppm", "ico"])
def test_a_32_by_32_picture_stays_bit_for_bit(tmp_path, suffix):
    found = predict.read_picture(saved(tmp_path / f"x.{suffix}"))
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
    rows = predict.read_picture(path).astype(float).mean((0, 2))
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
    found = predict.read_picture(path).astype(float)
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
    refuses(UserError, f"x.tiff: {text}", lambda: predict.read_picture(tmp_path / "x.tiff"))


def test_no_other_program_is_started(tmp_path, monkeypatch):
    """Pillow gives EPS to Ghostscript, whatever the file is called."""
    started = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *given: started.append(given))
    path = tmp_path / "cat.jpg"
    Image.new("RGB", (32, 32)).save(path, "EPS")
    refuses(UserError, "cat.jpg: not a picture of a known kind", lambda: predict.read_picture(path))
    assert not started


@pytest.mark.parametrize("kind", ["SGI", "PDF", "ICNS", "SPIDER"])
def test_other_kinds_are_not_pictures(tmp_path, kind):
    Image.new("RGB", (32, 32)).convert("F" if kind == "SPIDER" else "RGB").save(
        tmp_path / "x", kind
    )
    text = "x: not a picture of a known kind (AVIF, BMP, DIB,"
    refuses(UserError, text, lambda: predict.read_picture(tmp_path / "x"))


def test_a_phones_picture(tmp_path):
    """Several JPEGs in one file, which Pillow takes for a kind of its own."""
    image = Image.new("RGB", (32, 32), "red")
    image.save(tmp_path / "x.jpg", "MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))])
    assert predict.read_picture(tmp_path / "x.jpg")[:, 9, 9].tolist() == [254, 0, 0]


def test_the_middle_square_is_scaled(tmp_path):
    wide = np.zeros((64, 200, 3))
    wide[:, 68:132] = 200  # the middle 64 columns
    assert (predict.read_picture(saved(tmp_path / "x.png", wide)) == 200).all()
    assert (predict.read_picture(saved(tmp_path / "y.png", wide.transpose(1, 0, 2))) == 200).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (31, 33), (700, 400)])
def test_any_size(tmp_path, size):
    found = predict.read_picture(saved(tmp_path / "x.png", np.full((*size, 3), 77)))
    assert found.shape == (3, 32, 32)
    assert (found == 77).all()


def test_a_fine_pattern_turns_grey_when_scaled_down(tmp_path):
    """A filter that only picked pixels would leave black and white."""
    board = np.indices((320, 320)).sum(0) % 2 * 255
    found = predict.read_picture(saved(tmp_path / "x.png", board[:, :, None].repeat(3, 2)))
    assert np.abs(found[:, 2:-2, 2:-2].astype(int) - 127).max() < 12


def test_a_picture_on_its_side_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: to be turned right by a quarter
    path = saved(tmp_path / "x.png", exif=exif)
    np.testing.assert_array_equal(predict.read_picture(path), np.rot90(PLANES, -1, (1, 2)))


def test_transparent_parts_become_white(tmp_path):
    pixels = np.dstack([PIXELS, np.zeros((32, 32), np.uint8)])
    pixels[:16, :, 3] = 255
    found = predict.read_picture(saved(tmp_path / "x.png", pixels))
    np.testing.assert_array_equal(found[:, :16], PLANES[:, :16])
    assert (found[:, 16:] == 255).all()


def test_the_first_frame_of_several(tmp_path):
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    assert predict.read_picture(tmp_path / "x.gif")[:, 0, 0].tolist() == [255, 0, 0]  # red


@pytest.mark.parametrize(
    "limit", [600, 400]
)  # 1,024 pixels: Pillow warns above it, raises at twice
def test_a_picture_too_large_to_unpack(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    path = saved(tmp_path / "bomb.png")
    refuses(UserError, f"bomb.png: more than {limit} pixels", lambda: predict.read_picture(path))


def test_a_picture_of_16_bits_takes_no_more_memory_than_others(tmp_path):
    """Arrays of floats of a whole picture would be eight bytes a pixel, each."""
    Image.fromarray(np.full((1000, 1000), 40_000, np.uint16)).save(tmp_path / "x.png")
    predict.read_picture(tmp_path / "x.png")  # with what is imported
    tracemalloc.start()
    assert (predict.read_picture(tmp_path / "x.png") == 156).all()
    assert tracemalloc.get_traced_memory()[1] < 8e6
    tracemalloc.stop()


def test_damaged_pictures_name_themselves(tmp_path):
    path = tmp_path / "x"
    path.write_text("no picture")
    refuses(UserError, f"{path}: not a picture", lambda: predict.read_picture(path))
    path.write_bytes(b"")
    refuses(UserError, f"{path}: not a picture", lambda: predict.read_picture(path))


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
        assert predict.read_picture(path).shape == (3, 32, 32)
    except UserError as error:
        refused = str(error)
    assert not refused or refused.startswith(f"{path}: ")
    assert "\n" not in refused


# ---------------------------------------------------------------------------- arrays

BATCH = RNG.integers(0, 256, (5, 3, 32, 32), np.uint8)
SHAPES = "expected uint8 of shape (N, 3072), (N, 3, 32, 32) or (N, 32, 32, 3)"


def test_arrays(tmp_path):
    path = tmp_path / "x.npy"
    last = BATCH.transpose(0, 2, 3, 1)  # channels
    for array in (BATCH, BATCH.reshape(5, 3072), np.asfortranarray(BATCH), last):
        np.save(path, array)
        np.testing.assert_array_equal(predict.read_array(path), BATCH)
    for arrays in (
        {"a": BATCH},
        {"data": BATCH, "ids": np.arange(5)},
        {"images": BATCH, "b": BATCH},
    ):
        np.savez(tmp_path / "x.npz", **arrays)
        np.testing.assert_array_equal(predict.read_array(tmp_path / "x.npz"), BATCH)


@pytest.mark.parametrize(
    "array",
    [
        BATCH.astype(np.float32),
        BATCH.astype(np.int8),
        BATCH[0],
        BATCH.transpose(0, 2, 1, 3),
        BATCH.reshape(5, 3072)[:, :-1],
        np.uint8(3),
    ],
)
def test_arrays_of_another_kind(tmp_path, array):
    np.save(tmp_path / "x.npy", array)
    text = f"x.npy: {SHAPES}, got {array.dtype} of"
    refuses(UserError, text, lambda: predict.read_array(tmp_path / "x.npy"))


class Trap:
    def __reduce__(self):
        return os.mkdir, ("sprung",)


def test_pickles_are_not_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    objects = np.array([Trap()], dtype=object)
    np.save("x.npy", objects, allow_pickle=True)
    np.savez("x.npz", data=objects, allow_pickle=True)
    (tmp_path / "raw.npy").write_bytes(objects.dumps())
    for name, text in (("x.npy", SHAPES), ("x.npz", SHAPES), ("raw.npy", "not a whole")):
        refuses(UserError, f"{name}: {text}", lambda name=name: predict.read([name]))
    assert not os.path.exists("sprung")


def test_archives_that_leave_the_choice(tmp_path):
    path = tmp_path / "x.npz"
    for arrays, text in (
        ({"a": BATCH, "b": BATCH}, "got a, b"),
        ({"data": BATCH, "images": BATCH}, "got data, images"),
        ({}, "got none"),
    ):
        np.savez(path, **arrays)
        refuses(UserError, text, lambda: predict.read_array(path))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("text", "no array")
    refuses(UserError, f"{path}: ", lambda: predict.read_array(path))


def header(*shape):
    """The beginning of a .npy file of such a shape."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    return buffer.getvalue()


def test_a_file_is_not_unpacked_beyond_a_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(predict, "_LARGEST", BATCH.nbytes - 1)
    path = tmp_path / "x.npz"
    np.savez_compressed(path, BATCH)
    text = f"{path}: says that it has 15,360 bytes, expected at most 15,359"
    refuses(UserError, text, lambda: predict.read_array(path))
    np.savez_compressed(path, BATCH[1:])
    np.testing.assert_array_equal(predict.read_array(path), BATCH[1:])


@pytest.mark.parametrize("rows", [-1, 10**7, 10**30])
@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_headers_that_lie_about_the_size(tmp_path, rows, suffix):
    path = tmp_path / f"x.{suffix}"
    raw = header(rows, 3072) + bytes(3072)
    if suffix == "npy":
        path.write_bytes(raw)
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("data.npy", raw)
    text = f"{path}: {SHAPES}" if rows < 0 else f"{path}: says that it has "
    tracemalloc.start()
    refuses(UserError, text, lambda: predict.read_array(path))
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_rows_that_a_header_conceals(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    raw = header(4, *BATCH.shape[1:]) + BATCH.tobytes()
    if suffix == "npy":
        path.write_bytes(raw)
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("data.npy", raw)
    text = f"{path}: has more bytes than an array of shape (4, 3, 32, 32) takes"
    refuses(UserError, text, lambda: predict.read_array(path))


def test_other_compressions_are_refused(tmp_path):
    """Python's reader of them unpacks all that there is at once."""
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("data.npy", header(1, 3072) + bytes(3072))
    text = "x.npz: compressed in another way than NumPy's"
    refuses(UserError, text, lambda: predict.read_array(tmp_path / "x.npz"))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_changed_pixel_in_an_archive_is_noticed(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "x.npz", "w", method, compresslevel=0) as archive:
        archive.writestr("data.npy", header(*BATCH.shape) + BATCH.tobytes())
    raw = bytearray((tmp_path / "x.npz").read_bytes())
    raw[raw.index(BATCH[3].tobytes())] ^= 1
    (tmp_path / "x.npz").write_bytes(raw)
    refuses(UserError, "x.npz: not a whole", lambda: predict.read_array(tmp_path / "x.npz"))


@given(st.binary(max_size=40), st.integers(0, 200), st.sampled_from(["npy", "npz"]))
def test_damaged_arrays(tmp_path_factory, junk, place, suffix):
    buffer = io.BytesIO()
    (np.save if suffix == "npy" else np.savez_compressed)(buffer, BATCH[:1])
    raw = buffer.getvalue()
    path = tmp_path_factory.getbasetemp() / f"damaged.{suffix}"
    path.write_bytes(raw[:place] + junk + raw[place + len(junk) :])
    refused = ""
    try:
        assert predict.read_array(path).shape[1:] == (3, 32, 32)
    except UserError as error:
        refused = str(error)
    assert not refused or refused.startswith(f"{path}: ")


# ---------------------------------------------------------------------------- pickles


def pickled(path, content, protocol=4):
    path.write_bytes(pickle.dumps(content, protocol))
    return path


ROWS = BATCH.reshape(5, 3072)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", ["test_batch", "x.pkl"])
def test_batches(tmp_path, name, protocol):
    labels = {b"labels": [3, 1, 4, 1, 5], b"filenames": ["a", "b", "c", "d", "e"]}
    for content, expected in (
        ({b"data": ROWS}, range(5)),
        ({"data": BATCH} | labels, range(5)),
        ({b"data": BATCH.transpose(0, 2, 3, 1).copy(), b"ids": [9, 8, 7, 6, 5]}, [9, 8, 7, 6, 5]),
        ({b"data": ROWS, "ids": np.arange(3, 8)}, range(3, 8)),
    ):
        ids, images = predict.read_pickle(pickled(tmp_path / name, content, protocol))
        assert list(ids) == list(expected)
        np.testing.assert_array_equal(images, BATCH)
        assert predict.read([tmp_path / name])[0] == [str(one) for one in expected]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([ROWS], "expected a pickled dict, got a list"),
        ({b"images": ROWS}, 'expected a pickled dict with "data", it has images'),
        ({}, 'expected a pickled dict with "data", it has nothing'),
        ({b"data": [1, 2]}, "it is not a NumPy array of C-ordered integers"),
        ({b"data": ROWS / 255}, "it is not a NumPy array of C-ordered integers"),
        ({b"data": ROWS.astype(int)}, f"{SHAPES}, got int64 of shape (5, 3072)"),
        ({b"data": ROWS[:, 1:].copy()}, f"{SHAPES}, got uint8 of shape (5, 3071)"),
        ({b"data": ROWS, b"ids": [1, 2]}, 'expected 5 whole numbers in "ids"'),
        ({b"data": ROWS, b"ids": list("abcde")}, 'expected 5 whole numbers in "ids"'),
        ({b"data": ROWS, b"ids": "abcde"}, "it is not a NumPy array"),
        ({b"data": Trap()}, "forbidden pickle: it names 'posix mkdir'"),
    ],
)
def test_pickles_of_another_kind(tmp_path, monkeypatch, content, text):
    monkeypatch.chdir(tmp_path)
    path = pickled(tmp_path / "x.pkl", content)
    refuses(UserError, f"{path}: {text}", lambda: predict.read([path]))
    assert not os.path.exists("sprung")


def test_pickles_that_are_none(tmp_path, monkeypatch):
    path = tmp_path / "x.pkl"
    path.write_bytes(b"")
    refuses(UserError, f"{path}: not a pickle: ", lambda: predict.read([path]))
    monkeypatch.setattr(predict, "_LARGEST", 100)
    pickled(path, {b"data": ROWS})
    refuses(UserError, "bytes, expected at most 100", lambda: predict.read([path]))


# ---------------------------------------------------------------------------- many files


def test_ids(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved("cat.png")
    np.save("a.npy", BATCH)
    np.save("empty.npy", BATCH[:0])
    ids, images = predict.read(["a.npy"])
    assert ids == ["0", "1", "2", "3", "4"]
    ids, images = predict.read(["cat.png", "a.npy", "./cat.png", "empty.npy"])
    assert ids == ["cat.png", *(f"a.npy:{i}" for i in range(5)), "cat.png"]
    np.testing.assert_array_equal(images, [PLANES, *BATCH, PLANES])
    for files in ([], ["empty.npy"]):
        refuses(UserError, "files: no image to look at", lambda files=files: predict.read(files))


def test_files_that_are_none(tmp_path):
    refuses(
        UserError,
        "nowhere.png: No such file or directory; name",
        lambda: predict.read(["nowhere.png"]),
    )
    with unprivileged() as folder:
        (folder / "x.png").touch(0)
        text = f"files: cannot read {folder}/x.png: Permission denied"
        refuses(UserError, text, lambda: predict.read([folder / "x.png"]))
    refuses(
        UserError,
        f"files: no picture in the folder {tmp_path}",
        lambda: predict.read([tmp_path]),
    )


def test_a_folder_stands_for_its_pictures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.png", "a.JPEG", "deep/er/c.webp", ".hidden.png", ".cache/d.png", "._e.png"):
        (tmp_path / "pictures" / name).parent.mkdir(parents=True, exist_ok=True)
        saved(tmp_path / "pictures" / name)
    (tmp_path / "pictures" / "notes.txt").write_text("no picture")
    os.mkfifo(tmp_path / "pictures" / "fifo.png")
    np.save("x.npy", BATCH[:1])
    ids, images = predict.read(["pictures", "x.npy"])
    inside = ["a.JPEG", "b.png", "deep/er/c.webp"]
    assert ids == [*(f"pictures/{name}" for name in inside), "x.npy:0"]
    assert len(images) == len(ids)
    (tmp_path / "empty").mkdir()
    refuses(UserError, "files: no picture in the folder empty", lambda: predict.read(["empty"]))


@pytest.mark.parametrize(("end", "last"), [("\n", ""), ("\r\n", "\r\n"), ("\0", "\0")])
@pytest.mark.parametrize("source", ["list.txt", "-"])
def test_lists_of_files(tmp_path, monkeypatch, source, end, last):
    names = [b"cat.png", b"caf\xe9.png", b" a b.png"]
    content = end.encode().join(names) + last.encode()
    (tmp_path / "list.txt").write_bytes(content)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert [os.fsencode(name) for name in predict.listed(source)] == names


def test_lists_that_cannot_be_read(tmp_path):
    for place, why in ((tmp_path, "Is a directory"), (tmp_path / "no", "No such file")):
        text = f"files_from: cannot read {place}: {why}"
        refuses(UserError, text, lambda place=place: predict.listed(place))


def test_all_files_that_cannot_be_used_are_named_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved("good.png")
    bad = [f"bad{i}.png" for i in range(predict.MOST_TOLD + 2)]
    for name in bad:
        (tmp_path / name).write_text("")
    with pytest.raises(UserError, match=r"bad0\.png: not a picture") as told:
        predict.read([*bad, "good.png", "no"])
    said = str(told.value)
    assert [name in said for name in bad] == [True] * predict.MOST_TOLD + [False] * 2
    assert said.endswith(" (and 3 more files)")


def test_a_name_that_is_not_utf8(tmp_path):
    path = saved(os.fsencode(tmp_path) + b"/caf\xe9.png", format="PNG")
    (name,), _ = predict.read([os.fsdecode(path)])
    assert name.endswith("caf\ufffd.png")


# ---------------------------------------------------------------------------- predictions


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("predict") / "run"
    with pytest.MonkeyPatch.context() as patch:
        tiny.install(patch.setattr)
        train.run(tiny.settings(out))
        yield str(out)


def test_probabilities(trained):
    one = evaluate.load(trained)
    images = tiny.load("", "test").images
    found = predict.predict(one, [str(i) for i in range(30)], images)
    logits = evaluate.logits(one, images).astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(found.probabilities, expected, rtol=1e-9)
    for (name, best), row, number in zip(found.top(), expected, range(30), strict=True):
        assert name == str(number)
        order = sorted(range(10), key=lambda c, row=row: -row[c])[:3]
        assert [label for label, _ in best] == [f"class {c}" for c in order]
        assert [p for _, p in best] == pytest.approx([row[c] for c in order])


FOUND = predict.Predictions(
    ["0", 'a "b", c.png'], ("cat", "dog, hot"), np.array([[0.9, 0.1], [0.2, 0.8]])
)


def test_csv_bytes(tmp_path):
    path = tmp_path / "x.csv"
    predict.write_csv(FOUND, path)
    assert path.read_bytes() == b'ID,Labels\n0,0\n"a ""b"", c.png",1\n'
    predict.write_csv(FOUND, path, names=True)
    assert path.read_bytes() == b'ID,Labels\n0,cat\n"a ""b"", c.png","dog, hot"\n'
    assert os.listdir(tmp_path) == ["x.csv"]
    predict.write_csv(FOUND, path, probabilities=True)
    lines = path.read_text().splitlines()
    assert lines[0] == 'ID,Labels,cat,"dog, hot"'
    assert lines[1] == "0,0,0.9,0.1"


def test_no_name_in_a_csv_file_is_a_formula(tmp_path):
    path = tmp_path / "x.csv"
    found = predict.Predictions(["=1+1.png", "-5"], ("@cat", "dog"), FOUND.probabilities)
    predict.write_csv(found, path, names=True, probabilities=True)
    assert path.read_text().splitlines() == [
        "ID,Labels,'@cat,dog", "'=1+1.png,'@cat,0.9,0.1", "-5,dog,0.2,0.8",
    ]  # fmt: skip


def test_csv_that_cannot_be_written(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere" / "x.csv"):
        text = f"csv: cannot write {path}"
        refuses(UserError, text, lambda path=path: predict.write_csv(FOUND, path))


def test_a_csv_that_cannot_be_written_is_told_before_the_work(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate, "load", lambda *_: pytest.fail("loaded"))
    asked = predict.Settings(trained, ("x.png",), csv=str(tmp_path / "nowhere" / "x.csv"))
    refuses(UserError, "csv: cannot write ", lambda: predict.run(asked))


def test_fewer_classes_than_guesses():
    assert [best for _, best in FOUND.top()] == [
        [("cat", 0.9), ("dog, hot", 0.1)],
        [("dog, hot", 0.8), ("cat", 0.2)],
    ]


def test_run(trained, tmp_path):
    data = tiny.load("", "test")
    np.save(tmp_path / "x.npy", data.images)
    files = (str(tmp_path / "x.npy"),)
    out = tmp_path / "labels.csv"
    asked = predict.Settings(trained, files, csv=str(out), device="cpu", progress=False)
    found = predict.run(asked)
    rows = [line.split(",") for line in out.read_text().splitlines()[1:]]
    assert [row[0] for row in rows] == [str(i) for i in range(30)]
    guesses = [int(row[1]) for row in rows]
    assert guesses == found.probabilities.argmax(1).tolist()
    measured = evaluate.measure(np.log(found.probabilities), data.labels, data.classes)
    assert np.mean(guesses == data.labels) == pytest.approx(measured.accuracy)
    for name in ("names", "probabilities"):
        asked = predict.Settings(trained, files, **{name: True})
        refuses(UserError, f"{name}: is about the CSV file", lambda asked=asked: predict.run(asked))
    (tmp_path / "list").write_text(files[0])
    asked = predict.Settings(trained, (), str(tmp_path / "list"), device="cpu", progress=False)
    assert predict.run(asked).ids == found.ids
