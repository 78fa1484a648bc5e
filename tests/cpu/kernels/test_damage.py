"""What is kept of compiled kernels on disk may be damaged, and the disk full: never an error."""

from __future__ import annotations

import errno
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.common import refuses

kernels = pytest.importorskip("minigrad.cpu.kernels")
numba = pytest.importorskip("numba")
caching = pytest.importorskip("numba.core.caching")


def double(out, x):
    for i in range(len(x)):
        out[i] = 2 * x[i]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    doubled()
    return tmp_path


def doubled():
    """What a process that starts now computes, where the kernel comes from, what it warns of."""
    kernels._warn.cache_clear()
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        kernel = kernels.jit(double)
        out = np.zeros(3)
        kernel(out, np.arange(3.0))
    assert out.tolist() == [0, 2, 4]
    return sum(kernel.stats.cache_hits.values()), [str(one.message) for one in heard]


def test_a_warning_comes_once():
    kernels._warn.cache_clear()
    with pytest.warns(RuntimeWarning, match="full"):
        kernels._warn("full")
    kernels._warn("full")  # would be an error here


def files(folder):
    index, data = sorted(folder.glob("*/*"), key=lambda file: file.suffix == ".nbc")
    return {"index": index, "data": data}


def test_what_is_kept_is_found(folder):
    assert doubled() == (1, [])


DAMAGES = {
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "garbage": lambda content: b"garbage",
    "another object": lambda content: pickle.dumps(7),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["index", "data"])
def test_damage_costs_a_compilation(folder, name, damage):
    file = files(folder)[name]
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    num_loads, heard = doubled()
    assert num_loads == 0
    if (name, damage) != ("index", "another object"):  # it counts as one of another version
        (said,) = heard
        assert said.startswith(f"a compiled kernel in {file.parent} cannot be used (")
        assert said.endswith("): compiling it again")
    assert doubled() == (1, [])


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_no_flipped_bit_is_run(folder, place, bit):
    data = files(folder)["data"]
    content = bytearray(data.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    changed = data.with_name("changed")
    changed.write_bytes(content)
    cache = kernels._Cache(double)._cache_file
    refuses(ValueError, "changed is not as it was written", lambda: cache._load_data("changed"))
    changed.unlink()


def test_files_that_cannot_be_read_or_replaced(folder):
    """Folders in their places, since root may read and write whatever the mode says."""
    for file in files(folder).values():
        file.unlink()
        file.mkdir()
    for _ in range(2):
        num_loads, (read, kept) = doubled()
        assert num_loads == 0
        assert "cannot be used (IsADirectoryError: " in read
        assert "cannot be kept in" in kept


def test_a_full_disk_is_named(folder, monkeypatch):
    def write(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    for file in files(folder).values():
        file.unlink()
    monkeypatch.setattr(caching.IndexDataCacheFile, "_open_for_write", write)
    num_loads, (heard,) = doubled()
    assert num_loads == 0
    place = next(Path(folder).iterdir())
    assert heard == (
        f"compiled kernels cannot be kept in {place} (No space left on device): each process "
        "compiles them again"
    )


def test_no_folder_to_keep_them_in(monkeypatch):
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    assert doubled() == (
        0,
        ["there is no folder to keep compiled kernels in: each process compiles them again"],
    )
