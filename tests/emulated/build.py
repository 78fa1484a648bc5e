"""The emulator's libraries, compiled from cxx/ on first use."""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

CXX = Path(__file__).parent / "cxx"
CORE = (*("memory", "text", "parse", "arithmetic", "bits", "steps", "warps", "machine", "door"),)
FLAGS = (
    *("-std=c++20", "-O3", "-fPIC", "-fvisibility=hidden", "-pthread"),
    *("-fwrapv", "-ffp-contract=off", "-frounding-math"),  # arithmetic as a device's
)


def cache() -> Path:
    """Where compiled libraries lie, for later processes."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "minigrad-emulator"


@functools.cache
def library(name: str, parts: Sequence[str], *flags: str, links: Sequence[str] = ()) -> Path:
    """The library ``name`` of those parts, compiled unless it is there.

    Args:
        flags, links: further ones of the compiler, and of the linker.
    """
    sources = [CXX / f"{part}.cpp" for part in parts]
    texts = [file.read_bytes() for file in (*sources, *sorted(CXX.glob("*.h")))]
    flags = (*FLAGS, *flags)
    digest = hashlib.sha256(b"\0".join([repr((flags, links)).encode(), *texts])).hexdigest()
    folder = cache() / digest[:16]
    if not (folder / name).exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            objects = [f"{scratch}/{source.stem}.o" for source in sources]
            children = [
                subprocess.Popen(["g++", *flags, "-c", source, "-o", made])
                for source, made in zip(sources, objects, strict=True)
            ]
            codes = [child.wait() for child in children]
            if any(codes):
                raise RuntimeError("the emulator does not compile")
            made = f"{scratch}/{name}"
            subprocess.run(["g++", "-shared", *objects, *links, "-o", made], check=True)
            os.replace(made, folder / name)
    return folder / name
