"""Download of an archive from the first mirror that sends the right bytes. An interrupted download
is resumed."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

from cifar.datasets import places
from cifar.datasets.archive import Archive, find, in_turn, sha256, unpack
from cifar.errors import DataError

_T = TypeVar("_T")

TIMEOUT: Final = (10, 60)  # seconds to connect, and between two pieces of the answer
# A mirror must begin to answer within so many seconds, and then send as many bytes in each such
# span.
PACE: Final = (60, 60_000)


class _MirrorError(Exception):
    """This mirror failed; the next one may not."""


def obtain(archive: Archive, data_dir: str | os.PathLike[str] | None, fetch: bool) -> Path:
    """The absolute path of the folder with an archive's files.

    Args:
        fetch: download the archive if its files are in none of the places.

    Raises:
        DataError: the files are missing, damaged or cannot be fetched.
    """
    folders = places.candidates(data_dir)
    folder = find(folders, archive)
    if folder is None:
        if not fetch or not folders:
            raise DataError(f"{archive.title} is not in {places.join(folders)}; {archive.advice}")
        download(folders[0], archive)
        folder = unpack(folders[0], archive)
    return folder.absolute()


def download(root: Path, archive: Archive) -> None:
    """Download the archive into `root`, unless another process just did.

    An interrupted download leaves `NAME.part`, from which the next mirror, or the next call,
    resumes. The final name appears once the digest is right.

    Raises:
        DataError: every mirror failed, or `root` cannot be written.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        with in_turn(root, archive):
            if not (root / archive.name).exists():
                _fetch_from_any(root / archive.name, archive)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DataError(
            f"cannot write {archive.title} to {root}: {reason}; "
            "point --data-dir or $MINIGRAD_DATA at a folder you can write"
        ) from None


def _fetch_from_any(path: Path, archive: Archive) -> None:
    part = path.with_name(f"{path.name}.part")
    failures = []
    for url in archive.mirrors:
        while True:
            resumed = part.exists()
            try:
                _fetch(url, part, archive)
            except _MirrorError as error:
                reason = str(error)
            else:
                if sha256(part) == archive.sha256:
                    part.replace(path)
                    return
                part.unlink()
                if resumed:  # the fault may lie in the part that came from elsewhere
                    continue
                reason = "sent wrong bytes (SHA-256 differs)"
            failures.append(f"{urlsplit(url).netloc}: {reason}")
            break
    raise DataError(f"could not download {archive.title} ({'; '.join(failures)}); {archive.advice}")


def _fetch(url: str, part: Path, archive: Archive) -> None:
    """Complete `part`; only the missing bytes are requested from `url`.

    Raises:
        _MirrorError: the mirror cannot be reached or does not offer those bytes. `part` keeps the
            bytes received before the failure.
        OSError: `part` cannot be written.
    """
    from tqdm import tqdm

    have, size = part.stat().st_size if part.exists() else 0, archive.size
    if have == size:
        return
    if have > size:
        part.unlink()
        have = 0
    seconds, least = PACE
    with _in_background(_answer(url, have, archive)) as next_item:
        try:
            have, _ = next_item(seconds) or (have, b"")
        except queue.Empty:
            raise _MirrorError("timed out") from None
        started, before = time.monotonic(), have
        with (
            part.open("ab" if have else "wb") as file,
            tqdm(
                desc=f"{archive.title} from {urlsplit(url).netloc}",
                initial=have,
                total=size,
                unit="B",
                unit_scale=True,
            ) as bar,
        ):
            while have < size:
                if (now := time.monotonic()) - started >= seconds:
                    if have - before < least:
                        raise _MirrorError(f"sent fewer than {least} bytes in {seconds} s")
                    started, before = now, have
                try:
                    item = next_item(started + seconds - now)
                except queue.Empty:
                    continue
                if item is None:
                    raise _MirrorError(f"stopped at {have} of {size} bytes")
                file.write(item[1])
                bar.update(len(item[1]))
                have += len(item[1])


def _answer(url: str, have: int, archive: Archive) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, bytes) of each piece that `url` sends, from `have` on, or from 0 if it does
    not support ranges. The first piece is empty; the last one ends at the archive's size.

    Raises:
        _MirrorError: any error of the transfer.
    """
    # Imported here, because requests takes 0.2 s that most runs need not spend.
    import requests
    from requests.adapters import HTTPAdapter

    size, headers = archive.size, {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"

    def close_redirect(response: requests.Response, **_: object) -> None:
        if response.is_redirect:  # requests reads its body, which might have no end
            response.close()

    try:
        with requests.Session() as session:
            # A session without an adapter for a scheme refuses it, redirects included.
            session.adapters.clear()
            for scheme in archive.schemes:
                session.mount(scheme, HTTPAdapter())
            hooks = {"response": close_redirect}
            with session.get(
                url, headers=headers, stream=True, timeout=TIMEOUT, hooks=hooks
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
                # read1 returns what has arrived: waiting for whole chunks of a trickle takes days.
                while have < size and (
                    piece := response.raw.read1(min(1 << 18, size - have), decode_content=False)
                ):
                    yield have, piece
                    have += len(piece)
    except _MirrorError:
        raise
    except requests.exceptions.InvalidSchema:
        raise _MirrorError(f"is not, or leads away from, {' or '.join(archive.schemes)}") from None
    except (requests.exceptions.Timeout, TimeoutError):
        raise _MirrorError("timed out") from None
    except requests.exceptions.ConnectionError:
        raise _MirrorError("cannot connect") from None
    except Exception as error:  # odd answers lead the libraries to many more
        raise _MirrorError(f"broke off ({type(error).__name__})") from None


@contextmanager
def _in_background(items: Iterator[_T]) -> Iterator[Callable[[float], _T | None]]:
    """Iterate over `items` in another thread. Yields a function that waits at most the given
    seconds for the next item; it returns None at the end, and raises the thread's exceptions.

    A server may send headers, or lines after the last piece, so slowly that no single wait times
    out. A thread that waits for them cannot be stopped, so it remains until the server or the
    process ends.

    Raises:
        queue.Empty: from that function, when the time is over.
    """
    results: queue.SimpleQueue[tuple[_T | None, BaseException | None]] = queue.SimpleQueue()
    done = threading.Event()

    def work() -> None:
        error = None
        try:
            for item in items:
                results.put((item, None))
                if done.is_set():
                    break
        except BaseException as caught:
            error = caught
        results.put((None, error))

    def next_item(seconds: float) -> _T | None:
        item, error = results.get(timeout=seconds)
        if error is not None:
            raise error
        return item

    threading.Thread(target=work, name="download", daemon=True).start()
    try:
        yield next_item
    finally:
        done.set()
