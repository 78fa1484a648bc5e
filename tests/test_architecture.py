"""The shape of the house: who imports whom, one door to CuPy, public names only, a test per file.

Each rule is a function of a source tree that returns the violations it finds, so that the rules
themselves can be tried on small trees that break them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# What registers implementations of operations: imported by minigrad.implementations alone, and
# tested by tests/ops/test_implementations.py.
IMPLEMENTATIONS = tuple(
    re.findall("^import (.*)$", (ROOT / "minigrad/implementations.py").read_text("utf-8"), re.M)
)

# Where definitions are.
RULES = ("adagrad", "adam", "adam_variants", "muon", "rmsprop", "sgd")
DEFINITIONS = ("minigrad.ops.", *(f"minigrad.optim.{rule}" for rule in RULES))

# A file imports only from layers above its own. A package is one layer, whose files may import
# each other unless that makes a circle.
LAYERS = (
    ("minigrad.console", "minigrad.dtypes", "minigrad.hooks", "minigrad.quiet"),
    ("minigrad.layout", "minigrad.cpu", "minigrad.cpu.blas", "minigrad.cpu.compiled"),
    ("minigrad.cpu.threads",),
    ("minigrad.device",),
    ("minigrad.kept",),
    ("minigrad.memory", "minigrad.special", "minigrad.writes"),
    ("minigrad.cpu.helper",),
    ("minigrad.sums", "minigrad.cpu.kernels"),
    ("minigrad.cpu.copy", "minigrad.cpu.draws"),
    ("minigrad.cpu.elementwise",),
    ("minigrad.cpu.along",),
    ("minigrad.gpu", "minigrad.gpu.capture", "minigrad.gpu.precision"),
    ("minigrad.gpu.launch", "minigrad.gpu.elementwise"),
    ("minigrad.gpu.implicit_gemm", "minigrad.cpu.conv_winograd"),
    ("minigrad.dispatch", "minigrad.events"),
    ("minigrad.tape",),
    ("minigrad.check",),
    ("minigrad.options",),
    ("minigrad.tensor",),
    ("minigrad.creation",),
    ("minigrad.rng",),
    ("minigrad.ops",),
    ("minigrad.gradients",),
    ("minigrad.functional",),
    ("minigrad.distributed",),
    ("minigrad.nn",),
    ("minigrad.optim",),
    (
        "minigrad.anomaly",
        "minigrad.data",
        "minigrad.checkpoint",
        "minigrad.gradcheck",
        "minigrad.gpu.cuda_graph",
    ),
    (
        "minigrad.onnx",
        "minigrad.autograd",
        "minigrad.explore",
        "minigrad.precompile",
        "minigrad.testing",
        "minigrad.utils",
    ),
    ("minigrad.onnx", "minigrad.autograd", "minigrad.explore"),
    ("minigrad.cpu.conv_direct", "minigrad.cpu.conv_columns", "minigrad.cpu.matrices"),
    ("minigrad.cpu.conv_shifted", "minigrad.cpu.conv_rows", "minigrad.cpu.planes"),
    ("minigrad.cpu.conv_pixels", "minigrad.cpu.conv_dense"),
    IMPLEMENTATIONS,
    ("minigrad.implementations",),
    ("minigrad",),
    ("cifar",),
    ("cifar.errors", "cifar.metadata", "cifar.progress_bar"),
    ("cifar.device", "cifar.environment", "cifar.own_code", "cifar.process"),
    ("cifar.datasets",),
    ("cifar.models", "cifar.recipes"),
    ("cifar.summary",),
    ("cifar.results",),
    ("cifar.training",),
    ("cifar.twins", "cifar.search"),
    ("cifar.cli",),
    ("cifar.__main__",),
    ("examples", "benchmarks"),
)
CUPY_DOOR = "minigrad.device"
REFERENCE = "cifar.twins.reference"
TORCH_FILES = "minigrad.checkpoint.pt_file"
USERS = ("cifar", "examples", "benchmarks")  # of minigrad's public names
LESSONS = "examples.lessons."  # which show the inside
TESTED = ("minigrad", "cifar", "examples")
TESTED_TOGETHER = (
    "minigrad.autograd",
    "minigrad.gradients",
    "minigrad.tape",
    "minigrad.onnx.rules",
    "cifar.models",
    "cifar.recipes.studies",
    "cifar.twins.reference",
    "minigrad.optim.lr_scheduler",
)  # one test file for the whole package
MAX_LINES = 500


class Source:
    """The parsed files of a tree by module name."""

    def __init__(self, root: Path) -> None:
        self.trees: dict[str, ast.Module] = {}
        self.packages: set[str] = set()
        for top in ("minigrad", *USERS):
            for file in sorted((root / top).rglob("*.py")):
                parts = file.relative_to(root).with_suffix("").parts
                if parts[-1] == "__init__":
                    parts = parts[:-1]
                    self.packages.add(".".join(parts))
                self.trees[".".join(parts)] = ast.parse(file.read_text(), str(file))

    def imports(self, module: str) -> Iterator[tuple[ast.stmt, str, str, str]]:
        """(statement, dotted origin, name or "", local alias) of every import, nested ones too."""
        for node in ast.walk(self.trees[module]):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    local = alias.asname or alias.name.partition(".")[0]
                    yield node, alias.name, "", local
            elif isinstance(node, ast.ImportFrom):
                origin = node.module or ""
                if node.level:
                    home = module.split(".")
                    up = node.level - (module in self.packages)
                    home = home[: len(home) - up]
                    origin = ".".join([*home, origin] if origin else home)
                for alias in node.names:
                    yield node, origin, alias.name, alias.asname or alias.name

    def imported_modules(self, module: str) -> set[str]:
        """Modules of this tree that ``module`` imports."""
        found = set()
        for _, origin, name, _ in self.imports(module):
            inner = f"{origin}.{name}"
            found.add(inner if inner in self.trees else origin)
        return {m for m in found if m in self.trees}

    def public(self, module: str) -> set[str]:
        """``__all__``, or else what the module itself defines without a leading underscore."""
        defined = set()
        for node in self.trees[module].body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                defined.add(node.name)
            for target in getattr(node, "targets", [getattr(node, "target", None)]):
                if isinstance(target, ast.Name):
                    defined.add(target.id)
                    if target.id == "__all__":
                        return {"__version__", *ast.literal_eval(node.value)}
        return {name for name in defined if not name.startswith("_")} | {"__version__"}


def dotted(node: ast.expr) -> list[str]:
    """The names of ``a.b.c``; for what hangs on anything but a name, one empty name."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return [node.id, *reversed(names)] if isinstance(node, ast.Name) else [""]


