"""The house has floors: a module imports downward only."""

import ast
from pathlib import Path

import pytest

import skdiffusion

ROOT = Path(skdiffusion.__file__).parent
FLOORS = [
    {"_columns", "_frames", "_validation", "_warnings"},
    {
        "_callbacks",
        "_estimators",
        "conditions",
        "graphs",
        "defaults",
        "margins",
        "mixtures",
        "whitening",
        "_torch",
        "process",
        "solvers",
        "threads",
    },
    {"normal_scores", "denoisers", "thresholds", "dual", "records"},
    {"continuation", "kernels", "flow", "chunks", "batches"},
    {"networks", "bandwidths"},
    {"objectives", "best_states", "resolution"},
    {"members"},
    {"partners"},
    {"blending"},
    {"training", "sequential", "datasets", "metrics"},
    {"conditioning", "transformers", "outliers", "margin_choice"},
    {"_questions", "_selection", "pipeline"},
    {"_base", "_parameters"},
    {"_factorized", "_kernel", "displays"},
    {"__init__"},
]
LEVEL = {name: level for level, names in enumerate(FLOORS) for name in names}
WITHOUT_TORCH = {
    "_columns",
    "_frames",
    "_warnings",
    "_callbacks",
    "_validation",
    "_estimators",
    "conditions",
    "graphs",
    "defaults",
    "margins",
    "mixtures",
    "normal_scores",
    "margin_choice",
    "whitening",
    "datasets",
    "metrics",
    "outliers",
    "transformers",
    "pipeline",
    "_selection",
    "_parameters",
    "continuation",
}


def imports(path):
    """First parts of relative imports and of absolute imports of a module."""
    depth = len(path.relative_to(ROOT).parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == depth:
            names = [node.module] if node.module else [a.name for a in node.names]
            yield from ((name.split(".")[0], True) for name in names)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", None) or node.names[0].name
            yield module.split(".")[0], False


def modules():
    for path in sorted(ROOT.rglob("*.py")):
        yield path.relative_to(ROOT).parts[0].removesuffix(".py"), path


@pytest.mark.parametrize(("name", "path"), list(modules()))
def test_modules_import_downward_only(name, path):
    for imported, inside in imports(path):
        if inside and imported in LEVEL and imported != name:
            assert LEVEL[imported] < LEVEL[name] or name == "__init__", imported
        assert not (name in WITHOUT_TORCH and imported == "torch")


def test_every_module_has_a_floor():
    assert {name for name, _ in modules()} == set(LEVEL)


@pytest.mark.parametrize(("name", "path"), list(modules()))
def test_modules_stay_small(name, path):
    assert len(path.read_text().splitlines()) <= 400
