"""The second process that compiles; tests/cpu/kernels/test_cache.py compares what it makes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import minigrad as mg
from minigrad.cpu import helper


@pytest.fixture
def started(monkeypatch):
    """The commands that :func:`helper.start` runs in a process that has started none yet."""
    commands = []

    class Process:
        def __init__(self, command, **options):
            assert set(options.values()) == {subprocess.DEVNULL}
            commands.append(command)

    monkeypatch.setattr(helper, "_is_wanted", True)
    monkeypatch.setattr(subprocess, "Popen", Process)
    monkeypatch.setattr(helper.atexit, "register", lambda *_: None)
    mg.set_num_threads(2)
    return commands


def test_it_is_started_once_with_the_same_modules(started):
    helper.start()
    helper.start()
    ((python, _, code),) = started
    assert python == sys.executable
    assert repr(sys.path) in code
    assert f"precompile.main({os.getpid()})" in code


def test_no_helper_for_one_thread(started):
    mg.set_num_threads(1)
    helper.start()
    assert started == []


def test_no_helper_where_it_is_refused(started):
    helper.refuse()
    helper.start()
    assert started == []


def test_no_helper_where_no_process_can_be_started(started, monkeypatch):
    def fail(*_, **__):
        raise OSError("no memory")

    monkeypatch.setattr(subprocess, "Popen", fail)
    helper.start()
    assert started == []


def test_it_ends_with_the_process_that_it_helps():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    helper._end(process)
    assert process.poll() is not None
