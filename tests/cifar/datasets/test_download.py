"""A download takes the right bytes from the first mirror that has them, resumes, takes turns."""

from __future__ import annotations

import contextlib
import http.server
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cifar import datasets, process
from cifar.datasets import download as downloads
from cifar.errors import DataError
from tests.cifar.datasets import tiny_cifar10
from tests.cifar.datasets.tiny_cifar10 import ARCHIVE, FOLDER, NAME, PACKED, ROWS
from tests.common import refuses

HALF, SIZE = len(PACKED) // 2, len(PACKED)
AWAY = {
    "half-an-address": "http://[::1",
    "round": "/round",
    "nowhere": "http://\\x",
    "to-file": "file:///etc/passwd",
}
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@dataclass
class Mirror:
    """A local server; the path of a request is the name of what it does.

    Attributes:
        requests: (path, Range) of each request.
        cut: set when a client hangs up.
        gate: "gated" sends its second half once it is set.
    """

    port: int
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    cut: threading.Event = field(default_factory=threading.Event)
    gate: threading.Event = field(default_factory=threading.Event)

    def url(self, behaviour: str) -> str:
        return f"http://127.0.0.1:{self.port}/{behaviour}"


class Handler(http.server.BaseHTTPRequestHandler):
    mirror: Mirror

    def log_message(self, *_):
        pass

    def do_GET(self):
        path, offset = self.path.strip("/"), self.headers.get("Range")
        self.mirror.requests.append((path, offset))
        self.start = int(offset.removeprefix("bytes=").removesuffix("-")) if offset else 0
        with contextlib.suppress(ConnectionError):
            if path in AWAY:
                self.answer(302, Location=AWAY[path])
            else:
                getattr(self, path.replace("-", "_"))()

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        headers.setdefault("Content_Length", str(len(body)))
        for name, value in headers.items():
            if value:
                self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def pour(self):
        """256 MB, unless the client hangs up before."""
        try:
            for _ in range(256):
                self.wfile.write(bytes(1 << 20))
        except ConnectionError:
            self.mirror.cut.set()

    def drip(self, pieces, seconds):
        for piece in pieces:
            self.wfile.write(piece)
            if self.mirror.gate.wait(seconds):
                return

    def good(self):
        if self.start:
            content_range = f"bytes {self.start}-{SIZE - 1}/{SIZE}"
            self.answer(206, PACKED[self.start :], Content_Range=content_range)
        else:
            self.answer(200, PACKED)

    def knows_no_ranges(self):
        self.answer(200, PACKED)

    def half(self):
        self.answer(200, PACKED[:HALF], Content_Length=str(SIZE))

    def lies_short(self):
        self.answer(200, PACKED, Content_Length="17")

    def endless(self):
        self.answer(200, PACKED, Content_Length="")
        self.pour()

    def endless_redirect(self):
        self.answer(302, Location="/good", Content_Length="")
        self.pour()

    def silent_end(self):
        self.answer(200, PACKED[:-1], Content_Length="")

    def wrong(self):
        self.answer(200, b"x" * SIZE)

    def wrong_part(self):
        self.answer(206, PACKED[1:], Content_Range=f"bytes 1-{SIZE - 1}/{SIZE}")

    def trickle(self):
        self.answer(200, Content_Length=str(SIZE))
        self.drip((bytes([byte]) for byte in PACKED[:200]), 0.02)

    def head_trickle(self):
        head = b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE
        self.drip((bytes([byte]) for byte in head), 0.05)

    def stall(self):
        self.mirror.gate.wait(0.6)

    def gated(self):
        self.answer(200, PACKED[:HALF], Content_Length=str(SIZE))
        self.mirror.gate.wait(30)
        self.wfile.write(PACKED[HALF:])

    def trailers(self):
        """Lines after a body of too few bytes, each long before a timeout."""
        self.wfile.write(CHUNKED + b"5\r\nbytes\r\n0\r\n")
        self.drip((b"x: y\r\n" for _ in range(1000)), 0.02)

    def whole_and_trailers(self):
        self.wfile.write(CHUNKED + b"%x\r\n" % SIZE + PACKED + b"\r\n0\r\n")
        self.drip((b"x: y\r\n" for _ in range(1000)), 0.02)

    def no_chunks(self):
        self.wfile.write(CHUNKED + b"?\r\n")

    def no_http(self):
        self.wfile.write(b"\0" * 100)

    def many_headers(self):
        self.answer(200, PACKED, **{f"X-{i}": "x" for i in range(200)})

    def missing(self):
        self.answer(404)


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    handler = type("BoundHandler", (Handler,), {})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    handler.mirror = Mirror(server.server_port)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield handler.mirror
    handler.mirror.gate.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def download(home, mirror, monkeypatch):
    """A function that loads the test images from mirrors of these behaviours."""

    def act(*behaviours, **changes):
        changes = {"schemes": ("http://",), "mirrors": tuple(map(mirror.url, behaviours))} | changes
        tiny_cifar10.install(monkeypatch.setattr, replace(ARCHIVE, **changes))
        return datasets.load("cifar10", "test")

    return act


