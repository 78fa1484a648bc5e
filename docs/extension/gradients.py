"""``{gradients}``: the formulas of every operation, typeset from its docstring."""

from __future__ import annotations

import html
import importlib
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

import minigrad.ops
from minigrad.explore.formula import formula
from minigrad.tape import Operation

from .sources import definitions, url


def operations() -> Iterator[tuple[Any, list[Operation]]]:
    """The modules of ``minigrad.ops``, each with the operations that it defines, in their order."""
    for found in pkgutil.iter_modules(minigrad.ops.__path__):
        module = importlib.import_module(f"minigrad.ops.{found.name}")
        own = [x for x in vars(module).values() if isinstance(x, Operation)]
        own = [x for x in dict.fromkeys(own) if x.__module__ == module.__name__]
        if own:
            yield module, own


def mathml(tree: Any) -> str:
    """A formula's tree as markup; every string is text."""
    if isinstance(tree, str):
        return html.escape(tree)
    name, *rest = tree
    attributes = ""
    if rest and isinstance(rest[0], dict):
        attributes = "".join(f' {key}="{html.escape(v)}"' for key, v in rest.pop(0).items())
    return f"<{name}{attributes}>{''.join(map(mathml, rest))}</{name}>"


def rows(lines: list[list[Any]]) -> str:
    return "".join(f"<div>{''.join(map(mathml, line))}</div>" for line in lines)


class Gradients(SphinxDirective):
    """One section for each file of ``minigrad/ops``, one row for each operation."""

    def run(self) -> list[nodes.Node]:
        found: list[nodes.Node] = []
        for module, own in operations():
            path = module.__name__.replace(".", "/") + ".py"
            title = re.split(r"[.:;(]", module.__doc__)[0].strip()
            section = nodes.section(ids=[module.__name__.replace(".", "-").replace("_", "-")])
            section += nodes.title(title, title)
            section += self.parse_text(f"{{source}}`{path}`")
            section += nodes.raw("", self._table(path, own), format="html")
            found.append(section)
        return found

    def parse_text(self, text: str) -> list[nodes.Node]:
        parent = nodes.Element()
        self.state.nested_parse(StringList([text], "gradients"), self.content_offset, parent)
        return parent.children

    def _table(self, path: str, own: list[Operation]) -> str:
        text = ""
        for op in own:
            doc = op.__doc__ or ""
            line = definitions(path).get(op.definition.__qualname__, 0)
            where = url(self.env, self.env.docname, path, line)
            forward, backward = formula(doc)
            text += (
                f'<div class="operation" id="op-{op.name}"><p><a href="{where}"><code>{op.name}'
                f'</code></a></p><div class="passes"><div>{rows(forward)}</div>'
                f"<div>{rows(backward)}</div></div></div>"
            )
        return text


def setup(app: Any) -> dict[str, Any]:
    app.add_directive("gradients", Gradients)
    return {"parallel_read_safe": True}
