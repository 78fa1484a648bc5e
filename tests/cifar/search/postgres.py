"""A PostgreSQL server of Debian's, on a socket in a folder of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.common import NOBODY


def programs() -> Path | None:
    """The folder of the server's programs; None where it is not installed."""
    found = shutil.which("pg_ctl")  # elsewhere than on Debian
    places = [*Path("/usr/lib/postgresql").glob("*/bin"), *([Path(found).parent] if found else [])]
    return next((place for place in places if (place / "initdb").exists()), None)


@contextmanager
def server() -> Iterator[str]:
    """The URL of an empty database, whose server runs meanwhile; it never runs as root."""
    tools = programs()
    assert tools is not None
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    other = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.getuid() == 0 else {}
    if other:
        os.chown(folder, NOBODY, NOBODY)
    quiet = {"stdout": subprocess.DEVNULL, "cwd": folder, "env": {"LC_ALL": "C"}, **other}
    one = None
    try:
        make = ["-D", "data", "-U", "minigrad", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run([tools / "initdb", *make], check=True, **quiet)
        options = ["-k", str(folder), "-c", "listen_addresses=", "-c", "fsync=off"]
        one = subprocess.Popen(
            [tools / "postgres", "-D", "data", *options], stderr=subprocess.DEVNULL, **quiet
        )
        ready = [tools / "pg_isready", "-q", "-h", str(folder)]
        end = time.monotonic() + 60
        while subprocess.run(ready, check=False, **quiet).returncode:
            assert one.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)
        yield f"postgresql+psycopg://minigrad@/postgres?host={folder}"
    finally:
        if one is not None:
            one.send_signal(signal.SIGQUIT)  # at once; nothing is to be kept
            one.wait()
        shutil.rmtree(folder)