@pytest.fixture
def cache(home):
    return home / ".cache" / "minigrad"


@pytest.fixture
def part(cache):
    """Where a download goes; the folder is there."""
    cache.mkdir(parents=True)
    return cache / f"{NAME}.part"


def test_a_good_download(cache, mirror, download, capsys):
    assert len(download("good", "missing")) == ROWS
    assert mirror.requests == [("good", None)]
    assert sorted(os.listdir(cache)) == [FOLDER, NAME]
    assert "CIFAR-10 from 127.0.0.1" in capsys.readouterr().err
    assert len(datasets.load("cifar10", "train")) == 5 * ROWS
    assert len(mirror.requests) == 1


def test_it_goes_into_the_place_that_was_named(cache, tmp_path, download, monkeypatch):
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path / "new" / "folder"))
    download("good")
    assert (tmp_path / "new" / "folder" / FOLDER).is_dir()
    (tmp_path / "given").mkdir()
    datasets.load("cifar10", "test", tmp_path / "given")
    assert (tmp_path / "given" / FOLDER).is_dir()
    assert not cache.exists()


def test_the_next_call_resumes(part, mirror, download):
    refuses(DataError, "broke off", lambda: download("half"))
    assert os.listdir(part.parent) == [part.name]
    assert part.read_bytes() == PACKED[:HALF]
    download("good")
    assert mirror.requests == [("half", None), ("good", f"bytes={HALF}-")]
    assert not part.exists()


def test_the_next_mirror_resumes(part, mirror, download):
    download("half", "good")
    assert mirror.requests[1] == ("good", f"bytes={HALF}-")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(length=st.integers(0, SIZE))
def test_any_length_is_resumed(mirror, home, length):
    (home / "part").write_bytes(PACKED[:length])
    archive = replace(ARCHIVE, schemes=("http://",))
    downloads._fetch(mirror.url("good"), home / "part", archive)
    assert (home / "part").read_bytes() == PACKED


@pytest.mark.parametrize("behaviour", ["endless", "whole-and-trailers"])
def test_nothing_is_read_after_the_last_byte(mirror, download, behaviour):
    assert len(download(behaviour)) == ROWS
    assert behaviour != "endless" or mirror.cut.wait(5)


def test_the_body_of_a_redirection_is_not_read(mirror, download):
    assert len(download("endless-redirect")) == ROWS
    assert [path for path, _ in mirror.requests] == ["endless-redirect", "good"]
    assert mirror.cut.wait(5)


@pytest.mark.parametrize(
    ("behaviour", "left", "offsets"),
    [
        ("knows-no-ranges", 100, ["bytes=100-"]),
        ("good", 100, ["bytes=100-", None]),  # a bad part does not spoil the only mirror
        ("good", SIZE, [None]),
        ("good", SIZE + 1, [None]),
    ],
)
def test_a_part_that_does_not_fit_is_fetched_anew(part, mirror, download, behaviour, left, offsets):
    part.write_bytes(b"?" * left)
    assert len(download(behaviour)) == ROWS
    assert mirror.requests == [(behaviour, offset) for offset in offsets]


