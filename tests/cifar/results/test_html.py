"""Pages in one file: text stays text, and pictures are within."""

from __future__ import annotations

import base64
from xml.etree import ElementTree

from cifar.results import html


def test_a_document_is_well_formed(tmp_path):
    file = tmp_path / "x.png"
    file.write_bytes(b"bytes")
    name = "<b>&\x00"
    body = [html.table((name, "n"), [(name, 1000)]), html.picture(file, name), html.text(name)]
    page = html.document(name, body).removeprefix("<!DOCTYPE html>\n")
    tree = ElementTree.fromstring(page)
    assert tree.find("head/title").text.startswith("<b>&")
    assert [cell.text for cell in tree.iter("td")][1] == "1,000"
    (image,) = tree.iter("img")
    assert base64.b64decode(image.get("src").partition(",")[2]) == b"bytes"


def test_a_picture_is_drawn_into_the_page():
    made = html.drawn("words", lambda path: path.write_bytes(b"drawn"))
    assert base64.b64encode(b"drawn").decode() in made
    assert "<figcaption>words</figcaption>" in made
