"""Parts of HTML pages in a single file, with embedded pictures and without scripts."""

from __future__ import annotations

import base64
import html
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import minigrad as mg
from cifar.results import tables

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fff; --line: #ddd; --soft: #f5f6f8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #16181c; --line: #3a3f47;
  --soft: #1f2329; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 72rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin-top: 2.5rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; }
th, td { padding: .35rem .55rem; border-bottom: 1px solid var(--line); text-align: right;
  white-space: nowrap; }
th { background: var(--soft); vertical-align: bottom; white-space: normal; }
th.text, td.text { text-align: left; }
td.text { white-space: normal; min-width: 5.5rem; }
figure { margin: 1.5rem 0; overflow-x: auto; } figcaption { font-size: .95rem; max-width: 50rem;
  position: sticky; left: 0; }
p, dl { max-width: 50rem; } dt { font-weight: 600; } dd { margin: 0 0 .4rem 1rem; }
img { width: 100%; min-width: 34rem; height: auto; background: #fff; border-radius: .4rem; }
pre { background: var(--soft); padding: .7rem; border-radius: .4rem; overflow-x: auto; }
summary { cursor: pointer; }
"""


def document(title: str, body: Sequence[str]) -> str:
    """A page, also well-formed as XML, from a title in plain text and parts in HTML."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8"/>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>\n'
        f"<title>{text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def table(header: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """A table; columns without letters are aligned to the right."""
    texts = [[tables.cell(value) for value in line] for line in lines]
    kinds = [
        ' class="text"' if tables.is_text(column) else "" for column in zip(*texts, strict=True)
    ]

    def row(tag: str, values: Iterable[str]) -> str:
        cells = (f"<{tag}{k}>{text(v)}</{tag}>" for k, v in zip(kinds, values, strict=True))
        return f"<tr>{''.join(cells)}</tr>"

    body = "\n".join(row("td", line) for line in texts)
    return (
        f'<div class="wide" tabindex="0"><table>\n<thead>{row("th", header)}</thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def drawn(words: str, draw: Callable[[Path], None], widest: str = "none") -> str:
    """The picture that ``draw(path)`` writes; see :func:`picture`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.png"
        draw(path)
        return picture(path, words, widest)


def picture(path: Path, words: str | None = None, widest: str = "none") -> str:
    """The embedded picture with its caption, at most ``widest`` wide (a CSS length)."""
    caption = text(words or f"{path.stem} ({path.parent.name})")
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return (
        f'<figure tabindex="0"><img style="max-width: {widest}" alt="{caption}" '
        f'src="data:image/png;base64,{data}"/>'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def terms(meanings: Mapping[str, str]) -> str:
    """A list of terms with their descriptions."""
    pairs = (f"<dt>{text(k)}</dt><dd>{text(v)}</dd>" for k, v in meanings.items())
    return f"<dl>{''.join(pairs)}</dl>"


def text(value: object) -> str:
    """``text`` escaped for HTML, without characters that XML forbids."""
    return html.escape(mg.console.clean(value, keep="\n"))
