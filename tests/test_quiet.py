"""NumPy's warnings are off inside, and as before outside."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad import quiet

IGNORED = {"divide": "ignore", "over": "ignore", "under": "ignore", "invalid": "ignore"}


@pytest.fixture(params=["the variable", "np.seterr"])
def module(request, monkeypatch):
    if request.param == "np.seterr":  # of a NumPy that keeps it elsewhere
        monkeypatch.setattr(quiet, "enter", quiet._seterr)
        monkeypatch.setattr(quiet, "leave", quiet._restore)
    return quiet


def test_warnings_are_off_inside(module):
    @module.quiet
    def state(raising):
        if raising:
            raise OSError("inside")
        return np.geterr()

    with np.errstate(all="raise"):
        before = np.geterr()
        assert state(False) == IGNORED
        with pytest.raises(OSError, match="inside"):
            state(True)
        assert np.geterr() == before != IGNORED


def test_the_variable_is_found():
    assert quiet.enter is not quiet._seterr
