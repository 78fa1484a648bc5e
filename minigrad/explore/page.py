"""A recording as one HTML page that needs no network and no other file.

dagre computes the layout of the graph: ``assets/dagre.min.js`` is version 3.1.3 of
``@dagrejs/dagre`` from npm, without its last line, which names a source map. All other files in
``assets`` are minigrad's. The scripts are joined in the order of :data:`SCRIPTS` and share one
scope.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from importlib.resources import files
from typing import Any

import numpy as np

from .formula import formula
from .pictures import Sample, histogram
from .record import Code, Recording

BUDGET = 5 << 20  # bytes of pictures, before they are written as text
ASSETS = files(__package__) / "assets"
SCRIPTS = ("data", "pictures", "layout", "graph", "replay", "details", "views", "main")
LIMIT = 32767  # of an int16; -32768 stands for what is not finite


def page(recording: Recording, title: str) -> str:
    """The page; ``title`` and all names in ``recording`` are escaped as text."""
    data, pictures = _Writer(recording).written(title)
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for harmful, harmless in (("<", "\\u003c"), ("\u2028", "\\u2028"), ("\u2029", "\\u2029")):
        text = text.replace(harmful, harmless)
    scripts = [asset("dagre.min.js"), _program()]
    allowed = " ".join(f"'sha256-{_hash(script)}'" for script in scripts)
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src {allowed}"
    return "\n".join(
        (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{html.escape(title)}</title>",
            f"<style>{asset('page.css')}</style>\n</head>\n<body>",
            asset("page.html"),
            f'<script type="application/json" id="data">{text}</script>',
            f'<script type="text/plain" id="pictures">{pictures}</script>',
            f"<!--\n{asset('dagre.LICENSE.txt')}-->",
            *(f"<script>{script}</script>" for script in scripts),
            "</body>\n</html>\n",
        )
    )


def asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def _program() -> str:
    parts = "\n".join(asset(f"{name}.js") for name in SCRIPTS)
    return f'(() => {{\n"use strict";\n{parts}\n}})();\n'


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


class _Writer:
    """Turns a recording into JSON, and its pictures into one run of int16 numbers."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.samples: list[dict[str, Any]] = []
        self.codes: list[dict[str, Any]] = []
        self._known: dict[int, int] = {}
        self._pieces: list[np.ndarray] = []
        self._length = 0
        self._share = self._share_of_maps()

    def _share_of_maps(self) -> float:
        """The fraction of the maps that fits the budget: 1 for a small step."""
        samples = {id(s): s for v in self.recording.values for s in (v.sample, v.gradient) if s}
        terms = (s for v in self.recording.values for t in v.terms for s in (t.sample, t.total))
        samples |= {id(s): s for s in terms if s}
        numbers = sum(s.maps.size for s in samples.values())
        return min(1.0, BUDGET / 2 / max(1, numbers))

    def written(self, title: str) -> tuple[dict[str, Any], str]:
        recording = self.recording
        data = {
            "title": title,
            "watched": recording.watched,
            "loss": recording.loss,
            "values": [self._value(v) for v in recording.values],
            "runs": [self._run(r) for r in recording.runs],
            "calls": [[c.name, c.kind, c.parent] for c in recording.calls],
            "steps": [[s.kind, s.run, s.kept, s.moving, s.leaves] for s in recording.steps],
            "definitions": [
                {
                    "name": d.name,
                    "arguments": d.arguments,
                    "code": self._code(d.code),
                    **formula(d.doc)._asdict(),
                }
                for d in recording.definitions
            ],
        }
        data |= {"samples": self.samples, "codes": self.codes}
        joined = np.concatenate(self._pieces) if self._pieces else np.zeros(0, np.int16)
        return _finite(data), base64.b64encode(joined.astype("<i2").tobytes()).decode()

    def _value(self, v: Any) -> dict[str, Any]:
        terms = [
            [t.operation, t.number, self._sample(t.sample), self._sample(t.total)] for t in v.terms
        ]
        return {
            "shape": v.shape,
            "dtype": v.dtype,
            "bytes": v.nbytes,
            "kind": v.kind,
            "name": v.name,
            "uses": v.uses,
            "sample": self._sample(v.sample),
            "gradient": self._sample(v.gradient),
            "terms": terms,
            "landed": v.landed,
        }

    def _run(self, r: Any) -> dict[str, Any]:
        kept = [
            [k.name, k.shape, k.dtype, k.nbytes, k.shared, self._sample(k.sample)] for k in r.kept
        ]
        return {
            "definition": r.definition,
            "inputs": r.inputs,
            "result": r.result,
            "call": r.module,
            "recorded": r.recorded,
            "params": r.params,
            "kept": kept,
            "code": self._code(r.implementation),
            "details": r.details,
            "seconds": r.seconds,
            "secondsBackward": r.seconds_backward,
        }

    def _code(self, code: Code | None) -> int:
        if code is None:
            return -1
        if id(code) not in self._known:
            self._known[id(code)] = len(self.codes)
            self.codes.append(
                {"name": code.name, "file": code.file, "line": code.line, "text": code.text}
            )
        return self._known[id(code)]

    def _sample(self, sample: Sample | None) -> int:
        """The number of a sample among those written; -1 for none."""
        if sample is None:
            return -1
        if id(sample) in self._known:
            return self._known[id(sample)]
        maps = sample.maps
        if self._share < 1 and len(maps) > 1:
            fewer = max(1, int(len(maps) * self._share))
            if sample.across:  # whole filters, or the first channels of the first
                fewer = max(sample.across, fewer // sample.across * sample.across)
            maps = maps[:fewer]
        counts, low, high = histogram(sample.values)
        finite = np.isfinite(maps)
        scale = float(np.abs(maps[finite]).max()) if finite.any() else 0.0
        numbers = np.full(maps.shape, -LIMIT - 1, np.int16)
        numbers[finite] = np.round(maps[finite] / (scale or 1.0) * LIMIT)
        self._known[id(sample)] = len(self.samples)
        self.samples.append(
            {
                "at": self._length,
                "size": maps.shape,
                "scale": scale,
                "step": sample.step,
                "across": sample.across,
                "norm": sample.norm,
                "counts": counts,
                "low": low,
                "high": high,
            }
        )
        self._pieces.append(numbers.ravel())
        self._length += maps.size
        return self._known[id(sample)]


def _finite(value: Any) -> Any:
    """``value`` with numbers that JSON lacks as text: "NaN", "inf"."""
    if isinstance(value, float) and not np.isfinite(value):
        return str(value) if value != value else "inf" if value > 0 else "-inf"
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return value