def layer_of(module: str) -> tuple[int, str] | None:
    """Number and name of the layer with the longest name that holds ``module``."""
    held = [
        (len(name), number, name)
        for number, names in enumerate(LAYERS)
        for name in names
        if module == name or (module.startswith(f"{name}.") and name not in ("minigrad", "cifar"))
    ]
    return max(held)[1:] if held else None


def arrows_back(source: Source) -> list[str]:
    found, inside = [], {}
    for module in source.trees:
        here = layer_of(module)
        if here is None:
            found.append(f"{module} stands in no layer: add it to LAYERS")
            continue
        for other in source.imported_modules(module):
            there = layer_of(other)
            if there == here:
                inside.setdefault(module, set()).add(other)
            elif there is not None and there[0] >= here[0]:
                found.append(f"{module} imports {other}, which does not stand before it")
    return found + circles(inside)


def circles(graph: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle, by taking away those that import none left."""
    left = {module: set(others) for module, others in graph.items()}
    while free := set().union(*left.values(), left) - {m for m, others in left.items() if others}:
        left = {m: others - free for m, others in left.items() if m not in free}
    return [f"{', '.join(sorted(left))} import each other in a circle"] if left else []


def definitions_that_know(source: Source) -> list[str]:
    """Imports of the CPU's and the GPU's ways by definitions."""
    return [
        f"{module} imports {origin}.{name}; a definition does not know how it is made fast"
        for module in source.trees
        if module.startswith(DEFINITIONS)
        for _, origin, name, _ in source.imports(module)
        if f"{origin}.{name}.".startswith(("minigrad.cpu.", "minigrad.gpu."))
    ]


def second_doors_to_cupy(source: Source) -> list[str]:
    found = []
    for module, tree in source.trees.items():
        origins = [origin for _, origin, _, _ in source.imports(module)]
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
                ("import_module", "__import__", "find_spec")
            ):
                origins += [a.value for a in node.args if isinstance(a, ast.Constant)]
        if module != CUPY_DOOR and any(str(o).partition(".")[0] == "cupy" for o in origins):
            found.append(f"{module} imports cupy; only {CUPY_DOOR} may")
    return found


def torch_out_of_place(source: Source) -> list[str]:
    """What the engine and the studies import of PyTorch, and the reference of the engine."""
    found = []
    for module in source.trees:
        tops = {origin.partition(".")[0] for _, origin, _, _ in source.imports(module)}
        twin = module.startswith(f"{REFERENCE}.")
        user = not module.startswith(REFERENCE) and module != TORCH_FILES
        if "torch" in tops and user and module.startswith(("minigrad", "cifar")):
            found.append(f"{module} imports torch; only {REFERENCE} and {TORCH_FILES} may")
        if twin and tops & {"minigrad", "numpy"}:
            found.append(f"{module} imports {', '.join(sorted(tops))}; a twin is torch alone")
    return found


def internals_used(source: Source) -> list[str]:
    """Uses of minigrad from outside that do not go by ``import minigrad`` and public names."""
    found = []
    for module in source.trees:
        if module.partition(".")[0] not in USERS or module.startswith(LESSONS):
            continue
        aliases: dict[str, str] = {}
        for _, origin, name, local in source.imports(module):
            if origin == "minigrad" and name in source.public("minigrad"):
                aliases[local] = f"minigrad.{name}"
            elif (origin, name) == ("minigrad", ""):
                aliases[local] = "minigrad"
            elif origin.partition(".")[0] == "minigrad":
                found.append(f"{module} imports {origin}{name and '.'}{name}, an internal name")
        for node in ast.walk(source.trees[module]):  # F = mg.functional
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                root, *names = dotted(node.value)
                whole = ".".join([aliases.get(root, root), *names])
                if root in aliases and whole in source.trees:
                    aliases[node.targets[0].id] = whole
        for node in ast.walk(source.trees[module]):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                root, *names = dotted(node)
                holder = aliases.get(root, "")
                while names and holder in source.trees:
                    name = names.pop(0)
                    if name not in source.public(holder):
                        found.append(f"{module} uses {holder}.{name}, an internal name")
                    holder = f"{holder}.{name}"
    return sorted(set(found))


def text_of_any_encoding(source: Source) -> list[str]:
    """Text that is read or written in whatever encoding the user's locale has."""
    found = []
    for module, tree in source.trees.items():
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            holder, _, name = ast.unparse(call.func).rpartition(".")
            keys = {keyword.arg for keyword in call.keywords}
            inner = [node for arg in call.args for node in ast.walk(arg)]
            texts = [node.value for node in inner if isinstance(node, ast.Constant)]
            binary = any(
                isinstance(text, str) and re.fullmatch("[rwax+]+b", text) for text in texts
            )
            if (
                (name in ("read_text", "write_text") and len(call.args) == (name == "write_text"))
                or (
                    name == "open"
                    and holder not in ("os", "tarfile", "Image", "archive")
                    and not binary
                )
                or keys & {"text", "universal_newlines"}
            ) and "encoding" not in keys:
                found.append(f"{module}, line {call.lineno}: {ast.unparse(call)[:60]}")
    return found


def files_without_tests(root: Path, source: Source) -> list[str]:
    found = []
    for module in source.trees:
        top, *parts = module.split(".")
        if top not in TESTED or module in source.packages:
            continue
        package = module.rpartition(".")[0]
        if package in TESTED_TOGETHER:
            parts = package.split(".")[1:]
        folder = root / "tests" if top == "minigrad" else root / "tests" / top
        test = folder.joinpath(*parts[:-1], f"test_{parts[-1]}.py")
        if module in (*IMPLEMENTATIONS, "minigrad.implementations"):
            test = root / "tests/ops/test_implementations.py"
        if not test.is_file():
            found.append(f"{module} has no {test.relative_to(root)}")
    return found


def long_files(root: Path) -> list[str]:
    found = []
    for top in ("minigrad", *USERS, "tests"):
        for file in sorted((root / top).rglob("*.py")):
            name = file.relative_to(root).as_posix()
            lines = len(file.read_text("utf-8").splitlines())
            if lines > MAX_LINES:
                found.append(f"{name} has {lines} lines: split it by topic")
    return found


# ---------------------------------------------------------------------------- this tree

SOURCE = Source(ROOT)


def test_the_tree_is_found():
    assert {
        "minigrad.tensor",
        "minigrad.ops.conv",
        "cifar.training.train",
        "examples.train_cnn",
    } <= set(SOURCE.trees)
    assert "minigrad.ops.conv" in SOURCE.imported_modules("minigrad.functional")
    assert SOURCE.public("minigrad.nn") >= {"Linear", "init"}


def test_no_arrow_points_back():
    assert arrows_back(SOURCE) == []


def test_definitions_stand_apart():
    assert definitions_that_know(SOURCE) == []


def test_one_door_to_cupy():
    assert second_doors_to_cupy(SOURCE) == []


def test_torch_is_the_reference_alone():
    assert torch_out_of_place(SOURCE) == []


def test_text_has_an_encoding():
    assert text_of_any_encoding(SOURCE) == []


def test_public_names_only():
    assert internals_used(SOURCE) == []


def test_every_file_has_its_test():
    assert files_without_tests(ROOT, SOURCE) == []


def test_no_file_is_long():
    assert long_files(ROOT) == []


# ---------------------------------------------------------------------------- the rules themselves

GOOD = {
    "minigrad/__init__.py": "from . import data, nn\nfrom .tensor import Tensor\n"
    "__all__ = ['Tensor', 'data', 'nn']\n",
    "minigrad/device.py": "def load():\n    import cupy\n",
    "minigrad/tensor.py": "from .device import load\nclass Tensor: pass\n",
    "minigrad/nn/__init__.py": "from .layers import Linear\n__all__ = ['Linear']\n",
    "minigrad/nn/layers.py": "from ..tensor import Tensor\nclass Linear: pass\n",
    "minigrad/data.py": "from .tensor import Tensor\ndef batches(): pass\ndef _order(): pass\n",
    "cifar/__init__.py": "",
    "cifar/models/__init__.py": "",
    "cifar/models/simple.py": "from minigrad import nn\nnn.Linear\n",
    "cifar/cli.py": "import minigrad as mg\nfrom cifar import models\n"
    "D = mg.data\nmg.Tensor, mg.nn.Linear, D.batches, mg.__version__\n"
    "p.open('rb'), open(p, 'w', encoding='utf-8'), p.read_text('utf-8'), os.open(p, 0)\n",
    "tests/test_device.py": "",
    "tests/test_tensor.py": "",
    "tests/test_data.py": "",
    "tests/nn/test_layers.py": "",
    "tests/cifar/test_models.py": "",
    "tests/cifar/test_cli.py": "",
}


def violations(root: Path, changes: dict[str, str | None]) -> list[str]:
    for name, text in (GOOD | changes).items():
        if text is not None:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
    source = Source(root)
    return [
        *arrows_back(source),
        *definitions_that_know(source),
        *second_doors_to_cupy(source),
        *torch_out_of_place(source),
        *internals_used(source),
        *text_of_any_encoding(source),
        *files_without_tests(root, source),
        *long_files(root),
    ]


def test_a_good_tree_passes(tmp_path):
    assert violations(tmp_path, {}) == []


BACK = "which does not stand before it"


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("minigrad/device.py", "from .tensor import Tensor", BACK),
        ("minigrad/device.py", "from . import tensor", BACK),
        ("minigrad/device.py", "import minigrad.nn.layers", BACK),
        ("minigrad/tensor.py", "def f():\n    from .nn.layers import Linear", BACK),
        ("minigrad/tensor.py", "if TYPE_CHECKING:\n    from minigrad import nn", BACK),
        ("minigrad/nn/layers.py", "from .. import data", BACK),
        ("minigrad/nn/layers.py", "from .. import Tensor", BACK),
        ("minigrad/nn/layers.py", "import cifar.cli", BACK),
        ("cifar/models/simple.py", "from cifar.cli import run", BACK),
        ("minigrad/nn/layers.py", "from . import Linear", "in a circle"),
        ("minigrad/ops/x.py", "from ..cpu import threads", "minigrad.ops.x imports minigrad.cpu"),
        ("minigrad/novel.py", "", "minigrad.novel stands in no layer"),
        ("cifar/novel.py", "", "cifar.novel stands in no layer"),
        ("cifar/cli.py", "import cupy", "cifar.cli imports cupy"),
        ("minigrad/tensor.py", "from cupy.cuda import Device", "minigrad.tensor imports cupy"),
        ("minigrad/data.py", "importlib.import_module('cupy')", "minigrad.data imports cupy"),
        ("examples/x.py", "def f():\n    import cupy as cp", "examples.x imports cupy"),
        ("minigrad/nn/layers.py", "import torch", "minigrad.nn.layers imports torch"),
        ("cifar/cli.py", "def f():\n    from torch import nn", "cifar.cli imports torch"),
        ("cifar/twins/reference/x.py", "import minigrad", "a twin is torch alone"),
        ("cifar/cli.py", "import minigrad.tensor", "minigrad.tensor, an internal name"),
        (
            "cifar/cli.py",
            "from minigrad.tensor import Tensor",
            "minigrad.tensor.Tensor, an inter",
        ),
        ("cifar/cli.py", "from minigrad import tensor", "minigrad.tensor, an internal name"),
        ("cifar/cli.py", "import minigrad\nminigrad.tensor.load()", "uses minigrad.tensor"),
        ("cifar/cli.py", "import minigrad as mg\nmg.data._order()", "uses minigrad.data._order"),
        ("cifar/cli.py", "import minigrad as mg\nmg.data.Tensor", "uses minigrad.data.Tensor"),
        ("cifar/cli.py", "import minigrad as mg\nD = mg.data\nD._order", "minigrad.data._order"),
        ("examples/x.py", "from minigrad import nn\nnn.layers.Linear", "uses minigrad.nn.layers"),
        ("benchmarks/x.py", "from minigrad.nn.layers import Linear", "benchmarks.x imports"),
        ("minigrad/data.py", "p.open()", "minigrad.data, line 1: p.open()"),
        ("minigrad/data.py", "open('rb.txt', 'r')", "minigrad.data, line 1: open("),
        ("cifar/cli.py", "p.read_text()", "cifar.cli, line 1: p.read_text()"),
        ("cifar/cli.py", "p.write_text('x')", "cifar.cli, line 1: p.write_text('x')"),
        ("examples/x.py", "run(['git'], text=True)", "examples.x, line 1: run(['git'], text=True)"),
        ("tests/test_data.py", None, "minigrad.data has no tests/test_data.py"),
        ("tests/nn/test_layers.py", None, "minigrad.nn.layers has no tests/nn/test_layers.py"),
        ("tests/cifar/test_models.py", None, "cifar.models.simple has no tests/cifar/test_models"),
        ("examples/x.py", "", "examples.x has no tests/examples/test_x.py"),
        ("minigrad/data.py", "\n" * 501, "minigrad/data.py has 501 lines"),
        ("tests/test_data.py", "\n" * 501, "tests/test_data.py has 501 lines"),
    ],
)
def test_a_violation_is_found(tmp_path, file, text, expected):
    found = violations(tmp_path, {file: text})
    assert any(expected in line for line in found), found


def test_a_circle_of_three(tmp_path):
    circle = {f"minigrad/nn/{a}.py": f"from .{b} import x" for a, b in ("ab", "bc", "ca")}
    found = violations(tmp_path, circle)
    expected = "minigrad.nn.a, minigrad.nn.b, minigrad.nn.c import each other in a circle"
    assert expected in found
