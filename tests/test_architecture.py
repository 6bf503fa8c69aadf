"""The shape of the source: no circle of imports among files, and no names that say nothing."""

import ast
import graphlib
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src"
VAGUE = {"one", "mine", "place", "whole", "known", "found"}
"""Names that say nothing about what they stand for."""
LIMIT = 15
"""How often such names may be used: a variable of a comprehension may be called `one` where nothing better says it."""


def modules():
    """Return the files of the package by the name under which they are imported."""
    names = {}
    for path in (SOURCE / "bprop").rglob("*.py"):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def imports(tree, name, is_package, names, at_load=False):
    """Return the modules that a file imports, in functions too, but not for type checkers only.

    ``at_load``: those that are loaded when the file is, in their order, with the packages that modules are taken from.
    """
    package, result = name if is_package else name.rpartition(".")[0], []

    def visit(node):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            return [visit(child) for child in node.orelse]
        if isinstance(node, ast.FunctionDef) and at_load:
            return []
        if isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            result.extend([base] * at_load)
            result.extend(full if (full := f"{base}.{alias.name}") in names else base for alias in node.names)
        if isinstance(node, ast.Import):
            result.extend(alias.name for alias in node.names)
        return [visit(child) for child in ast.iter_child_nodes(node)]

    visit(tree)
    return list(dict.fromkeys(module for module in result if module in names and module != name))


def circle(graph):
    """Return a circle of imports, or nothing."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def test_no_circle_of_imports():
    names = modules()
    graph = {
        name: imports(ast.parse(path.read_text(encoding="utf-8")), name, path.name == "__init__.py", names)
        for name, path in names.items()
    }
    assert len(graph) > 200
    assert circle(graph) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from . import b", {"p.b"}),
        ("from .b import x", {"p.b"}),
        ("def f():\n    from .b import x", {"p.b"}),
        ("import p.b", {"p.b"}),
        ("if TYPE_CHECKING:\n    from .b import x", set()),
        ("from .. import q", {"p"}),
    ],
)
def test_imports_are_seen(text, expected):
    base = "p.a" if ".. import" not in text else "p.a.c"
    assert set(imports(ast.parse(text), base, False, {"p", "p.a", "p.b"})) - {"p.a"} == expected


def test_a_planted_circle_is_seen():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})


def entered_by_part(start, order):
    """Return (importer, module) for every module that is imported before its package is, from outside the package.

    ``order``: what every module imports, in order. ``start`` is imported first, after what ``import bprop`` loads.
    """
    begun, entered = {"bprop", "bprop.compile", "bprop.view"}, []

    def load(module, importer):
        package = module.rpartition(".")[0]
        if package and package not in begun:
            if package in order and order[package] and not f"{importer}.".startswith(f"{package}."):
                entered.append((importer, module))
            load(package, importer)
        if module not in begun:
            begun.add(module)
            for other in order[module]:
                load(other, module)

    load(start.rpartition(".")[0], start)
    load(start, start)
    return entered


def test_a_room_imports_another_as_a_whole_before_a_part_of_it():
    """Or two threads that load them at once wait for each other: `bprop.core.lazy` says why."""
    names = modules()
    order = {
        name: imports(
            ast.parse(path.read_text(encoding="utf-8")), name, path.name == "__init__.py", names, at_load=True
        )
        for name, path in names.items()
    }
    exported = [name for name in names if name.count(".") == 1 and name != "bprop.cli"]
    exported += ["bprop.compile.jit", "bprop.compile.runtime.threads", "bprop.view.table", "bprop.view.graphviz"]
    assert {name: entered for name in exported if (entered := entered_by_part(name, order))} == {}


def test_a_part_before_its_package_is_seen():
    order = {"p": [], "p.low": ["p.low.x"], "p.low.x": [], "p.whole": ["p.low", "p.low.x"], "p.part": ["p.low.x"]}
    assert entered_by_part("p.part", order) == [("p.part", "p.low.x")]
    assert entered_by_part("p.whole", order) == entered_by_part("p.low", order) == []


def test_names_say_what_they_stand_for():
    uses = []
    for path in (SOURCE / "bprop").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(node, "id", None) or getattr(node, "arg", None) or getattr(node, "attr", None)
            name = getattr(node, "name", None) if name is None else name
            if isinstance(name, str) and name.strip("_") in VAGUE and not isinstance(node, ast.alias | ast.keyword):
                uses.append(f"{path.relative_to(SOURCE)}:{node.lineno}: {name}")
    assert len(uses) <= LIMIT, f"{len(uses)} uses:\n" + "\n".join(uses)
