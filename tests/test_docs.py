"""What the README and docs tell a reader to type is understood."""

from __future__ import annotations

import ast
import dataclasses
import doctest
import importlib
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from cifar import cli, datasets
from tests.cifar import tiny

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PLACEHOLDERS = {"SEED": "0", "RECIPE": "simple"}


def commands(text):
    """Every command of the ``sh`` blocks of ``text`` as words, without variables in front."""
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", "").splitlines():
            for part in line.split("&&"):
                words = [PLACEHOLDERS.get(w, w) for w in shlex.split(part, comments=True)]
                while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
                    words.pop(0)
                if words:
                    yield words


COMMANDS = [(page.name, words) for page in PAGES for words in commands(page.read_text("utf-8"))]


def of(*program):
    return [
        pytest.param(words[len(program) :], id=f"{page}: {shlex.join(words)}")
        for page, words in COMMANDS
        if words[: len(program)] == [*program]
    ]


@pytest.mark.parametrize("arguments", of("cifar"))
def test_cifar_understands(arguments):
    cli.parse(arguments)


@pytest.mark.parametrize("arguments", of("python", "-m"))
def test_modules_are_there(arguments):
    module = arguments[0]
    if module not in ("venv", "pytest", "sphinx"):
        path = ROOT.joinpath(*module.split("."))
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists()


@pytest.mark.parametrize("arguments", of("python"))
def test_scripts_are_there(arguments):
    assert arguments[0] == "-m" or (ROOT / arguments[0]).exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_installs_are_editable_and_of_extras_that_exist(page):
    """An edit or a new recipe is seen at once; the name minigrad on PyPI is somebody else's."""
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    text = page.read_text("utf-8")
    for arguments in re.findall(r"pip install ([^`\n&]*)", text):
        extra = re.fullmatch(r"-e '\.\[(\S+)\]'", arguments.strip())
        assert extra, f"pip install {arguments}"
        for name in extra[1].split(","):
            assert re.search(rf"^{name} = \[", project, re.MULTILINE), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


def test_the_readmes_example_learns(monkeypatch, capsys):
    few = tiny.load("synthetic", "train")
    often = np.arange(201 * 64) % len(few)
    many = dataclasses.replace(few, images=few.images[often], labels=few.labels[often])
    monkeypatch.setattr(datasets, "load", lambda *_: many)
    (example,) = re.findall(r"```python\n(.*?)```", PAGES[0].read_text("utf-8"), re.DOTALL)
    mg.manual_seed(0)
    exec(compile(example, "README.md", "exec"), {})
    losses = [float(line.split()[-1]) for line in capsys.readouterr().out.splitlines()]
    assert len(losses) == 5
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize("page", ["start", "layout"])
def test_the_programs_of_a_page_run(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / f"{page}.md").read_text("utf-8")
    space = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(block, page, "exec"), space)
    shown = capsys.readouterr().out
    assert {"start": "[2., 4., 6.]", "layout": "(64, 16, 30, 30)\n4\n"}[page] in shown


DOCTESTS = [
    path
    for package in ("minigrad", "cifar")
    for path in sorted((ROOT / package).rglob("*.py"))
    if ">>> " in path.read_text("utf-8")
]


@pytest.mark.parametrize("path", DOCTESTS, ids=lambda path: path.stem)
def test_docstrings_show_what_happens(path):
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    ran = doctest.testmod(importlib.import_module(name))
    assert ran.attempted
    assert not ran.failed


def test_definitions_that_the_pages_point_at_are_there():
    """The build of the site looks up their lines."""
    targets = {
        target.rpartition("<")[2].rstrip(">")
        for page in PAGES
        for target in re.findall(r"\{source\}`([^`]+)`", page.read_text("utf-8"))
    }
    assert len(targets) > 30
    for target in targets:
        path, _, name = target.partition(":")
        tree = ast.parse((ROOT / path).read_text("utf-8"))
        for part in name.split("."):
            found = [x for x in tree.body if getattr(x, "name", None) == part]
            assert found, target
            tree = found[-1]


def test_public_names_have_docstrings(monkeypatch):
    """The build of the site counts them in its index, too."""
    pytest.importorskip("sphinx")
    monkeypatch.syspath_prepend(ROOT / "docs")
    reference = importlib.import_module("extension.reference")
    wanted, _, bare = reference.public()
    assert len(wanted) > 900
    assert bare == []


def test_promises_name_tests_that_exist():
    """``test_file``: ``name``, ``start_of_name_…`` in the last column of docs/promises.md."""
    tests = {
        path.relative_to(ROOT).as_posix(): re.findall(
            r"^ *def test_(\w+)", path.read_text("utf-8"), re.M
        )
        for path in (ROOT / "tests").rglob("*.py")
    }
    rows = re.findall(r" \| ([^|]*) \|$", (ROOT / "docs/promises.md").read_text("utf-8"), re.M)
    checked = 0
    for file, names in re.findall(r"`((?:\w+/)*\w+)`: ((?:`[^`]+`(?:, )?)+)", "\n".join(rows)):
        found = [
            n for path, ns in tests.items() if f"{file}." in path or f"{file}/" in path for n in ns
        ]
        assert found, file
        for name in re.findall("`([^`]+)`", names):
            assert any(re.fullmatch(name.replace("…", r"\w+"), n) for n in found), (file, name)
            checked += 1
    assert checked > 100


def test_commands_are_found():
    assert len(of("cifar")) > 15
    assert len(of("python", "-m")) > 5
