"""The formulas in an operation's docstring as MathML.

The docstring is the only source. The part before the first ``dL/d`` is forward, the rest is
backward. Its lines are typeset as they are: letters, Greek, superscripts and subscripts of Unicode,
``x_c`` and ``x^c``, fractions with ``/``, roots with ``√``; words stay words.

A formula is a tree of lists: ``["mfrac", ["mi", "a"], ["mi", "b"]]``. The page makes elements of
it, and text of every string, so that a docstring cannot inject markup.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any, NamedTuple

Tree = list[Any]

FUNCTIONS = {
    *("ln", "log", "exp", "expm1", "max", "min", "sign", "softmax", "trunc", "Φ", "φ"),
    *(a + f + h for a in ("", "arc", "ar") for f in ("sin", "cos", "tan") for h in ("", "h")),
}
WORDS = {
    *("the", "in", "on", "with", "where", "else", "and", "or", "of", "at", "is", "so", "by", "for"),
    *("over", "each", "into", "its", "it", "no", "not", "also", "from", "to", "as", "their"),
}
BREAKS = set("=+−·≠≤≥<>,:;|→…")  # a fraction ends there
TIES = (BREAKS | set("/∈×")) - set(":;,")  # a word beside one of these is a name
OPEN, CLOSE = "([⌊⌈", ")]⌋⌉"
ACCENTS = {"\u0302": "^", "\u0304": "¯", "\u0303": "~"}

_TOKEN = re.compile(
    r"(?P<slope>d[Lℓv]/d(?: ln [a-z]|[^\W\d_]+)?)"
    r"|(?P<number>\d+(?:\.\d+)?)"
    r"|(?P<code>``[^`]*``)"
    r"|(?P<name>[^\W\d_]{2,}\d+\w*)"
    r"|(?P<word>[^\W\d_]+(?:[-'’][^\W\d_]+)+|[^\W\d_][\u0302-\u0304]?(?:[^\W\d_](?![\u0302-\u0304]))*)"
    r"|(?P<mark>\\\||.)"
)


_SLOPE = re.compile("d[Lℓ]/d")


class Formula(NamedTuple):
    """Lines of a docstring; each is a list of texts and trees."""

    forward: list[list[str | Tree]]
    backward: list[list[str | Tree]]


class _Token(NamedTuple):
    kind: str
    text: str
    spaced: bool  # whether a space stands before it


def formula(doc: str) -> Formula:
    """The formulas in ``doc`` of forward and of backward."""
    rows = _rows(doc)
    first = next((i for i, row in enumerate(rows) if _SLOPE.search(row)), len(rows))
    if first == 0 and rows and (slope := _SLOPE.search(rows[0])) and slope.start():
        before, after = rows[0][: slope.start()], rows[0][slope.start() :]
        rows[:1], first = [before.rstrip(" ,;"), after], 1
    typeset = [_parts(row) for row in rows]
    return Formula(typeset[:first], typeset[first:])


def _rows(doc: str) -> list[str]:
    """The lines to show: an indented block's by themselves, others joined; two spaces part them."""
    rows: list[str] = []
    for paragraph in re.split(r"\n\s*\n", doc.strip()):
        lines = paragraph.split("\n")
        indented = all(line.startswith("    ") for line in lines)
        text = "\n".join(lines) if indented else " ".join(line.rstrip() for line in lines)
        for row in re.split(r"(?<=[.,;:])  +|\n", text):
            row = row.strip().removesuffix("::").strip()
            rows += [row.rstrip(",;.").strip()] if row else []
    return [row for row in rows if row]


def _parts(row: str) -> list[str | Tree]:
    """``row`` cut into words and formulas."""
    tokens = _tokens(row)
    called = _arguments(tokens)
    prose = [i not in called and _is_prose(tokens, i) for i in range(len(tokens))]
    _settle_marks(tokens, prose)
    parts: list[str | Tree] = []
    start = 0
    for i in range(1, len(tokens) + 1):
        if i < len(tokens) and prose[i] == prose[start]:
            continue
        piece = tokens[start:i]
        if prose[start]:
            text = "".join(" " * t.spaced + t.text for t in piece)
            parts.append(text.replace("``", "").replace("\\|", "|"))
        else:
            lead = " " if piece[0].spaced and parts else ""
            if lead and isinstance(parts[-1], str):
                parts[-1] += lead
            parts.append(["math", *_Parser(piece).row()])
        start = i
    return parts


