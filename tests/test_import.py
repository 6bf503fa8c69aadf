"""`import bprop` is light: what is exported is loaded on first use, and only what it needs."""

import json
import subprocess
import sys

import bprop

HEAVY = {"llvmlite", "scipy", "sklearn", "matplotlib", "rich", "typer", "safetensors"}

PROGRAM = """
import json, sys
import numpy
before = set(sys.modules)
import bprop
{}
print(json.dumps(sorted(set(sys.modules) - before)))
"""
"""Prints the modules that a program loads beyond those of NumPy."""


def run(code):
    """Run a program, and return what it printed."""
    result = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, encoding="utf-8")
    assert result.returncode == 0, result.stderr
    return result.stdout


def loaded(code):
    """Return the modules that Python loads for ``import bprop`` and a line of code, beyond those of NumPy."""
    return json.loads(run(PROGRAM.format(code)))


def rooms(names):
    return {".".join(name.split(".")[:2]) for name in names if name.startswith("bprop.")}


def test_import_loads_numpy_and_what_loads_the_rest():
    names = loaded("assert not hasattr(bprop, '_repr_html_') and not hasattr(bprop, '__wrapped__')")
    assert set(names) <= {
        "bprop",
        "bprop._version",
        "bprop.compile",  # empty, as bprop.view is
        "bprop.core",
        "bprop.core.function",
        "bprop.core.lazy",
        "bprop.view",
    }


def test_everything_loads_no_other_package():
    names = {name.partition(".")[0] for name in loaded("from bprop import *")}
    assert names & HEAVY == set()
    assert names - set(sys.stdlib_module_names) - {"numpy"} == {"bprop"}


def test_a_gradient_loads_neither_layers_nor_training_nor_the_compiler():
    names = loaded("bprop.grad(lambda x: x * x)(2.0)")
    assert rooms(names) == {
        "bprop._version",
        "bprop.compile",
        "bprop.core",
        "bprop.gradients",
        "bprop.ops",
        "bprop.view",
    }
    assert "bprop.compile.jit" not in names
    assert "bprop.view.table" not in names
    assert len(names) <= 140  # with those of Python
    of_numpy_code = loaded("bprop.grad(lambda x: numpy.sum(numpy.exp(x)))(numpy.ones(3))")
    assert rooms(of_numpy_code) - rooms(names) <= {"bprop.interop", "bprop.linalg"}


def test_every_name_is_listed_before_it_is_loaded():
    code = (
        "import bprop, json; names = [n for n in dir(bprop) if n[0] != '_']; "
        "print(json.dumps([names, list(bprop.__all__), [n for n in names if not hasattr(bprop, n)]])); bprop.exq"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8")
    names, public, missing = json.loads(result.stdout)
    assert set(public) <= set(names)
    assert set(public) == set(bprop.__all__)
    assert missing == []
    assert {"exp", "grad", "nn", "compile", "scan", "check", "view", "Array", "BpropError", "linalg", "scipy"} <= set(
        names
    )
    assert "AttributeError: module 'bprop' has no attribute 'exq'. Did you mean: 'exp'?" in result.stderr


def test_a_namespace_lists_what_it_exports_and_nothing_that_it_imports():
    """Tab completion shows it. Planted: a module without ``__dir__``, and a package that lists its imports."""
    assert not [name for name in dir(bprop) if name in ("importlib", "typing", "_lazy", "_loader")]
    namespaces = [getattr(bprop.scipy, name) for name in bprop.scipy.__all__]
    for namespace in [bprop.fft, bprop.linalg, *namespaces]:
        assert {name for name in dir(namespace) if name[:2] != "__"} == set(namespace.__all__), namespace


CORE_ONLY = """
import pickle, sys
import numpy as np
from bprop.core.value import Array
a = Array(np.ones(3))
assert "bprop.ops" not in sys.modules
assert (a + 1)[0] == 2
assert "bprop.interop" not in sys.modules
assert np.exp(a, dtype=np.float32).dtype == np.float32
assert "bprop.interop" in sys.modules and "bprop.fft" not in sys.modules
assert type(np.fft.fft(a)) is Array
assert "bprop.region" not in sys.modules
assert pickle.loads(b"cbprop.core.op\\n_registered\\n(Vscan\\ntR.").name == "scan"
"""


def test_what_an_array_needs_is_loaded_when_it_is_used():
    run(CORE_ONLY)


THREADS = """
import importlib, sys, threading
import bprop
names = "grad check cond compile view BpropError".split()
modules = "nn linalg fft optim interop gradients region ops diagnose compile.jit view.table".split()
uses = [lambda name=name: getattr(bprop, name) for name in names]
uses += [lambda name=name: importlib.import_module("bprop." + name) for name in modules]
start, errors = threading.Barrier(len(uses)), []

def use(f):
    start.wait()
    try:
        f()
    except BaseException as error:
        errors.append(error)

threads = [threading.Thread(target=use, args=(f,)) for f in uses]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert errors == []
"""
FUNCTIONS_OF_A_PACKAGES_NAME = """
from bprop.compile import native
from bprop.view import View, dot
assert callable(native) and callable(dot)
assert type(bprop.compile(lambda x: x + 1)) is bprop.Compiled
assert type(bprop.view(lambda x: x * x, 1.0)) is View
"""


def test_threads_may_be_the_first_at_once_and_no_package_takes_the_place_of_a_function():
    run(THREADS + FUNCTIONS_OF_A_PACKAGES_NAME)


def test_an_export_is_loaded_once(tmp_path, monkeypatch):
    folder = tmp_path / "lazy_package"
    folder.mkdir()
    (folder / "low.py").write_text("__all__ = ['a', 'b']\na = b = 1\nhidden = 2\n")
    (folder / "high.py").write_text("__all__ = ['b', 'c']\nb = c = 3\n")
    (folder / "same.py").write_text("def same(): return 4\n")
    (folder / "__init__.py").write_text(
        "from bprop.core.lazy import EVERYTHING, lazy_attributes\n"
        "__getattr__, __dir__ = lazy_attributes(__name__, {'low': EVERYTHING, 'high': EVERYTHING, 'same': ('same',)}, ['space'])\n"
    )
    (folder / "space.py").write_text("x = 5\n")
    monkeypatch.syspath_prepend(tmp_path)
    import lazy_package

    assert "lazy_package.low" not in sys.modules
    assert lazy_package.b == 1  # of the lower of two
    assert "lazy_package.high" not in sys.modules
    assert (lazy_package.c, lazy_package.b, lazy_package.same(), lazy_package.space.x) == (3, 1, 4, 5)
    assert lazy_package.low.hidden == 2
    assert not hasattr(lazy_package, "hidden")
    assert {*lazy_package.__all__} == {"a", "b", "c", "same", "space"}
    assert {"a", "b", "c", "same", "space", "low", "high"} <= {*dir(lazy_package)}
