"""What is shown of a search: a table, a page in one file, figures as JSON."""

from __future__ import annotations

import json
from xml.etree import ElementTree

from cifar.errors import UserError
from cifar.search import show
from cifar.search.live import ranked
from tests.cifar.search.conftest import opened
from tests.common import refuses


def test_a_page_is_one_file(study, tmp_path):
    shown = show.show(study, tmp_path)
    assert shown.best.number == ranked(study.all())[0].number
    files = {"index.html", "history.png", "parallel.png", "trials.json", "best.py"}
    assert files <= {file.name for file in tmp_path.iterdir()}
    text = (tmp_path / "index.html").read_text()
    page = ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>\n"))
    assert all(one.get("src").startswith("data:") for one in page.iter("img"))
    assert len([*page.iter("img")]) >= 2
    assert not [*page.iter("script"), *page.iter("link")]
    assert f"Best: trial {shown.best.number}, {shown.best.value:.2%}" in text
    found = json.loads((tmp_path / "trials.json").read_text())
    assert [one["number"] for one in found["trials"]] == [0, 1, 2, 3]
    assert found["trials"][shown.best.number]["value"] == shown.best.value


def test_rows_begin_with_the_best(study):
    rows = show.rows(study)
    assert [row[0] for row in rows][: len(ranked(study.all()))] == [
        str(one.number) for one in ranked(study.all())
    ]
    assert {len(row) for row in rows} == {len(show.header(study))}


def test_a_study_without_a_trial_that_ended(asked, tmp_path):
    shown = show.show(opened(asked), tmp_path / "page")
    assert shown.best is None
    assert {file.name for file in shown.out.iterdir()} == {"index.html", "trials.json"}


def test_where_a_study_is(done, tmp_path):
    for place in (done.out, done.place_of_storage):
        assert show.find(place).plan.name == "tiny"
    refuses(UserError, "study: expected a search's folder", lambda: show.find(str(tmp_path)))
    refuses(UserError, "study: expected one of tiny", lambda: show.find(done.out, "other"))
    (tmp_path / "empty").touch()
    refuses(UserError, "study: there is no study", lambda: show.find(str(tmp_path / "empty")))
