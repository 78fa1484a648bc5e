"""Calls of the command, and what must be true of each."""

from __future__ import annotations

import re

from cifar import cli


def said(capsys, arguments, code=0):
    """What the command printed, checked for its exit code and for lines that end cleanly."""
    assert cli.main(arguments.split() if isinstance(arguments, str) else arguments) == code
    captured = capsys.readouterr()
    assert captured.err == ""
    assert not re.search(r" $", captured.out, re.MULTILINE)
    return captured.out


def assert_one_error(code, captured, text):
    assert code == 2
    assert captured.out == ""
    assert re.fullmatch(r"error: .+\n", captured.err)
    assert text in captured.err
