"""What a person reads: nothing steers a terminal, no stream is missed, no traceback ends it."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad import console

ROOT = Path(__file__).parents[1]
HOSTILE = "a\x1b[2J\x9b31m\u202eb\udcffc\x00\x07\r\nd\u2028e\xa0f"
PROGRAMS = {
    "command": ("-m", "cifar", "models", "simple"),
    "help": ("-m", "cifar", "--help"),
    "mistake": ("-m", "cifar", "trian"),
    "gradcheck": ("-m", "minigrad.gradcheck", "math:sin", "--shape", "1"),
    "example": ("examples/train_cnn.py", "--recipe", "nonesuch"),
}


def start(name, redirection="", **environment):
    """A program in a process of its own: its exit code, and what it wrote."""
    line = f'"$@" {redirection}'
    return subprocess.run(
        ["bash", "-c", line, "bash", sys.executable, *PROGRAMS[name]],
        cwd=ROOT, capture_output=True, encoding="utf-8", check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
    )  # fmt: skip


# ---------------------------------------------------------------------------- text


@given(st.binary() | st.text().map(str.encode), st.text("\ud800\udbff\udc7f\udfffé", max_size=2))
def test_names_of_files_are_text(name, halves):
    """Whatever bytes they are made of, and whether Python takes them for ASCII or UTF-8."""
    for encoding in "ascii", "utf-8":
        text = console.decoded(name.decode(encoding, "surrogateescape"))
        assert text == name.decode("utf-8", "replace")
        assert console.decoded(text) == text
    assert console.decoded(halves) == re.sub("[^é]", "\ufffd", halves)


@given(st.text() | st.just(HOSTILE), st.sampled_from(["", "\n", "\n\r\t"]))
def test_what_is_clean_steers_no_terminal(text, keep):
    found = console.clean(text, keep)
    assert all(c.isprintable() or c in keep for c in found)
    assert console.clean(found, keep) == found
    assert console.one_line(text).isprintable()


def test_what_is_readable_stays():
    for text in ("µ × 10⁻³ — ünï 猫 🐈 [/a b.png]", ""):
        assert console.clean(text) == text
    assert console.clean(HOSTILE) == "a?[2J?31m?b\ufffdc??  d e f"
    assert console.one_line("two\n\n lines\x1b") == "two lines?"


def test_complaints_are_one_line(capsys):
    assert console.complain(f"x:\n{HOSTILE}") == 2
    assert capsys.readouterr() == ("", "error: x: a?[2J?31m?b\ufffdc?? d e f\n")


def test_every_extra_that_is_named_exists():
    extras = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("dependencies]")[2]
    for name in ("fast", "gpu", "onnx", "torch"):
        assert f"\n{name} = [" in extras
    assert console.install("gpu") == "run pip install -e '.[gpu]' in the folder of the checkout"


def test_nobody_is_sent_to_another_project():
    """The minigrad of PyPI is someone else's. What README and docs say is in test_docs."""
    for folder in ("minigrad", "cifar", "examples", "benchmarks"):
        for file in (ROOT / folder).rglob("*.py"):
            text = file.read_text(encoding="utf-8")
            assert not re.search(r"minigrad\[\w", text), file
            assert ("pip install" in text) == (file.name == "console.py"), file


# ---------------------------------------------------------------------------- streams


def test_what_a_command_prints_is_cleaned_and_its_help_is_not(capsys):
    def parse():
        print("\x1b[1mhelp\x1b[0m")
        return HOSTILE

    def act(asked):
        print(asked)
        print(f"50%|█▌  |\r{asked}", file=sys.stderr)
        return 3

    assert console.run(parse, act) == 3
    out, err = capsys.readouterr()
    assert out == "\x1b[1mhelp\x1b[0m\na?[2J?31m?b\ufffdc??\r\nd e f\n"
    assert err == "50%|█▌  |\ra?[2J?31m?b\ufffdc??\r\nd e f\n"


class Mistake(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (Mistake("two\nlines\x1b"), 2, "error: two lines?\n"),
        (MemoryError(), 2, "error: out of memory\n"),
        (MemoryError("conv2d: 5 GiB"), 2, "error: out of memory (conv2d: 5 GiB)\n"),
        (PermissionError(13, "Permission denied", "/x"), 2, "error: /x: Permission denied\n"),
        (OSError("odd"), 2, "error: odd\n"),
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(), 141, ""),
    ],
)
def test_what_ends_a_command(capsys, error, code, text):
    def fail(_=None):
        raise error

    assert console.run(fail, lambda _: 0, (Mistake,)) == code
    assert console.run(lambda: 0, fail, (Mistake,)) == code
    assert capsys.readouterr() == ("", text * 2)


