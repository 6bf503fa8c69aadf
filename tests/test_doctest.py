"""Every example in a docstring gives what it says."""

import doctest
import importlib
import inspect
import io
import pkgutil
from types import ModuleType

import pytest

import bprop


def module_names() -> list[str]:
    # A module that cannot be imported is still named, and its own test then says why.
    found = pkgutil.walk_packages(bprop.__path__, "bprop.", onerror=lambda name: None)
    return sorted(["bprop", *(module.name for module in found if not module.name.endswith(".__main__"))])


def examples(module: ModuleType) -> list[doctest.DocTest]:
    finder = doctest.DocTestFinder()
    tests = finder.find(module, module.__name__)
    # The finder looks at functions and classes only. An object such as an op has a docstring of its own too;
    # where it names no module as its home, its examples run in each module that holds it.
    for name, value in vars(module).items():
        kind = type(value)
        if isinstance(value, ModuleType) or inspect.isclass(value) or inspect.isroutine(value):
            continue
        text = getattr(value, "__doc__", None)
        if not kind.__module__.startswith("bprop") or not isinstance(text, str) or text == kind.__doc__:
            continue
        if getattr(value, "__module__", None) in {module.__name__, kind.__module__}:
            full_name = f"{module.__name__}.{name}"
            tests += finder.find(Documented(text), full_name, module=module, globs=vars(module).copy())
    return tests


class Documented:
    """Stands for an object whose only content is its docstring."""

    def __init__(self, text: str):
        self.__doc__ = text


@pytest.mark.parametrize("name", module_names())
def test_doctest(name):
    report = io.StringIO()
    runner = doctest.DocTestRunner(verbose=False)
    for test in examples(importlib.import_module(name)):
        runner.run(test, out=report.write)
    assert runner.failures == 0, report.getvalue()