def _tokens(row: str) -> list[_Token]:
    tokens, spaced = [], False
    for match in _TOKEN.finditer(unicodedata.normalize("NFC", row)):
        kind, text = str(match.lastgroup).replace("name", "word"), match[0]
        if text.isspace():
            spaced = True
            continue
        script = _script(text) if kind == "word" and len(text) > 1 else ""
        if kind == "word" and any(_script(c) for c in text) and not script:
            tokens += _split_scripts(text, spaced)
        else:
            tokens.append(_Token(kind, text, spaced))
        spaced = False
    return tokens


def _split_scripts(text: str, spaced: bool) -> list[_Token]:
    """A letter and the Unicode superscripts and subscripts after it as tokens of their own."""
    tokens, plain = [], ""
    for c in text:
        if _script(c):
            if plain:
                tokens.append(_Token("word", plain, spaced))
                plain, spaced = "", False
            tokens.append(_Token("mark", c, False))
        else:
            plain += c
    return [*tokens, _Token("word", plain, spaced)] if plain else tokens


def _script(text: str) -> str:
    """ "super" or "sub" if ``text`` is one character that is, in Unicode; else ""."""
    shape = unicodedata.decomposition(text) if len(text) == 1 else ""
    return "super" if shape.startswith("<super>") else "sub" if shape.startswith("<sub>") else ""


def _arguments(tokens: list[_Token]) -> set[int]:
    """The tokens between the brackets of a function's call."""
    positions: set[int] = set()
    for i, token in enumerate(tokens[:-1]):
        if token.text in FUNCTIONS and tokens[i + 1].text == "(" and not tokens[i + 1].spaced:
            depth, k = 1, i + 2
            while k < len(tokens) and depth:
                positions.add(k)
                depth += (tokens[k].text in OPEN) - (tokens[k].text in CLOSE)
                k += 1
    return positions


def _is_prose(tokens: list[_Token], i: int) -> bool:
    token = tokens[i]
    if token.kind == "code":
        return True
    if token.kind != "word":
        return False
    word = token.text
    letters = re.sub("[\u0302-\u0304]", "", word)
    before = tokens[i - 1] if i else _Token("", "", False)
    after = tokens[i + 1] if i + 1 < len(tokens) else _Token("", "", False)
    if "'" in word or "’" in word or "-" in word or word in WORDS:
        return True
    if word in FUNCTIONS:
        return False
    if len(letters) == 1:
        article = word in "aA" and after.kind in ("word", "code") and len(after.text) > 2
        return article and after.text not in WORDS and before.text not in TIES
    if len(letters) == 2 and letters.isupper():
        return False
    inside = before.text in ("[", "_", "^") and not token.spaced
    called = after.text in ("(", "[") and not after.spaced
    return not (inside or called or before.text in TIES or after.text in TIES)


def _settle_marks(tokens: list[_Token], prose: list[bool]) -> None:
    """Brackets without their partner in the same formula, and commas and stops at its ends, belong
    to the words around it."""
    changed = True
    while changed:
        changed = False
        start = 0
        for i in range(1, len(tokens) + 1):
            if i < len(tokens) and prose[i] == prose[start]:
                continue
            if not prose[start]:
                inside = range(start, i)
                loose = _loose(tokens, inside)
                ends = {start} if tokens[start].text in ",;:." else set()
                ends |= {i - 1} if tokens[i - 1].text in ",;:.?" else set()
                for k in loose | ends:
                    prose[k] = changed = True
            start = i


def _loose(tokens: list[_Token], inside: range) -> set[int]:
    open_at: list[int] = []
    loose = set()
    for k in inside:
        if tokens[k].text in OPEN:
            open_at.append(k)
        elif tokens[k].text in CLOSE:
            if open_at:
                open_at.pop()
            else:
                loose.add(k)
    return loose | set(open_at)


