"""What ``FILE.py:NAME`` names on the command line: a function and the arguments it is looked at with."""

import importlib.util
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

ExampleArgument = Annotated[
    str,
    typer.Argument(
        metavar="FILE.py:NAME",
        help="A function called without arguments that returns (f, args), or such a pair.",
        show_default=False,
    ),
]


class Example(NamedTuple):
    """A function and its arguments."""

    f: Callable[..., Any]
    args: tuple[Any, ...]


def read_example(text: str) -> Example:
    """Return the function and the arguments that ``FILE.py:NAME`` names.

    NAME is a function that is called without arguments and returns ``(f, args)``, or such a pair; ``args`` is a tuple, or one
    argument that is none. Raises `BpropError` that says what is missing; of an error in the file, its line.
    """
    from ..core.error import BpropError

    file, colon, name = text.rpartition(":")
    if not colon or not file.endswith(".py") or not name.isidentifier():
        raise BpropError(
            f"{text!r} is not FILE.py:NAME: write the file, a colon and the name in it, as in model.py:example"
        )
    path = Path(file)
    if not path.is_file():
        raise BpropError(f"{file}: there is no such file")
    namespace = _run(path)
    if not hasattr(namespace, name):
        candidates = [key for key, value in vars(namespace).items() if callable(value) and not key.startswith("_")]
        listed = f"; it has {', '.join(candidates[:8])}" if candidates else ""
        raise BpropError(f"{file} has no name {name}{listed}")
    value = getattr(namespace, name)
    if callable(value):
        value = _guarded(path, f"{name}()", value)
    if not isinstance(value, tuple | list) or len(value) != 2 or not callable(value[0]):
        raise BpropError(
            f"{text} is {type(value).__name__}, not a pair (f, args) or a function that returns one: write\n"
            f"  def {name}():\n      return f, (x, y)"
        )
    f, args = value
    return Example(f, tuple(args) if isinstance(args, tuple | list) else (args,))


def _run(path: Path) -> Any:
    """Return the module of a file, run as an import runs it: its folder is where it finds other files."""
    name = path.stem if path.stem.isidentifier() and path.stem not in sys.modules else f"_bprop_{abs(hash(path))}"
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    loader = spec.loader
    _guarded(path, "importing it", lambda: loader.exec_module(module))
    return module


def _guarded(path: Path, what: str, run: Callable[[], Any]) -> Any:
    """Run what the user wrote; an error becomes one that names the user's line."""
    from ..core.error import BpropError

    try:
        return run()
    except Exception as error:
        frames = [
            frame
            for frame in traceback.extract_tb(error.__traceback__)
            if Path(frame.filename).resolve() == path.resolve()
        ]
        line = f", line {frames[-1].lineno}" if frames else getattr(error, "lineno", None) and f", line {error.lineno}"  # type: ignore[attr-defined]
        message = error.message if isinstance(error, BpropError) else str(error)
        raise BpropError(f"{path}{line or ''}: {what} raised {type(error).__name__}: {message}") from error


__all__ = ["Example", "ExampleArgument", "read_example"]
