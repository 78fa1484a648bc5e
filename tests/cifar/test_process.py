"""A folder to itself, signals noted, a terminal that goes away."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from concurrent import futures
from pathlib import Path

import pytest

import minigrad as mg
from cifar import process
from cifar.errors import UserError
from tests.common import refuses

ROOT = Path(__file__).parents[2]


def enter(folder):
    with process.alone_in(folder):
        pass


def test_a_second_run_is_refused_while_the_first_goes_on(tmp_path):
    with process.alone_in(tmp_path):
        text = f"out: another run is writing into {tmp_path}; wait for it, or choose another --out"
        refuses(UserError, text, lambda: enter(tmp_path))
        (tmp_path / "inner").mkdir()
        enter(tmp_path / "inner")
    enter(tmp_path)
    assert os.listdir(tmp_path) == ["inner"]  # and no lock file


def test_a_dead_process_leaves_no_lock(tmp_path):
    code = (
        "import os, sys, pathlib, cifar.process as process\n"
        "with process.alone_in(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout.readline() == b"held\n"
        refuses(UserError, "another run is writing", lambda: enter(tmp_path))
        holder.kill()
    assert holder.returncode == -signal.SIGKILL
    enter(tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_locked_is_named(tmp_path, monkeypatch, capsys):
    def flock(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    enter(tmp_path)
    assert capsys.readouterr().err == (
        f"note: {tmp_path} cannot be locked (No locks available); let no other run write there\n"
    )
    assert os.listdir(tmp_path) == []


def test_turns_are_taken_and_leave_nothing(tmp_path):
    """However many want one at once: each has it alone, also where a file was left."""
    (tmp_path / "lock").write_text("")
    inside, most = [], []

    def take(number):
        for _ in range(20):
            with process.in_turn(tmp_path / "lock", f"{number} waits"):
                inside.append(number)
                most.append(len(inside))
                time.sleep(0.001)
                inside.remove(number)

    with futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(take, range(4)))
    assert most == [1] * 80
    assert os.listdir(tmp_path) == []


def test_waiting_is_said_and_can_be_stopped(tmp_path, capsys):
    heard = []

    def hold():
        with process.in_turn(tmp_path / "lock", ""):
            held.set()
            assert stopped.wait(30)

    def interrupt():
        for _ in range(1000):
            heard.append(capsys.readouterr().err)
            if "note: it is busy" in "".join(heard):
                break
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    held, stopped = threading.Event(), threading.Event()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
    with futures.ThreadPoolExecutor(2) as pool:
        pool.submit(hold)
        assert held.wait(30)
        pool.submit(interrupt)
        with pytest.raises(KeyboardInterrupt), process.in_turn(tmp_path / "lock", "it is busy"):
            pytest.fail("two at once")
        assert (tmp_path / "lock").exists()
        stopped.set()
    signal.signal(signal.SIGINT, before)
    assert "".join(heard) == "note: it is busy\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_noted_and_the_second_acts(number):
    before = signal.getsignal(number)
    with process.stop_on_signals() as stop:
        assert not stop
        os.kill(os.getpid(), number)
        assert stop == [number]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def test_outside_the_main_thread_signals_and_streams_are_left_alone():
    handlers = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]

    def inside():
        with process.outlive_terminal(), process.stop_on_signals() as stop:
            now = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
            return stop, now, sys.stdout

    with futures.ThreadPoolExecutor(1) as pool:
        assert pool.submit(inside).result() == ([], handlers, sys.stdout)


# ---------------------------------------------------------------------------- lines to paste


@pytest.mark.parametrize("word", ["a", "a b", "it's", "$HOME", "ü", "a\nb", "\x1b[2J", "\udcff'\\"])
def test_words_come_back_from_a_shell(word):
    quoted = process.shell_word(word)
    assert quoted.isprintable()
    found = subprocess.run(["bash", "-c", f"printf %s {quoted}"], stdout=subprocess.PIPE)
    assert found.stdout == os.fsencode(word)


PROGRAM = "import sys\nfrom cifar import process\nprint(*process.program(), *sys.argv[1:])\n"


@pytest.mark.parametrize("way", ["script", "module", "command", "path"])
def test_a_program_can_say_how_it_was_started(tmp_path, way):
    """However that was: what it says starts it again."""
    (tmp_path / "module.py").write_text(PROGRAM)
    tool = tmp_path / "tool"
    tool.write_text(f"#!{sys.executable}\n{PROGRAM}")
    tool.chmod(0o755)
    words = {
        "script": [sys.executable, "module.py"],
        "module": [sys.executable, "-m", "module"],
        "command": ["tool"],
        "path": [str(tool)],
    }[way]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, tmp_path)))}
    if way == "command":
        environment["PATH"] = f"{tmp_path}{os.pathsep}{environment['PATH']}"

    def say(words):
        done = subprocess.run(
            [*words, "x"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, check=True
        )
        return done.stdout.decode().split()

    said = say(words)
    assert said[-1] == "x"
    assert say(said[:-1]) == said
    if way == "command":
        assert said == ["tool", "x"]


# ---------------------------------------------------------------------------- the terminal


def talk():
    """Print to both streams until told to end, then say so in a file."""
    with process.outlive_terminal():
        for _ in iter(sys.stdin.readline, ""):
            for stream in (sys.stdout, sys.stderr):
                print("still here", file=stream, flush=True)
    print("and after it")
    sys.stdout.flush()


def start_talking(folder, **streams):
    code = "import sys, pathlib, tests.cifar.test_process as t\nt.talk()\n"
    code += "pathlib.Path(sys.argv[1]).write_text('done')"
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-c", code, folder / "note"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, **streams)


def ask(process, times=3):
    for _ in range(times):
        process.stdin.write(b"\n")
        process.stdin.flush()


def test_a_terminal_that_goes_away_does_not_end_a_run(tmp_path):
    ours, theirs = pty.openpty()
    streams = {"stdout": theirs, "stderr": theirs, "start_new_session": True}
    with start_talking(tmp_path, **streams) as process:
        os.close(theirs)
        ask(process)
        assert b"still here" in os.read(ours, 100)
        os.close(ours)  # from now on writing is an error, EIO
        process.send_signal(signal.SIGHUP)
        ask(process)
        process.stdin.close()
        assert process.wait(timeout=30) == 0
    assert (tmp_path / "note").read_text() == "done"


def test_a_reader_that_goes_away_does_not_end_a_run(tmp_path):
    """As in ``cifar train simple | head``."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with start_talking(tmp_path, **streams) as process:
        ask(process, 1)
        assert process.stdout.readline() == b"still here\n"
        for stream in (process.stdout, process.stderr):
            stream.close()
        ask(process)
        process.stdin.close()
        assert process.wait(timeout=30) == 0
    assert (tmp_path / "note").read_text() == "done"


def test_hang_ups_end_what_comes_after(capsys):
    before = signal.getsignal(signal.SIGHUP)
    with contextlib.suppress(ZeroDivisionError), process.outlive_terminal():
        print("said")
        assert sys.stdout.isatty() is False  # all but writing is the stream's own
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGHUP) is before
    assert capsys.readouterr().out == "said\n"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (MemoryError(), "try a smaller --batch-size"),
        (mg.OutOfMemoryError("conv2d: 5 GiB"), "conv2d: 5 GiB; try a smaller --batch-size"),
    ],
)
def test_a_smaller_batch_is_suggested(error, text):
    with pytest.raises(mg.OutOfMemoryError) as caught, process.suggest_smaller_batch():
        raise error
    assert str(caught.value) == text
