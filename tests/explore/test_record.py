"""A recording's own questions."""

from __future__ import annotations

from minigrad.explore.record import Call, Recording, Step


def test_paths_leave_the_model_out():
    calls = [Call("Net", "Net", -1), Call("layers.0", "Block", 0), Call("conv", "Conv2d", 1)]
    recording = Recording(calls=calls)
    assert [recording.path(i) for i in range(-1, 3)] == ["", "Net", "layers.0", "layers.0.conv"]


def test_peak():
    assert Recording().peak == 0
    assert Recording(steps=[Step("forward", 0, 5), Step("backward", 0, 3, 2, 1)]).peak == 6