@pytest.mark.parametrize(
    ("behaviour", "problem"),
    [
        ("wrong", "wrong bytes"),
        ("lies-short", "offers 17 bytes"),
        ("silent-end", f"stopped at {SIZE - 1} of {SIZE} bytes"),
        ("half", "broke off"),
        ("wrong-part", "another part"),
        ("missing", "HTTP 404"),
        ("stall", "timed out"),
        ("head-trickle", "timed out"),
        ("trickle", "sent fewer than 1000 bytes in 0.5 s"),
        ("trailers", "sent fewer than 1000 bytes in 0.5 s"),
        ("no-chunks", "broke off"),
        ("no-http", "cannot connect"),
        ("many-headers", "cannot connect"),
        *((name, "leads away" if name.startswith("to-") else "127.0.0.1") for name in AWAY),
    ],
)
def test_a_bad_mirror_is_left_for_the_next(part, mirror, download, monkeypatch, behaviour, problem):
    monkeypatch.setattr(downloads, "TIMEOUT", (5, 0.2))
    monkeypatch.setattr(downloads, "PACE", (0.5, 1000))
    with pytest.raises(DataError) as caught:
        download(behaviour)
    for words in (f"127.0.0.1:{mirror.port}: ", problem, "--data-dir", "--dataset synthetic"):
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert set(os.listdir(part.parent)) <= {part.name}
    part.unlink(missing_ok=True)
    assert len(download(behaviour, "good")) == ROWS


def test_every_failure_is_listed(part, mirror, download):
    mirrors = (mirror.url("missing"), "http://127.0.0.1:1/x", mirror.url("wrong"))
    with pytest.raises(DataError, match=r"HTTP 404; .*:1: cannot connect; .*wrong bytes"):
        download(mirrors=mirrors)
    assert os.listdir(part.parent) == []


def test_https_only(mirror, download):
    refuses(DataError, "https://", lambda: download("good", schemes=("https://",)))
    assert mirror.requests == []


def test_a_place_that_cannot_be_written(tmp_path, download, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path / "file" / "below"))
    text = f"cannot write CIFAR-10 to {tmp_path / 'file' / 'below'}"
    refuses(DataError, text, lambda: download("good"))


# ---------------------------------------------------------------------------- at once


def wait_for(condition):
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    pytest.fail("waited for 30 s")


def test_two_downloads_at_once_are_one(cache, part, mirror, download, capsys):
    heard = []

    def is_said():
        heard.append(capsys.readouterr().err)
        words = "note: waiting for another process that downloads or unpacks CIFAR-10 in"
        return words in "".join(heard)

    with futures.ThreadPoolExecutor(2) as pool:  # locks tell threads apart as they do processes
        first = pool.submit(download, "gated")
        wait_for(part.exists)
        second = pool.submit(datasets.load, "cifar10", "train")
        wait_for(is_said)
        mirror.gate.set()
        assert (len(first.result(30)), len(second.result(30))) == (ROWS, 5 * ROWS)
    assert mirror.requests == [("gated", None)]
    assert sorted(os.listdir(cache)) == [FOLDER, NAME]


def test_a_process_that_waited_for_a_failed_download_tries_itself(part, mirror, download):
    with futures.ThreadPoolExecutor(1) as pool:
        with process.in_turn(part.with_name(f".{NAME}.lock"), ""):
            part.write_bytes(PACKED[:9])
            waiting = pool.submit(download, "good")
            with pytest.raises(futures.TimeoutError):
                waiting.result(0.2)
        assert len(waiting.result(30)) == ROWS
    assert mirror.requests == [("good", "bytes=9-")]


def test_a_killed_download_holds_up_nobody(part, mirror, download):
    code = (
        "import sys, pathlib, tests.cifar.datasets.test_download as t\n"
        "archive = t.replace(t.ARCHIVE, schemes=('http://',), mirrors=(sys.argv[1],))\n"
        "t.downloads.download(pathlib.Path(sys.argv[2]), archive)\n"
    )
    command = [sys.executable, "-c", code, mirror.url("gated"), str(part.parent)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as killed:
        wait_for(lambda: part.exists() and part.stat().st_size == HALF)
        killed.kill()
    assert killed.returncode == -signal.SIGKILL
    assert len(download("good")) == ROWS
    assert mirror.requests[1:] == [("good", f"bytes={HALF}-")]
    assert sorted(os.listdir(part.parent)) == [FOLDER, NAME]
