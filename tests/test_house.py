"""The rules of the house: style, types, direction of imports, distributions, documented names."""

import importlib
import inspect
import operator
import os
import pkgutil
import subprocess
import sys
import tarfile
import typing
import zipfile
from pathlib import Path

import pytest

import bprop

ROOT = Path(__file__).resolve().parents[1]

checkout = pytest.mark.skipif(
    not (ROOT / "pyproject.toml").is_file(), reason="not in a checkout: no pyproject.toml beside tests/"
)

LINT_IMPORTS = "from importlinter.cli import lint_imports_command; lint_imports_command()"


def run(*arguments: str) -> None:
    """Run Python at the root of the checkout on the checkout's own source; show its output if it fails."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "NO_COLOR": "1"}
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    assert result.returncode == 0, result.stdout


@pytest.mark.policy
@checkout
def test_formatted():
    run("-m", "ruff", "format", "--check", "--diff", ".")


@pytest.mark.policy
@checkout
def test_linted():
    run("-m", "ruff", "check", ".")


@pytest.mark.policy
@checkout
def test_typed(tmp_path):
    """The source, and a user's file that mentions every public name and relies on the types of the transforms."""
    user = tmp_path / "user.py"
    user.write_text(USER + "".join(f"{package}.{name}\n" for package in NAMESPACES for name in exported(package)))
    run("-m", "mypy", "src", str(user))


NAMESPACES = ["bprop", "bprop.fft", "bprop.linalg", "bprop.nn", "bprop.nn.init", "bprop.optim", "bprop.train"]


def exported(package: str) -> list[str]:
    return list(operator.attrgetter(package.partition(".")[2])(bprop).__all__ if "." in package else bprop.__all__)


USER = """
from typing import Any, assert_type

import bprop
import bprop.fft, bprop.linalg, bprop.nn, bprop.optim, bprop.train
import numpy as np

x = bprop.exp(np.zeros(3))


def f(x: bprop.Array, n: int = 2) -> bprop.Array:
    return bprop.sum(bprop.maximum(x, 0) * n)


assert_type(x, bprop.Array)
assert_type(2 * x[0] - x.T @ x, bprop.Array)
assert_type(bprop.grad(f)(x, n=2), Any)
assert_type(bprop.hessian(f)(x), Any)
assert_type(bprop.value_and_grad(f)(x), tuple[bprop.Array, Any])
assert_type(bprop.vmap(f)(x), bprop.Array)
assert_type(bprop.jvp(f, (x,), (x,)), tuple[bprop.Array, bprop.Array])
assert_type(bprop.vjp(f, x)[0], bprop.Array)
assert_type(bprop.linearize(f, x)[1].graph, bprop.Graph)
assert_type(bprop.trace(f)(x), bprop.Graph)
assert_type(bprop.compile(f)(x), bprop.Array)
assert_type(bprop.checkpoint(f)(x), bprop.Array)
bprop.grad(f)(x, m=2)  # type: ignore[call-arg]
bprop.no_such_name  # type: ignore[attr-defined]
"""


@pytest.mark.policy
@checkout
def test_imports_point_down():
    run("-c", LINT_IMPORTS, "--no-logo")


@pytest.mark.policy
@checkout
def test_distributions_are_complete(tmp_path):
    run("-m", "build", "--no-isolation", "--outdir", str(tmp_path), ".")
    (wheel,) = tmp_path.glob("*.whl")
    (sdist,) = tmp_path.glob("*.tar.gz")
    source = {path for path in (ROOT / "src").rglob("*") if path.is_file() and "__pycache__" not in path.parts}

    with zipfile.ZipFile(wheel) as archive:
        installed = set(archive.namelist())
    assert {"bprop/py.typed", "bprop/data/digits.npz", "bprop/data/README.md"} <= installed
    assert {path.relative_to(ROOT / "src").as_posix() for path in source} <= installed

    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "pyproject.toml", "tests/test_house.py"} <= packed
    assert {path.relative_to(ROOT).as_posix() for path in source} <= packed


PACKAGES = ["bprop"] + [
    module.name
    for module in pkgutil.iter_modules(bprop.__path__, "bprop.")
    if module.ispkg or module.name.removeprefix("bprop.") in bprop.__all__
]


def documented(value: object) -> bool:
    """Whether the value has a docstring of its own, or is of a kind that cannot have one (a constant)."""
    if typing.get_origin(value) is not None or not (callable(value) or inspect.ismodule(value)):
        return True
    text = value.__doc__
    return bool(text) and (inspect.isclass(value) or text != type(value).__doc__)


def explained(value: object) -> bool:
    """Whether the docstring of a function says itself what its parameters are: each by its name, beside what else it refers to.

    A function of one parameter, and what is called by another library's names, may say it in its formula.
    """
    text = (inspect.getdoc(value) or "").partition(">>>")[0]
    if not inspect.isfunction(value) or "for arguments" not in text:
        return True
    return all(name in text.partition("for arguments")[0] for name in inspect.signature(value).parameters)


def test_what_only_refers_to_another_docstring_is_not_explained():
    def f(x, argnums=0):
        """Return the gradient of x; see `g` for arguments and errors."""

    def g(x, argnums=0):
        """Return the gradient of x by ``argnums``, as `f` does."""

    assert not explained(f)
    assert explained(g)


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_exist_and_are_documented(package):
    module = importlib.import_module(package)
    assert module.__doc__, f"{package} has no docstring"
    names = list(module.__all__)
    assert len(names) == len(set(names)), "a name stands in __all__ twice"
    assert [name for name in names if not hasattr(module, name)] == []
    assert [name for name in names if not documented(getattr(module, name))] == []
    assert [name for name in names if not explained(getattr(module, name))] == []