def test_what_is_no_mistake_of_the_user_is_passed_on():
    with pytest.raises(ZeroDivisionError):
        console.run(lambda: 1 // 0, lambda _: 0)
    with pytest.raises(SystemExit):
        console.run(sys.exit, lambda _: 0)


def test_a_warning_is_a_note(capsys):
    def act(_):
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("two\nlines", RuntimeWarning, stacklevel=1)
        return 0

    before = warnings.showwarning
    assert console.run(lambda: 0, act) == 0
    assert capsys.readouterr() == ("", "note: two lines\n")
    assert warnings.showwarning is before


@contextlib.contextmanager
def stream(path, **options):
    """A text stream to an open file or pipe, whose last flush may fail."""
    file = open(path, "w", encoding="utf-8", **options)  # noqa: SIM115
    yield file
    with contextlib.suppress(OSError):
        file.close()


@pytest.fixture
def broken_pipe():
    reader, writer = os.pipe()
    os.close(reader)
    with stream(writer) as file:
        yield file


def say(file, text="x" * 100_000):
    with contextlib.redirect_stdout(file):
        return console.run(lambda: text, lambda text: print(text) or 0)


def test_a_reader_who_has_seen_enough(broken_pipe, capsys):
    assert say(broken_pipe) == console.READER_GONE
    broken_pipe.flush()  # as Python does at the end of the process: nothing is left to fail
    assert capsys.readouterr().err == ""


def test_a_full_disk_behind_stdout(capsys):
    with stream("/dev/full") as file:
        assert say(file, "x") == 2
        file.flush()
    assert capsys.readouterr().err == "error: /dev/full: No space left on device\n"


def test_nobody_reads_stderr(broken_pipe, capsys):
    with contextlib.redirect_stderr(broken_pipe):
        code = console.run(lambda: 0, lambda _: print("x" * 10_000, file=sys.stderr) or 7)
        assert code == 7
        assert console.run(lambda: 1, lambda _: print("answer") or console.complain("y")) == 2
    broken_pipe.flush()
    assert capsys.readouterr().out == "answer\n"


def test_a_terminal_that_lacks_a_character():
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    assert say(file, "3 × 3 \udcff") == 0
    assert raw.getvalue() == b"3 ? 3 ?\n"


# ---------------------------------------------------------------------------- programs


@pytest.mark.parametrize(
    ("name", "closed", "code"),
    [
        ("command", ">&-", 0),
        ("help", "<&- >&-", 0),
        ("mistake", "2>&-", 2),
        ("gradcheck", ">&- 2>&-", 2),
        ("example", "<&- >&- 2>&-", 2),
    ],
)
def test_closed_streams(name, closed, code):
    done = start(name, closed)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


def test_the_locale_c():
    """Without the two mends of Python, which take its ASCII for UTF-8."""
    done = start("command", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert (done.returncode, done.stderr) == (0, "")
    assert "64 ? 28 ? 28" in done.stdout


def test_a_pipe_that_nobody_reads():
    done = start("help", "| (exec <&-; sleep 2); exit ${PIPESTATUS[0]}")
    assert (done.returncode, done.stderr) == (console.READER_GONE, "")


def test_a_file_does_not_get_the_number_of_a_closed_stream(tmp_path):
    """What a library writes to file 2 must not land in, say, a checkpoint."""
    code = (
        "import os, sys; from minigrad import console\n"
        "def act(path):\n"
        "    with open(path, 'w') as file:\n"
        "        os.write(2, b'stray'), os.write(1, b'stray')\n"
        "        file.write('mine')\n"
        "    return 0\n"
        "sys.exit(console.run(lambda: sys.argv[1], act))"
    )
    file = tmp_path / "x"
    line = '"$@" <&- >&- 2>&-'
    command = ["bash", "-c", line, "bash", sys.executable, "-c", code, str(file)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    assert subprocess.run(command, check=False, env=environment).returncode == 0
    assert file.read_text(encoding="utf-8") == "mine"


def test_tables_and_sizes():
    rows = [("name", "bytes"), ("a", console.byte_count(999)), ("longer", "1 KB")]
    assert console.aligned(rows, right=(1,)) == (
        "name    bytes\n─────────────\na       999 B\nlonger   1 KB"
    )
    counts = {0: "0 B", 1000: "1.0 KB", 99_940: "99.9 KB", 99_960: "100 KB", 2 * 10**12: "2000 GB"}
    assert {count: console.byte_count(count) for count in counts} == counts
    assert [console.dimensions(shape) for shape in ((), (2,), (3, 4))] == ["scalar", "2", "3×4"]
