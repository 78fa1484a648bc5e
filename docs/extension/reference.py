"""The reference: a page for each public module, and a count of what is missing.

The public names are those of ``__all__``, from ``minigrad`` down. Each object is described once,
on the page of its home; a page that has it under another name links there. The build warns of
every public name, and every public method, that is not in the index or has no docstring.
"""

from __future__ import annotations

import importlib
import inspect
import types
from pathlib import Path
from typing import Any

from sphinx.util import logging

import minigrad
from minigrad.tape import Operation

LOG = logging.getLogger(__name__)
# Of two modules that export an object, the one that stands first is its home.
HOMES = ("minigrad.functional", "minigrad.optim.lr_scheduler", "minigrad.data", "minigrad")
ALSO = ("minigrad.events", "minigrad.testing")  # not in minigrad.__all__


def modules() -> dict[str, types.ModuleType]:
    """The public modules by name, homes first."""
    found: dict[str, types.ModuleType] = {}

    def visit(module: types.ModuleType) -> None:
        found[module.__name__] = module
        for name in exported(module):
            inner = getattr(module, name)
            if isinstance(inner, types.ModuleType) and inner.__name__ not in found:
                visit(inner)

    visit(minigrad)
    found.update((name, importlib.import_module(name)) for name in ALSO)
    order = {name: i for i, name in enumerate(HOMES)}
    return dict(sorted(found.items(), key=lambda item: (order.get(item[0], len(order)), item[0])))


def exported(module: types.ModuleType) -> list[str]:
    """``__all__``, or without one what the module itself defines."""
    own = [name for name, x in vars(module).items() if _home(x) == module.__name__]
    return list(getattr(module, "__all__", [name for name in own if not name.startswith("_")]))


def names(module: types.ModuleType) -> dict[str, Any]:
    """The public names of ``module`` that are not modules."""
    found = {name: getattr(module, name) for name in exported(module)}
    return {name: x for name, x in found.items() if not isinstance(x, types.ModuleType)}


def _home(x: Any) -> str:
    return getattr(x, "__module__", None) or type(x).__module__


def kind(x: Any) -> str:
    """NumPy's own, a class, a function, or another value: the last are told by name."""
    if _home(x).partition(".")[0] == "numpy":
        return "NumPy"
    if isinstance(x, type):
        return "Classes"
    return "Functions" if inspect.isroutine(x) or isinstance(x, Operation) else "Values"


def homes() -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """What each module describes, and the alias of every other public name."""
    described: dict[str, dict[str, Any]] = {}
    alias: dict[str, str] = {}
    first: dict[int, str] = {}
    for place, module in modules().items():
        described[place] = {}
        for name, x in names(module).items():
            full = f"{place}.{name}"
            own = kind(x) in ("NumPy", "Values")  # two names may stand for equal values
            home = full if own else first.setdefault(id(x), full)
            if home == full:
                described[place][name] = x
            else:
                alias[full] = home
    return described, alias


def members(cls: type) -> dict[str, Any]:
    """The public methods and properties that ``cls`` itself defines."""
    return {
        name: x
        for name, x in vars(cls).items()
        if not name.startswith("_")
        and (callable(x) or isinstance(x, property | classmethod | staticmethod))
    }


def overridden(cls: type, name: str, described: dict[int, str]) -> str | None:
    """Where the docstring is that a method without one takes over from a base class."""
    for base in cls.__mro__[1:]:
        if getattr(vars(base).get(name), "__doc__", None) and id(base) in described:
            return f"{described[id(base)]}.{name}"
    return None


def page(place: str, described: dict[str, Any], alias: dict[str, str]) -> str:
    """The page of the module ``place`` as reStructuredText."""
    rows = [place, "=" * len(place), "", f".. automodule:: {place}", "   :no-members:", ""]
    kinds: dict[str, list[str]] = {"Classes": [], "Functions": [], "Values": [], "NumPy": []}
    for name, x in sorted(described.items(), key=lambda item: item[0].lower()):
        lines = {
            "Classes": [f".. autoclass:: {place}.{name}", "   :members:"],
            "Functions": [f".. autofunction:: {place}.{name}"],
            "Values": [f".. autodata:: {place}.{name}"],
            "NumPy": [f".. py:data:: {name}", "", f"   NumPy's ``{getattr(x, '__name__', x)}``."],
        }[kind(x)]
        lines += ["   :inherited-members: object"] if name == "Tensor" else []
        kinds[kind(x)] += [*lines, ""]
    for title, lines in kinds.items():
        title = {"NumPy": "NumPy's own"}.get(title, title)
        rows += [title, "-" * len(title), "", *lines] if lines else []
    here = {name: home for name, home in alias.items() if name.rpartition(".")[0] == place}
    if here:
        rows += ["Described elsewhere", "-------------------", ""]
        rows += [", ".join(f":py:obj:`{n.rpartition('.')[2]} <{h}>`" for n, h in here.items()), ""]
    return "\n".join(rows)


def write(app: Any) -> None:
    """The pages, written only where they changed, so that Sphinx does not read them again."""
    folder = Path(app.srcdir) / "api"
    folder.mkdir(exist_ok=True)
    described, alias = homes()
    for old in folder.glob("*.rst"):
        if old.stem not in described:
            old.unlink()
    for place, own in described.items():
        path, text = folder / f"{place}.rst", page(place, own, alias)
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


def public() -> tuple[list[str], dict[str, str], list[str]]:
    """Every public name; those that are described under another; those without a docstring."""
    described, alias = homes()
    classes = {id(x): f"{p}.{n}" for p, own in described.items() for n, x in own.items()}
    wanted: list[str] = []
    bare: list[str] = []
    for place, module in modules().items():
        for name, x in names(module).items():
            full = f"{place}.{name}"
            wanted.append(full)
            if kind(x) in ("Classes", "Functions") and not x.__doc__:
                bare.append(full)
            if kind(x) != "Classes" or name not in described[place]:
                continue
            for inner, method in members(x).items():
                wanted.append(f"{full}.{inner}")
                if method.__doc__:
                    continue
                if home := overridden(x, inner, classes):
                    alias[f"{full}.{inner}"] = home
                else:
                    bare.append(f"{full}.{inner}")
    return wanted, alias, bare


def index(app: Any, env: Any) -> None:
    """Aliases into the index, and a warning for each public name that is not there."""
    objects = env.domains.python_domain.objects
    wanted, alias, bare = public()
    for name, home in alias.items():
        if home in objects:
            objects.setdefault(name, objects[home]._replace(aliased=True))
    missing = [name for name in wanted if name not in objects]
    for name in sorted({*missing, *bare}):
        LOG.warning("public, but not described: %s", name)
    LOG.info("%d public names, %d not described", len(wanted), len({*missing, *bare}))


def setup(app: Any) -> dict[str, Any]:
    app.connect("builder-inited", write)
    app.connect("env-updated", index)
    return {"parallel_read_safe": True}
