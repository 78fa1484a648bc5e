"""Files are whole or not there, and keep what they were: links, modes, pipes and devices."""

from __future__ import annotations

import os
import re
import resource
import signal
import stat
import subprocess
import sys
from concurrent import futures
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad import checkpoint
from tests.common import refuses, unprivileged

ROOT = Path(__file__).parents[2]


def test_files_that_cannot_be_read_say_why(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_text("")
    for name, error, why in (
        ("none", FileNotFoundError, "No such file or directory"),
        ("", IsADirectoryError, "Is a directory"),
        ("file/x", NotADirectoryError, "Not a directory"),
        ("pipe", OSError, "Not a regular file"),
    ):
        path = tmp_path / name
        text = f"path: cannot read {path}: {why}"
        refuses(error, text, lambda path=path: mg.load(path))


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_permission_denied_is_said_as_such(suffix):
    with unprivileged() as folder:
        path = folder / f"x.{suffix}"
        path.write_text("")
        path.chmod(0)
        refuses(PermissionError, f"{path}: Permission denied", lambda: mg.load(path))
        folder.chmod(0o600)
        refuses(PermissionError, f"{path}: Permission denied", lambda: mg.load(path))
        folder.chmod(0o700)


def names(folder):
    return sorted(os.listdir(folder))


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_old_file_alone(tmp_path, error):
    path = tmp_path / "text"
    checkpoint.write_atomically(path, lambda temporary: temporary.write_text("old"))

    def fail(temporary):
        assert temporary.parent.parent == tmp_path  # or the rename would not be atomic
        temporary.write_text("ne")
        assert path.read_text() == "old"
        raise error

    with pytest.raises(type(error)):
        checkpoint.write_atomically(path, fail)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["text"]
    checkpoint.write_atomically(path, lambda temporary: temporary.write_text("new"))
    assert path.read_text() == "new"
    assert names(tmp_path) == ["text"]


@pytest.mark.parametrize(
    ("tensors", "metadata"),
    [({"a": [1.0]}, None), ({"a": np.int64(1)}, None), ({"a": mg.zeros(1)}, {"x": object()})],
)
def test_what_cannot_be_saved_leaves_nothing(file, tensors, metadata):
    with pytest.raises(TypeError):
        mg.save(tensors, file, metadata)
    assert names(file.parent) == []


def test_places_that_cannot_be_written(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    for path in (tmp_path / "none" / "x", blocked / "x", "/proc/minigrad/x"):
        with pytest.raises(OSError, match="x"):
            mg.save({"a": mg.zeros(1)}, path)
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(OSError, match="folder"):
        mg.save({"a": mg.zeros(1)}, folder)
    assert names(tmp_path) == ["file", "folder"]


def test_a_file_is_on_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """What a power failure may leave: the order of these is all that is asked of the disk."""
    done = []
    fsync, replace = os.fsync, Path.replace

    def noted_fsync(handle):
        path = os.readlink(f"/proc/self/fd/{handle}")
        done.append(("fsync", "folder" if os.path.isdir(path) else "file"))
        fsync(handle)

    def noted_replace(self, target):
        done.append(("replace", Path(target).name))
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    mg.save({"a": mg.zeros(1)}, tmp_path / "x")
    assert done == [("fsync", "file"), ("replace", "x"), ("fsync", "folder")]


@pytest.mark.parametrize("suffix", ["safetensors", "pt", "txt"])
def test_a_disk_that_is_full_is_an_oserror_and_leaves_the_old_file(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"

    def write(value):
        if suffix == "txt":
            checkpoint.write_text(path, str(value) * 100_000)
        else:
            mg.save({"a": mg.zeros(100_000) + value}, path)

    write(1)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            write(2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert names(tmp_path) == [path.name]


def test_keep_is_another_name(tmp_path):
    path, kept = tmp_path / "x", tmp_path / "kept"
    checkpoint.keep(path, kept)  # of nothing
    assert names(tmp_path) == []
    for text in ("one", "two", "three"):
        checkpoint.write_text(path, text)
        checkpoint.keep(path, kept)
        checkpoint.keep(path, kept)
        assert kept.read_text() == text
        assert names(tmp_path) == ["kept", "x"]
    checkpoint.write_text(path, "four")
    assert kept.read_text() == "three"


def test_keep_needs_hard_links(tmp_path, monkeypatch):
    def link(*_):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    checkpoint.write_text(tmp_path / "x", "one")
    checkpoint.keep(tmp_path / "x", tmp_path / "kept")
    assert names(tmp_path) == ["x"]


def test_leftovers_are_removed_and_nothing_else(tmp_path):
    others = [".hidden", ".tmpK7DMdt", ".x.0123456789abcdeg.part", ".x.part", "mine.part", "x"]
    for name in (*others, ".x.link.part", f".{'x' * 40}.0123456789abcdef.part"):
        (tmp_path / name).write_text("")
    folder = tmp_path / ".x.0123456789abcdef.part"
    folder.mkdir()
    (folder / ".tmpK7DMdt").write_text("")
    checkpoint.remove_leftovers(tmp_path)
    assert names(tmp_path) == others


KILLED = """
import resource, signal, sys
import minigrad as mg
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # kills in the system call that writes too much
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))
mg.save({"a": mg.zeros(10_000)}, sys.argv[1])
"""


def test_a_save_killed_within_the_librarys_write_leaves_what_is_surely_ours(file):
    mg.save({"a": mg.zeros(10)}, file)
    before = file.read_bytes()
    run = subprocess.run([sys.executable, "-c", KILLED, file], check=False)
    assert run.returncode == -signal.SIGXFSZ
    assert file.read_bytes() == before
    assert len(names(file.parent)) == 2
    checkpoint.remove_leftovers(file.parent)
    assert names(file.parent) == [file.name]


def test_permissions_follow_the_umask(file):
    before = os.umask(0o027)
    try:
        mg.save({"a": mg.zeros(1)}, file)
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o200])
def test_a_file_that_is_replaced_keeps_its_mode_and_owner(file, mode):
    file.write_text("")
    file.chmod(mode)
    if os.geteuid() == 0:
        os.chown(file, 1, 2)
    before = file.stat()
    mg.save({"a": mg.zeros(1)}, file)
    after = file.stat()
    assert after.st_size > 0
    for what in ("st_mode", "st_uid", "st_gid"):
        assert getattr(after, what) == getattr(before, what)


def test_nobody_else_may_read_a_private_file_while_it_is_written(tmp_path):
    path = tmp_path / "x"
    path.write_text("")
    path.chmod(0o600)
    seen = []
    checkpoint.write_atomically(path, lambda part: seen.append(part.stat().st_mode & 0o777))
    assert seen == [0o600]


@pytest.mark.parametrize("suffix", ["safetensors", "pt", "txt"])
def test_a_link_stays_one(tmp_path, suffix):
    """To a file, to another link, and to nothing yet."""
    target, middle, link = (tmp_path / name for name in ("far/x", "middle", f"x.{suffix}"))
    target.parent.mkdir()
    middle.symlink_to("far/x")
    link.symlink_to("middle")
    for text in ("one", "two"):
        if suffix == "txt":
            checkpoint.write_text(link, text)
        else:
            mg.save({text: mg.zeros(1)}, link)
            assert list(mg.load(link)) == [text]
        assert (os.readlink(link), os.readlink(middle)) == ("middle", "far/x")
        assert not target.is_symlink()
        assert names(tmp_path) == sorted(["far", "middle", link.name])
        assert names(target.parent) == ["x"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_disks_are_not_written_to(tmp_path):
    path = tmp_path / "disk"
    try:
        os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(7, 201))  # a loop device that is not there
    except PermissionError:
        pytest.skip("nor does this root")
    for act in (checkpoint.writable, lambda path: checkpoint.write_text(path, "x")):
        with pytest.raises(OSError, match="Is a disk"):
            act(path)
    assert stat.S_ISBLK(path.stat().st_mode)


def test_links_that_lead_round_in_a_circle(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        checkpoint.write_text(tmp_path / "a", "x")
    assert names(tmp_path) == ["a", "b"]


def test_what_a_link_leads_to_is_kept(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "x").symlink_to("far/x")
    checkpoint.write_text(tmp_path / "x", "one")
    checkpoint.keep(tmp_path / "x", tmp_path / "kept")
    checkpoint.write_text(tmp_path / "x", "two")
    assert (tmp_path / "kept").read_text() == "one"


def test_a_pipe_is_written_to_and_stays_one(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    content = "x" * 500_000  # more than a pipe holds
    with futures.ThreadPoolExecutor(1) as pool:
        reader = pool.submit(pipe.read_text)
        checkpoint.write_text(pipe, content)
        assert reader.result(10) == content
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert names(tmp_path) == ["pipe"]


def test_a_device_is_written_to_and_stays_one(tmp_path):
    """A terminal stands for /dev/null, which a mistake here would remove."""
    reader, terminal = os.openpty()
    name = os.ttyname(terminal)
    link = tmp_path / "link"
    link.symlink_to(name)
    try:
        for path in (name, link):
            checkpoint.write_text(path, "text")
            assert os.read(reader, 100) == b"text"
            assert stat.S_ISCHR(os.stat(name).st_mode)
    finally:
        os.close(reader)
        os.close(terminal)


def test_standard_output_is_written_to_where_it_stands(tmp_path):
    """As ``--csv /dev/stdout >> file``: neither what was there nor what comes after is lost."""
    log = tmp_path / "log"
    log.write_text("before\n")
    code = (
        "from minigrad import checkpoint\n"
        "print('first')\ncheckpoint.write_text('/dev/stdout', 'text\\n')\nprint('last')"
    )
    with log.open("a") as out:
        subprocess.run([sys.executable, "-c", code], stdout=out, check=True, cwd=ROOT)
    assert log.read_text() == "before\nfirst\ntext\nlast\n"
    assert names(tmp_path) == ["log"]


def test_a_file_that_may_not_be_written_to_is_not_replaced():
    with unprivileged() as folder:
        path = folder / "x"
        path.write_text("old")
        path.chmod(0o444)
        with pytest.raises(PermissionError, match="x"):
            checkpoint.write_text(path, "new")
        assert path.read_text() == "old"
        assert names(folder) == ["x"]


def test_what_cannot_be_written_is_told_before(tmp_path):
    (tmp_path / "file").write_text("old")
    os.mkfifo(tmp_path / "pipe")
    for name in ("file", "new", "pipe"):
        checkpoint.writable(tmp_path / name)
    assert names(tmp_path) == ["file", "pipe"]
    assert (tmp_path / "file").read_text() == "old"
    for name in ("file/x", "none/x", "", "x" * 300):
        with pytest.raises(OSError, match=re.escape(str(tmp_path / name))):  # and no other name
            checkpoint.writable(tmp_path / name)
        with pytest.raises(OSError, match=re.escape(str(tmp_path / name))):
            checkpoint.write_text(tmp_path / name, "x")


def test_no_permission_is_told_before():
    with unprivileged() as folder:
        (folder / "file").touch(0o444)
        os.mkfifo(folder / "pipe", 0o400)
        for name in ("file", "pipe"):
            with pytest.raises(PermissionError, match=name):
                checkpoint.writable(folder / name)


def test_a_name_as_long_as_a_file_may_have(tmp_path):
    path = tmp_path / ("ä" * 127)
    checkpoint.write_text(path, "x")
    checkpoint.keep(path, tmp_path / ("ö" * 127))
    assert [len(name) for name in names(tmp_path)] == [127, 127]


def test_text_is_utf8_with_plain_line_ends(tmp_path):
    checkpoint.write_text(tmp_path / "x.txt", "ä\n→\r\n")
    assert (tmp_path / "x.txt").read_bytes() == "ä\n→\r\n".encode()
    assert [file.name for file in tmp_path.iterdir()] == ["x.txt"]
