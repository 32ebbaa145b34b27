"""Imports point one way: autoseg_core <- rl <- auto_seg_loss <- scripts.

The checker parses sources and looks at every import, also those inside functions.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = {"torch", "numpy", "pydantic", "pydantic_core", "autoseg_core"}
# tensorboard is reached through torch.utils.tensorboard.
LIBRARIES = {"cmaes", "filelock", "gymnasium", "scipy", "tabulate", "tensorboard", "tqdm"}
EXTRAS = {"matplotlib", "optuna", "ray"}
ALLOWED = {"autoseg_core": CORE, "rl": CORE | LIBRARIES | EXTRAS | {"rl"}}
# Pictures and tables are for people: nothing that trains needs what they import.
ALONE = {
    "autoseg_core/plot.py": {"matplotlib"},
    "autoseg_core/zoo/table.py": {"tabulate"},
    # Imported at its first use, where there is a GPU.
    "autoseg_core/native/triton_kernels.py": {"triton"},
    "autoseg_core/native/triton_pixels.py": {"triton"},
}
PROJECT = ROOT / "projects" / "AutoSegLoss"
FOLDERS = {"benchmarks", "datasets", "tests", "tools"}
SCRIPTS = FOLDERS | {path.stem for path in PROJECT.glob("*.py")}


def imported(source: str) -> Iterator[str]:
    """Dotted names of the modules that a source text imports; relative ones start with a dot."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")
        elif isinstance(node, ast.Call):
            by_name = ast.unparse(node.func).endswith(("import_module", "__import__"))
            first = node.args[0] if by_name and node.args else None
            yield from [first.value] if isinstance(first, ast.Constant) else []


def outside(source: str, allowed: set[str]) -> set[str]:
    """Top-level packages that the source may not import."""
    tops = {name.split(".")[0] for name in imported(source)}
    return tops - allowed - set(sys.stdlib_module_names)


def sources(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


@pytest.mark.parametrize("package", ALLOWED)
def test_a_layer_imports_only_what_lies_below(package: str) -> None:
    found = {
        name: outside(path.read_text(), ALLOWED[package] | ALONE.get(name, set()))
        for path in sources(ROOT / package)
        if (name := path.relative_to(ROOT).as_posix())
    }
    assert set().union(*found.values()) == set(), found


def test_the_modules_of_autoseg_core_make_no_circle() -> None:
    paths = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sources(ROOT / "autoseg_core")
    }
    graph: dict[str, set[str]] = {name: set() for name in paths}
    for name, path in paths.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module in paths:
                inside = {f"{node.module}.{alias.name}" for alias in node.names} & set(paths)
                graph[name] |= inside or {node.module}
    assert len(list(TopologicalSorter(graph).static_order())) == len(paths)
    scores = {name for name in paths if name.startswith("autoseg_core.scores")}
    below = {"autoseg_core.counts", "autoseg_core.numerics"}
    assert set().union(*(graph[name] for name in scores)) <= scores | below


def test_the_ring_never_imports_scripts() -> None:
    for path in sources(PROJECT / "auto_seg_loss"):
        tops = {name.split(".")[0] for name in imported(path.read_text())}
        assert tops & SCRIPTS == set(), path


@pytest.mark.parametrize(
    ("package", "source", "found"),
    [
        ("autoseg_core", "import torch, detectron2.layers as layers", {"detectron2"}),
        ("autoseg_core", "def f():\n    import gymnasium", {"gymnasium"}),
        ("autoseg_core", "try:\n    from scipy import ndimage\nexcept ImportError: ...", {"scipy"}),
        ("autoseg_core", "import importlib\nimportlib.import_module('rl.search')", {"rl"}),
        ("autoseg_core", "from __future__ import annotations\nimport json\nimport torch.nn", set()),
        ("rl", "from ..projects import x", {""}),
    ],
)
def test_the_checker_catches_what_it_should(package: str, source: str, found: set[str]) -> None:
    assert outside(source, ALLOWED[package]) == found


def matched_names(source: str, names: set[str]) -> set[str]:
    """Names that the source compares with (``==``, ``in``, ``match``)."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare | ast.MatchValue):
            constants = [n for n in ast.walk(node) if isinstance(n, ast.Constant)]
            found |= {n.value for n in constants if isinstance(n.value, str)} & names
    return found


@pytest.mark.parametrize("folder", [*map(ROOT.joinpath, ALLOWED), PROJECT], ids=str)
def test_no_file_matches_a_metrics_name(folder: Path) -> None:
    from autoseg_core.scores import FAMILIES, METRICS

    for path in sources(folder):
        assert matched_names(path.read_text(), {*METRICS, *FAMILIES}) == set(), path


@pytest.mark.parametrize(
    "source",
    [
        "if metric == 'mIoU': ...",
        "x = 1 if name in ('BF1', 'BIoU', 'mIoU') else 2",
        "match m:\n    case 'mIoU': ...",
    ],
)
def test_the_matcher_catches_what_it_should(source: str) -> None:
    assert matched_names(source, {"mIoU"}) == {"mIoU"}