class _Parser:
    """Formulas of the house: products by juxtaposition, fractions by a slash."""

    def __init__(self, tokens: list[_Token]) -> None:
        self.tokens, self.at = tokens, 0

    def _peek(self) -> _Token:
        return self.tokens[self.at] if self.at < len(self.tokens) else _Token("", "", False)

    def row(self, close: str = "") -> list[Tree]:
        """Everything up to ``close``."""
        trees: list[Tree] = []
        since = 0  # where the product began that a spaced slash divides
        while self.at < len(self.tokens) and not (close and self._peek().text == close):
            token = self._peek()
            if token.text == "/":
                self.at += 1
                tight = not token.spaced
                over = trees[-1:] if tight else trees[since:]
                del trees[len(trees) - len(over) :]
                under = [self._atom()] if tight else self._product(close)
                trees.append(["mfrac", _bare(_one(over)), _bare(_one(under))])
            else:
                trees.append(self._atom())
                if token.text in BREAKS:
                    since = len(trees)
        return trees

    def _product(self, close: str) -> list[Tree]:
        trees: list[Tree] = []
        while self.at < len(self.tokens):
            token = self._peek()
            if token.text in BREAKS or token.text == "/" or (close and token.text == close):
                break
            trees.append(self._atom())
        return trees or [["mrow"]]

    def _atom(self) -> Tree:
        if self.at >= len(self.tokens):
            return ["mrow"]
        token = self.tokens[self.at]
        self.at += 1
        return self._scripts(self._base(token))

    def _base(self, token: _Token) -> Tree:
        text = token.text
        if token.kind == "slope":
            above, _, below = text.partition("/d")
            of = [["mi", "ln"], ["mi", below[4:]]] if below.startswith(" ln ") else [["mi", below]]
            of[-1] = self._scripts(of[-1])
            d: Tree = ["mi", {"mathvariant": "normal"}, "d"]
            return ["mfrac", ["mrow", d, ["mi", above[1:]]], ["mrow", d, *of]]
        if token.kind == "number":
            return ["mn", text]
        if text in OPEN:
            close = CLOSE[OPEN.index(text)]
            inner = self.row(close)
            if self._peek().text == close:
                self.at += 1
                return ["mrow", ["mo", text], *inner, ["mo", close]]
            return ["mrow", ["mo", text], *inner]
        if text == "√":
            under = self._atom()
            return ["msqrt", _bare(under)]
        if text in ("|", "\\|"):
            return ["mo", {"stretchy": "false", "lspace": "0", "rspace": "0"}, "|"]
        if token.kind == "word":
            accent = text[1:2]
            if accent in ACCENTS:
                mark: Tree = ["mo", {"stretchy": "false"}, ACCENTS[accent]]
                return ["mover", {"accent": "true"}, ["mi", text[0]], mark]
            return ["mi", text] if len(text) == 1 else ["mi", {"mathvariant": "normal"}, text]
        return ["mo", text]

    def _scripts(self, base: Tree) -> Tree:
        """``base`` with the subscripts and superscripts that follow it."""
        sub: list[Tree] = []
        sup: list[Tree] = []
        while self.at < len(self.tokens):
            token = self._peek()
            kind = _script(token.text)
            if kind:
                self.at += 1
                plain = unicodedata.normalize("NFKC", token.text)
                plain = "−" if plain in "-−" else plain
                leaf = "mn" if plain.isdigit() else "mi" if plain.isalpha() else "mo"
                (sup if kind == "super" else sub).append([leaf, plain])
            elif token.text in "_^" and not token.spaced and self.at + 1 < len(self.tokens):
                self.at += 1
                into = sub if token.text == "_" else sup
                inner = self.tokens[self.at]
                self.at += 1
                into.append(_bare(self._base(inner)))
            else:
                break
        if sub and sup:
            return ["msubsup", base, _one(sub), _one(sup)]
        if sub:
            return ["msub", base, _one(sub)]
        return ["msup", base, _one(sup)] if sup else base


def _one(nodes: list[Tree]) -> Tree:
    return nodes[0] if len(nodes) == 1 else ["mrow", *nodes]


def _bare(node: Tree) -> Tree:
    """``node`` without the brackets that a bar, a root or a raised line makes needless."""
    bracketed = node[0] == "mrow" and node[1:2] == [["mo", "("]] and node[-1] == ["mo", ")"]
    return _one(node[2:-1]) if bracketed else node
