"""What is believed of the JSON in training's files."""

from __future__ import annotations

import json
import math

import pytest

import minigrad as mg
from cifar import metadata


def nested(depth):
    return [nested(depth - 1)] if depth else 0


@pytest.mark.parametrize(
    "note", [nested(50), {"a": nested(900)}, "\ud800", {"\udfff": 0}, [["a", {"b": "x\ud83d"}]]]
)
def test_notes_that_nothing_could_show(tmp_path, note):
    mg.save({"a": mg.zeros(1)}, tmp_path / "x.safetensors", note)
    with pytest.raises(ValueError, match="safetensors has metadata that training never writes"):
        metadata.read(tmp_path / "x.safetensors")


def test_files_that_cannot_be_read(tmp_path):
    for name, why in (("none", "No such file or directory"), ("", "Is a directory")):
        path = tmp_path / name
        with pytest.raises(ValueError, match=f"^cannot read {path}: {why}"):
            metadata.read(path)


@pytest.mark.parametrize(("text", "said"), [("[" * 9**5, "recursion"), ("1" * 5000, "digits")])
def test_notes_that_python_cannot_read(tmp_path, monkeypatch, text, said):
    monkeypatch.setattr(json, "dumps", lambda _: text)
    mg.save({"a": mg.zeros(1)}, tmp_path / "x.safetensors", 0)
    with pytest.raises(ValueError, match=f"^{tmp_path}/x.safetensors .*{said}"):
        metadata.read(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "recursion"),
        ("[" * 21 + "]" * 21, "more than 20 levels"),
        (r'{"a": ["\ud800"]}', "not Unicode"),
        ("1" * 5000, "digits"),
        ("{", "property name"),
    ],
)
def test_text_that_is_no_plain_json(text, said):
    with pytest.raises(ValueError, match=said):
        metadata.parse(text)
    assert metadata.parse('{"a": [1, "\u732b"]}') == {"a": [1, "\u732b"]}


def test_notes_as_they_were(tmp_path):
    note = {"€": [1, 2.5, None, True, "\n", {"": {}}], "deep": nested(metadata.MAX_DEPTH - 1)}
    mg.save({"a": mg.zeros(1)}, tmp_path / "x.safetensors", note)
    tensors, found = metadata.read(tmp_path / "x.safetensors")
    assert found == note
    assert list(tensors) == ["a"]
    mg.save({"a": mg.zeros(1)}, tmp_path / "x.safetensors", [1])
    assert metadata.read(tmp_path / "x.safetensors")[1] == {}


def test_whole_numbers_and_numbers():
    assert metadata.is_whole(0)
    assert not any(map(metadata.is_whole, (-1, 1.0, True, "1", None, [], math.nan)))
    assert metadata.is_whole(3, 3, 3)
    assert not metadata.is_whole(4, 3, 3)
    assert all(map(metadata.is_number, (0, -1.5, 3e38)))
    assert not any(
        map(metadata.is_number, (math.nan, math.inf, 1e39, 10**400, True, "1", None, []))
    )
    assert metadata.is_number(math.inf, 0, math.inf)
    assert not metadata.is_number(math.nan, -math.inf, math.inf)


def test_brief():
    assert metadata.brief({"a": 1}) == "{'a': 1}"
    assert metadata.brief("a\n b\x1b[2J") == "a b?[2J"
    assert len(metadata.brief("x" * 999)) == 120
