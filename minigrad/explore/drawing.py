"""A recording as a small SVG, laid out by the dagre that the page has, too."""

from __future__ import annotations

import html
import json
from itertools import pairwise
from typing import Any

from ..console import dimensions, install
from .page import asset
from .record import Recording

_LAYOUT = """
globalThis.structuredClone ??= (value) => ({ ...value });
%s
((given) => {
  const g = new dagre.graphlib.Graph();
  g.setGraph({ rankdir: "LR", nodesep: 14, ranksep: 34, marginx: 8, marginy: 8 });
  g.setDefaultEdgeLabel(() => ({}));
  for (const [key, width, height] of given.nodes) g.setNode(key, { width, height });
  for (const [from, to] of given.edges) g.setEdge(from, to);
  dagre.layout(g);
  return JSON.stringify({
    size: [g.graph().width, g.graph().height],
    nodes: g.nodes().map((key) => [key, g.node(key).x, g.node(key).y]),
    edges: g.edges().map((e) => {
      const [a, b] = [g.node(e.v), g.node(e.w)];
      const between = g.edge(e).points.slice(1, -1).map(({ x, y }) => [x, y]);
      const [first, last] = [[a.x + a.width / 2, a.y], [b.x - b.width / 2, b.y]];
      const bends = between.length > 1 ? between.filter(([x]) => x > first[0] && x < last[0]) : [];
      return [first, ...bends, last];
    }),
  });
})(%s)
"""

_STYLE = (
    "text{font:12px system-ui,sans-serif;text-anchor:middle;fill:#1b1f23}"
    ".under{font-size:10.5px;fill:#575f67}"
    "rect{fill:#fff;stroke:#8a9097}.leaf{fill:#eef5f0;stroke:#2f6b43}"
    "path{fill:none;stroke:#8a9097;stroke-width:1.3}.tip{fill:#8a9097;stroke:none}"
    "@media(prefers-color-scheme:dark){text{fill:#e9ebed}.under{fill:#a6aeb6}"
    "rect{fill:#23282d;stroke:#6b7176}.leaf{fill:#1d2b22;stroke:#86cc9b}}"
)


def drawn(recording: Recording) -> str:
    """Boxes for operations and rounded ones for leaves, with names and shapes."""
    boxes, edges = _graph(recording)
    nodes = [[key, _width(lines), 38] for key, (lines, _) in boxes.items()]
    placed = _layout({"nodes": nodes, "edges": sorted(edges)})
    wide, tall = (round(size) for size in placed["size"])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {tall}" width="{wide}" '
        f'height="{tall}" role="img"><title>Graph of {len(recording.runs)} operations</title>'
        f"<style>{_STYLE}</style>"
    ]
    for points in placed["edges"]:
        parts.append(f'<path d="{_curve(points)}"/>')
        x, y = points[-1]
        parts.append(f'<path class="tip" d="M{x:.1f},{y:.1f}l-7,-3.5v7z"/>')
    for key, x, y in placed["nodes"]:
        lines, leaf = boxes[key]
        width = _width(lines)
        name, under = map(html.escape, lines)
        kind = ' class="leaf" rx="19"' if leaf else ' rx="6"'
        parts.append(
            f'<rect{kind} x="{x - width / 2:.1f}" y="{y - 19:.1f}" width="{width}" height="38"/>'
            f'<text x="{x:.1f}" y="{y - 3:.1f}">{name}</text>'
            f'<text class="under" x="{x:.1f}" y="{y + 11:.1f}">{under}</text>'
        )
    return "".join((*parts, "</svg>"))


def _graph(recording: Recording) -> tuple[dict[str, tuple[tuple[str, str], bool]], set[Any]]:
    boxes: dict[str, tuple[tuple[str, str], bool]] = {}
    edges = set()
    made = {run.result: f"r{i}" for i, run in enumerate(recording.runs)}
    for i, run in enumerate(recording.runs):
        name = recording.definitions[run.definition].name
        boxes[f"r{i}"] = ((name, dimensions(recording.values[run.result].shape)), False)
        for x in run.inputs:
            if isinstance(x, int):
                key = made.get(x, f"v{x}")
                if key not in boxes:
                    value = recording.values[x]
                    boxes[key] = ((value.name or value.kind, dimensions(value.shape)), True)
                edges.add((key, f"r{i}"))
    return boxes, edges


def _width(lines: tuple[str, str]) -> int:
    return max(52, 22 + max(round(len(lines[0]) * 7), round(len(lines[1]) * 6)))


def _layout(given: dict[str, Any]) -> Any:
    try:
        from py_mini_racer import MiniRacer
    except ImportError as error:
        raise ModuleNotFoundError(f"draw needs mini-racer; {install('explore')}") from error
    program = _LAYOUT % (asset("dagre.min.js"), json.dumps(given))
    return json.loads(str(MiniRacer().eval(program)))


def _curve(points: list[list[float]]) -> str:
    d = f"M{points[0][0]:.1f},{points[0][1]:.1f}"
    for (x0, y0), (x1, y1) in pairwise(points):
        middle = (x0 + x1) / 2
        d += f"C{middle:.1f},{y0:.1f} {middle:.1f},{y1:.1f} {x1:.1f},{y1:.1f}"
    return d
