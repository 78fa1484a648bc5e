"""Source files as pages with numbered lines, and links to them.

``{source}`minigrad/tensor.py:Tensor``` links to the line of a definition; a definition that is not
there is a warning, and so an error of the build. A link to a file or folder of the repository
outside ``docs/`` leads to its page, and every name of the reference to its definition.
"""

from __future__ import annotations

import ast
import functools
import html
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from posixpath import relpath
from typing import Any
from urllib.parse import unquote

from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_for_filename
from sphinx import addnodes
from sphinx.transforms import SphinxTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

ROOT = Path(__file__).parents[2]
SHOWN = (".py", ".cu", ".cuh", ".md", ".toml", "run", ".cpp")
LOG = logging.getLogger(__name__)


@functools.cache
def definitions(path: str) -> dict[str, int]:
    """The lines of the functions, classes, methods and constants of a Python file."""
    found: dict[str, int] = {}

    def visit(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                if any(ast.unparse(d) == "overload" for d in node.decorator_list):
                    continue
                found.setdefault(prefix + node.name, node.lineno)
                if isinstance(node, ast.ClassDef):
                    visit(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for target in targets:
                    if isinstance(target, ast.Name):
                        found.setdefault(prefix + target.id, node.lineno)

    visit(ast.parse((ROOT / path).read_text("utf-8")).body, "")
    return found


def line_of(target: str) -> int | None:
    """The line of ``path:name`` (0 for a path alone); None if there is no such definition."""
    path, _, name = target.partition(":")
    if not (ROOT / path).exists():
        return None
    return definitions(path).get(name) if name else 0


def url(env: Any, docname: str, path: str, line: int = 0) -> str:
    """Where the page of ``path`` is, seen from ``docname``; the page will be written."""
    _shown(env).add(path)
    page = f"source/{path}" + ("/index" if (ROOT / path).is_dir() else "")
    there = relpath(f"{page}.html", str(Path(docname).parent))
    return there + (f"#L-{line}" if line else "")


def _shown(env: Any) -> set[str]:
    if not hasattr(env, "shown_sources"):
        env.shown_sources = set()
    return env.shown_sources


class SourceRole(SphinxRole):
    """``{source}`path:name``` or ``{source}`text <path:name>```."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        shown, _, target = self.text.rpartition(" <")
        target = target.rstrip(">")
        line = line_of(target)
        if line is None:
            LOG.warning("no such definition: %s", target, location=self.get_location())
        path, _, name = target.partition(":")
        where = url(self.env, self.env.docname, path, line or 0)
        text = shown or name or path
        link = nodes.reference("", "", refuri=where, internal=True)
        link += nodes.literal(text, text)
        return [link], []


class Links(SphinxTransform):
    """Links to files of the repository that are not pages of the site."""

    default_priority = 5

    def apply(self, **kwargs: Any) -> None:
        here = Path(self.env.doc2path(self.env.docname)).parent
        for node in [*self.document.findall(addnodes.download_reference), *self._unknown()]:
            path = (here / unquote(node["reftarget"].partition("#")[0])).resolve()
            outside = path.is_relative_to(ROOT) and not path.is_relative_to(ROOT / "docs")
            if outside and (path.is_dir() or path.name.endswith(SHOWN)) and path.exists():
                where = self._where(path.relative_to(ROOT))
                link = nodes.reference("", "", *node.children, refuri=where, internal=True)
                node.replace_self(link)

    def _where(self, path: Path) -> str:
        here = self.env.docname
        if path.parent == Path("examples/lessons") and path.suffix == ".py":  # has a better page
            return relpath(f"lessons/{path.stem}.html", str(Path(here).parent))
        return url(self.env, here, path.as_posix())

    def _unknown(self) -> Iterator[addnodes.pending_xref]:
        found = self.document.findall(addnodes.pending_xref)
        return (node for node in found if node.get("reftype") == "myst")


def definition(module: str, fullname: str) -> tuple[str, int] | None:
    """The file and line where ``module.fullname`` is written, if that is in the repository."""
    found: Any = sys.modules.get(module)
    for part in fullname.split("."):
        found = inspect.getattr_static(found, part, None)
    found = getattr(found, "fget", None) or getattr(found, "__func__", found)
    home = sys.modules.get(getattr(found, "__module__", None) or "")
    file = Path(getattr(home, "__file__", None) or "/")
    name = getattr(found, "__qualname__", "")
    if not file.is_relative_to(ROOT) or not isinstance(name, str):
        return None
    path = file.relative_to(ROOT).as_posix()
    line = definitions(path).get(name)
    return (path, line) if line else None


def link_definitions(app: Any, doctree: nodes.document) -> None:
    """``[source]`` behind each name of the reference."""
    for node in doctree.findall(addnodes.desc_signature):
        found = definition(node.get("module") or "", node.get("fullname") or "")
        if found:
            link = nodes.reference("", "", refuri=url(app.env, app.env.docname, *found))
            link += nodes.inline("", "[source]", classes=["viewcode-link"])
            link["internal"] = True
            node += link


def pages(app: Any) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Every file that something links to, and the files of every folder."""
    wanted = set(_shown(app.env))
    for folder in sorted(path for path in wanted if (ROOT / path).is_dir()):
        inside = [p for p in sorted((ROOT / folder).iterdir()) if p.name.endswith(SHOWN)]
        files = [p for p in inside if p.is_file()]
        wanted |= {p.relative_to(ROOT).as_posix() for p in files}
        rows = "".join(f'<li><a href="{p.name}.html">{html.escape(p.name)}</a></li>' for p in files)
        yield _page(f"source/{folder}/index", folder, f"<ul>{rows}</ul>")
    for path in sorted(path for path in wanted if (ROOT / path).is_file()):
        text = (ROOT / path).read_text("utf-8")
        name = f"{path}.cpp" if path.endswith((".cu", ".cuh")) else path
        lexer = get_lexer_for_filename(name.replace("/run", "/run.sh"))
        look = HtmlFormatter(
            linenos="inline", lineanchors="L", anchorlinenos=True, wrapcode=True, nowrap=False
        )
        yield _page(f"source/{path}", path, highlight(text, lexer, look))


def _page(name: str, title: str, body: str) -> tuple[str, dict[str, Any], str]:
    heading = f'<h1><code class="docutils literal">{html.escape(title)}</code></h1>'
    return name, {"title": title, "body": heading + body}, "page.html"


_trees: dict[Any, Any] = {}


def share_tree(app: Any, pagename: str, templatename: str, context: dict[str, Any], _: Any) -> None:
    """The sidebar is the same beside all source files of one depth; making it takes the longest."""
    if not pagename.startswith("source/"):
        return
    make, depth = context["toctree"], pagename.count("/")

    def toctree(**options: Any) -> Any:
        key = (depth, *sorted(options.items()))
        if key not in _trees:
            _trees[key] = make(**options)
        return _trees[key]

    context["toctree"] = toctree


def merge(app: Any, env: Any, docnames: list[str], other: Any) -> None:
    """What another process of ``sphinx -j`` read."""
    _shown(env).update(_shown(other))


def setup(app: Any) -> dict[str, Any]:
    app.add_role("source", SourceRole())
    app.add_transform(Links)
    app.connect("doctree-read", link_definitions)
    app.connect("env-merge-info", merge)
    app.connect("html-collect-pages", pages)
    app.connect("html-page-context", share_tree, priority=400)  # before the theme's
    return {"parallel_read_safe": True}
