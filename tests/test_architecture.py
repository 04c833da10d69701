"""The house: no circle of imports, wherever in a module they stand, and few entries on the package's top floor."""

from __future__ import annotations

import ast
import functools
import graphlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import instructor_eval

PACKAGE = Path(instructor_eval.__file__).parent


def name_of(file: Path) -> str:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(file): file for file in PACKAGE.rglob("*.py")}


def imported(file: Path) -> Iterator[str]:
    """Our modules that a file imports: at its top, inside functions, and for type checkers alone."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in MODULES else str(node.module)


@functools.cache
def graph() -> dict[str, set[str]]:
    """Modules and those of ours that each imports; read when asked for, for every process collects every test."""
    return {module: {name for name in imported(file) if name in MODULES} - {module} for module, file in MODULES.items()}


def test_no_module_imports_itself_through_others() -> None:
    assert sum(map(len, graph().values())) > 1000  # lazy imports and those for type checkers among them
    list(graphlib.TopologicalSorter(graph()).static_order())  # a CycleError names the circle


def test_only_the_package_itself_imports_lazily_from_its_top() -> None:
    top = instructor_eval.__name__
    assert [module for module, names in graph().items() if top in names] == []


def test_the_top_floor_stays_small() -> None:
    """The floors, the doors, and two names that others import: compat and integrations."""
    floors = {"cli", "report", "run", "training", "analysis", "results", "tasks", "readers", "models"}
    floors |= {"cache", "metrics", "search", "core"}
    entries = {file.relative_to(PACKAGE).parts[0] for file in MODULES.values()}
    assert entries == floors | {"__init__.py", "__main__.py", "api.py", "compat", "integrations"}


def test_names_of_modules_in_strings_exist() -> None:
    """Registries name their entries as `module:function`: nothing but this and the run itself would notice a move."""
    found = [
        node.value
        for file in MODULES.values()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if node.value.startswith("instructor_eval.") and ":" in node.value
    ]
    assert len(found) > 10
    for name in found:
        module, _, function = name.partition(":")
        defined = ast.parse(MODULES[module].read_text(encoding="utf-8")).body
        assert function in [getattr(node, "name", None) for node in defined], name


def test_no_two_test_files_have_one_name() -> None:
    """Tests are modules of one flat namespace: the second of a name is an error of collection."""
    counts = Counter(path.name for path in Path(__file__).parent.rglob("test_*.py"))
    assert not [name for name, count in counts.items() if count > 1]
