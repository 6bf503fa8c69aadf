"""What machine code depends on, as text: two graphs with one text give the same code, in any process.

Nodes are numbered in the order in which they are met, ops are described by what is declared of them, and functions by
where they are declared; the library's own by name, since the text of its files belongs to the fingerprint of a program.
"""

import hashlib
import struct
from functools import cache, lru_cache
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from ...core import LOADED
from ...core.graph import Graph, Node
from ...core.op import Op
from ...core.value import Spec
from ..captures import references
from ..introspection import UNKNOWN, is_library, package

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("core", "ops", "region", "compile")
"""Where the library says what code is made of a graph."""
_OWN = f"{__name__.partition('.')[0]}."
_PLAIN = (bool, int, str, bytes, type(None))
_WORDS = frozenset({"text", "latex", "examples", "__doc__", "__name__"})
"""What is declared of an op for readers only."""


class UnfingerprintableError(Exception):
    """Something whose meaning does not follow from its text: code that depends on it is not kept."""


class Writer:
    """Writes values as text; nodes and objects get numbers where they are met first."""

    def __init__(self) -> None:
        self.numbers: dict[Any, int] = {}
        self.ops: dict[Op, str] = {}

    def write(self, value: Any) -> str:
        """Return the text of a value; raises `UnfingerprintableError`."""
        kind = type(value)
        if kind in _PLAIN:
            return repr(value)
        if kind is Spec:
            return _spec(value)
        if kind is float:
            return value.hex() if value == value else struct.pack("<d", value).hex()
        if kind is Node:
            return self.node(value)
        if isinstance(value, tuple | list):
            return f"({','.join(map(self.write, value))})"
        if isinstance(value, dict):
            return f"{{{','.join(f'{self.write(k)}:{self.write(v)}' for k, v in value.items())}}}"
        if isinstance(value, np.dtype):
            return value.str
        if isinstance(value, np.generic):
            return f"{value.dtype.str}{value.tobytes().hex()}"
        if isinstance(value, complex):
            return f"{value.real.hex()}{value.imag.hex()}j"
        if isinstance(value, slice):
            return f"[{self.write((value.start, value.stop, value.step))}]"
        if isinstance(value, Graph):
            return Writer().graph(value)
        return self.object(value)

    def object(self, value: Any) -> str:
        """Return the text of what is neither a number nor a container of values."""
        if isinstance(value, Op):
            text = self.ops.get(value)
            if text is None:
                text = self.ops[value] = f"{value.name}#{declaration(value)}"
            return text
        if isinstance(value, ModuleType | type) and not is_library(package(value)):
            raise UnfingerprintableError(value.__name__)  # a user may change what it holds
        if isinstance(value, ModuleType):
            return value.__name__
        if isinstance(value, type | BuiltinFunctionType | np.ufunc | type(np.sum)):
            return f"{getattr(value, '__module__', '')}.{value.__name__}"
        if isinstance(value, FunctionType):
            return self.function(value)
        if not type(value).__module__.startswith(_OWN):
            raise UnfingerprintableError(type(value).__name__)
        number = self.numbers.get(id(value))
        if number is not None:
            return f"@{number}"
        self.numbers[id(value)] = len(self.numbers)
        slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
        try:
            own = {name: getattr(value, name) for name in slots} | getattr(value, "__dict__", {})
        except AttributeError as error:
            raise UnfingerprintableError(str(error)) from None
        return f"{type(value).__name__}{self.write(own)}"

    def node(self, node: Node) -> str:
        """Return the text of a node: all of it where it is met first, its number where it is met again."""
        number = self.numbers.get(node)
        if number is not None:
            return f"%{number}"
        self.numbers[node] = number = len(self.numbers)
        specs = self.write(node.specs)
        if node.op is None:
            return f"%{number}={specs}"
        params = sorted(node.params.items())
        return f"%{number}={self.write(node.op)}{self.write(params)}{self.write(tuple(node.inputs))}{specs}"

    def graph(self, graph: Graph) -> str:
        """Return the text of a whole graph; captured arrays are inputs by reference."""
        sources = [*graph.inputs, *(node for node, _ in graph.captures)]
        return "\n".join([*map(self.node, sources), *map(self.node, graph.nodes), self.write(graph.outputs)])

    def function(self, f: FunctionType) -> str:
        """Return the text of a function: the library's by name, another with everything that it refers to."""
        own = f.__module__.startswith(_OWN)
        if own and "<" not in f.__qualname__ and f.__closure__ is None:
            return f"{f.__module__}.{f.__qualname__}"
        number = self.numbers.get(f)
        if number is not None:
            return f"@{number}"
        self.numbers[f] = len(self.numbers)
        free = f.__code__.co_freevars
        referenced = [(x.name, x.look()) for x in references(f) if not own or x.name in free]
        values = [(name, value) for name, value in referenced if value is not UNKNOWN]
        return f"{f.__qualname__}{_code(f.__code__)}{self.write((f.__defaults__, f.__kwdefaults__, values))}"


@lru_cache(maxsize=4096)
def _spec(spec: Spec) -> str:
    """Return the text of a shape and dtype: a graph has many nodes and few of these."""
    return f"({spec.shape},{spec.dtype.str})"


def _code(code: CodeType) -> str:
    """Return the digest of a function's instructions and constants."""
    digest = hashlib.sha256(code.co_code)
    for constant in code.co_consts:
        digest.update(_code(constant).encode() if isinstance(constant, CodeType) else repr(constant).encode())
    digest.update(repr((code.co_names, code.co_varnames, code.co_freevars)).encode())
    return digest.hexdigest()[:16]


def declaration(op: Op) -> str:
    """Return the digest of what is declared of an op, as it is now."""
    own = {name: value for name, value in vars(op).items() if name not in _WORDS}
    text = Writer().write([f"{type(op).__module__}.{type(op).__qualname__}", own])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def compiler() -> str:
    """Return the digest of the library's files that decide what code is made, and of the versions beneath them.

    Raises `UnfingerprintableError` where those files cannot be read, or have changed since they were loaded.
    """
    digest = hashlib.sha256(f"{np.__version__}\n".encode())
    try:
        for room in ROOMS:
            files = sorted((ROOT / room).rglob("*.py"))
            if not files:
                raise UnfingerprintableError(f"no source of {room}")
            for path in files:
                if path.stat().st_mtime > LOADED:
                    raise UnfingerprintableError(f"{path} was changed while the library was in use")
                digest.update(f"{path.relative_to(ROOT).as_posix()}\n".encode() + path.read_bytes())
    except OSError as error:
        raise UnfingerprintableError(str(error)) from None
    return digest.hexdigest()


def fingerprint(graph: Graph, donated: dict[int, int], target: Any) -> str | None:
    """Return the digest of all that the code of a graph depends on, or ``None`` where that cannot be told.

    >>> import bprop
    >>> from bprop.compile.runtime.fingerprint import fingerprint
    >>> def digest(f, *args):
    ...     return fingerprint(bprop.trace(f)(*args), {}, "a processor")
    >>> digest(lambda x: x * 2, bprop.ones(3)) == digest(lambda y: y * 2, bprop.zeros(3))
    True
    >>> digest(lambda x: x * 2, bprop.ones(3)) == digest(lambda x: x * 2.0, bprop.ones(3))
    False
    """
    try:
        text = "\n".join([compiler(), repr(target), repr(sorted(donated.items())), Writer().graph(graph)])
    except (UnfingerprintableError, RecursionError):
        return None
    return hashlib.sha256(text.encode()).hexdigest()
