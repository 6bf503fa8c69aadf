"""Errors as part of the interface: each names the op, the shapes, the module path and the user's own line."""

import linecache
import os
import sys
from collections.abc import Container
from opcode import opmap
from types import CodeType, FrameType, FunctionType, ModuleType

from .printable import printable_lines

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
CALLERS = (
    "numpy", "scipy", "matplotlib", "pandas", "xarray", "sklearn", "statsmodels", "torch", "jax", "array_api_compat", "array_api_extra",
)  # fmt: skip
"""Packages that call bprop in between: a line of theirs is not the user's."""
STORES = frozenset(opmap[name] for name in ("STORE_SUBSCR", "STORE_SLICE") if name in opmap)
"""What ``a[i] = x`` becomes."""


def _package(frame: FrameType) -> str:
    """Return the name of the package that a frame's code is in."""
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


LIBRARY_LOOPS: set[CodeType] = set()
"""Code of bprop's that does the same for many parameters: what it applies is no loop in the user's line that calls it."""


def user_frame(before: Container[CodeType] = ()) -> FrameType | None:
    """Return the innermost frame outside bprop, NumPy and SciPy; none if code in ``before`` is met on the way."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code not in before:
        name = frame.f_code.co_filename
        if not (
            name.startswith((PACKAGE, "<frozen"))
            or "contextlib" in name
            or "functools" in name
            or _package(frame) in CALLERS
        ):
            return frame
        frame = frame.f_back
    return None


def user_place(before: Container[CodeType] = ()) -> tuple[str, int] | None:
    """Return file and line of the innermost frame outside bprop, or ``None`` where there is none.

    Nor is there one if a function whose code is in ``before`` is met on the way.
    """
    frame = user_frame(before)
    return None if frame is None else (frame.f_code.co_filename, frame.f_lineno)


def user_assigns() -> bool:
    """Return whether the user's line is at an assignment to entries, ``a[i] = x``."""
    frame = user_frame()
    return frame is not None and frame.f_code.co_code[frame.f_lasti] in STORES


def user_called() -> str:
    """Return the public name of the function of NumPy or SciPy that called bprop, "" if none written in Python did."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame = frame.f_back
    called = ""
    while frame is not None and (_package(frame) in CALLERS or "contextlib" in frame.f_code.co_filename):
        called, frame = _public_name(frame) or called, frame.f_back
    return called


def called_by_library() -> bool:
    """Return whether the caller of the caller is in a library of others: SciPy, say, with what a user's function returned."""
    return _package(sys._getframe(2)) in CALLERS


def changes_in_place() -> bool:
    """Return whether the caller of the caller may compute in the memory of what a user's function returned: GMRES does."""
    return _package(sys._getframe(2)) == "scipy"


def user_lists() -> bool:
    """Return whether an array function of NumPy that the user called asks a value for an array, as of a list of values.

    Where another library does, it computes in native code, which takes no array of objects.
    """
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and _package(frame) == "numpy" and frame.f_globals["__name__"] != "numpy.ma.core":
        frame = frame.f_back
    return frame is None or not (frame.f_code.co_filename.startswith(PACKAGE) or _package(frame) in CALLERS)


def sparse_product() -> str:
    """Return the name of the method of a sparse matrix of SciPy for products that asks a value for an array, "" for others."""
    frame = sys._getframe(2)
    name = frame.f_code.co_name
    return name if name in _SPARSE_PRODUCTS and str(frame.f_globals["__name__"]).startswith("scipy.sparse._") else ""


_SPARSE_PRODUCTS = ("_matmul_dispatch", "_rmatmul_dispatch", "dot")


def _public_name(frame: FrameType) -> str:
    """Return the name by which a user knows the function of a frame, "" if it has none."""
    name, parts = frame.f_code.co_qualname, str(frame.f_globals["__name__"]).split(".")
    first, last = name.partition(".")[0], name.rpartition(".")[2]
    if "<locals>" in name:  # the wrapper that a decorator made, of a public function, as of scipy.special.spherical_jn
        wrapped = (frame.f_locals.get(variable) for variable in frame.f_code.co_freevars)
        functions = (value for value in wrapped if isinstance(value, FunctionType))
        name = next((f.__name__ for f in functions if f.__module__.partition(".")[0] == parts[0]), name)
        first = last = name
    owner = type(frame.f_locals.get("self"))
    for count in range(2, len(parts) + 1 if owner.__module__.startswith(parts[0]) else 0):
        module = ".".join(parts[:count])
        for key, value in vars(sys.modules.get(module, object)).items():
            if type(value) is owner and key[0] != "_":  # a method, as of scipy.stats.norm; frozen, that is a copy
                return f"{module}.{key}.{last}".removesuffix(".__call__")
    if first[0] == "_" and "self" in frame.f_locals:  # a method of a base class that is not public
        first = type(frame.f_locals["self"]).__name__
        name = f"{first}.{last}"
    if first[0] == "_" or last[0] == "_":
        return ""
    for count in range(1, len(parts) + 1):  # numpy, then numpy.ma, then numpy.ma.core
        if parts[count - 1][0] == "_":
            break
        module = ".".join(parts[:count])
        attribute = getattr(sys.modules.get(module), first, None)
        if callable(attribute) and not isinstance(attribute, ModuleType):
            return f"{module}.{name}"
    return ""


def shown_place(position: tuple[str, int] | None) -> str:
    """Return ``file:line: source`` of a place, ``""`` of none."""
    if position is None:
        return ""
    name, line = position
    source = linecache.getline(name, line).strip()
    return f"{name}:{line}: {source}" if source else f"{name}:{line}"


def refused_at(error: BaseException) -> tuple[str, str]:
    """Return the public name of the function written in Python that raised an error, "" if none did, and the user's line."""
    called, position, trace = "", None, error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if _package(frame) in CALLERS:
            called = called or _public_name(frame)
        elif not frame.f_code.co_filename.startswith(PACKAGE):
            called, position = "", (frame.f_code.co_filename, trace.tb_lineno)
        trace = trace.tb_next
    return called, shown_place(position)


def raised_in(error: BaseException) -> tuple[FrameType, int] | None:
    """Return the innermost frame outside bprop, NumPy and SciPy that an error came through, and the instruction it was at."""
    innermost, trace = None, error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if _package(frame) not in CALLERS and not frame.f_code.co_filename.startswith(PACKAGE):
            innermost = frame, trace.tb_lasti
        trace = trace.tb_next
    return innermost


def user_source() -> str:
    """Return the source of the user's line alone."""
    position = user_place()
    return linecache.getline(*position).strip() if position else ""


def user_line() -> str:
    """Return ``file:line: source`` of the innermost frame outside bprop, or ``""`` where there is none.

    The stack is walked only when an error is being made, never on the way to a result.
    """
    return shown_place(user_place())


class BpropError(Exception):
    """Base class of every error that bprop raises on purpose.

    Attributes: ``message`` (what is wrong and what to do), ``line`` (the user's own source line), ``modules`` (path of the
    module being applied, outermost first) and ``step`` (in a loop of compiled steps: which, from 0; else ``None``).

    >>> import bprop
    >>> issubclass(bprop.ShapeError, bprop.BpropError) and issubclass(bprop.ShapeError, ValueError)
    True
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
        self.line = user_line()
        self.modules: list[str] = []
        self.step: int | None = None
        self.source: object = None  # the module noted last: the one around it knows its name

    def inside(self, module: str, source: object = None) -> None:
        """Note, while the error unwinds, that it happened inside ``module``."""
        self.modules.insert(0, module)
        self.source = source

    def __str__(self) -> str:
        text = self.message
        if self.modules:
            text += f"\n  in module {'.'.join(self.modules)}"
        if self.line:
            text += f"\n  at {self.line}"
        return printable_lines(text)  # a message may quote a file, and a traceback goes to a terminal


class ShapeError(BpropError, ValueError):
    """Shapes do not fit: the message names the op, the shapes and the offending axis."""


class AxisError(ShapeError, IndexError):
    """An axis is outside the axes of an array: a `ShapeError`, and an ``IndexError`` as NumPy's and the Array API's."""


class DTypeError(BpropError, TypeError):
    """Data types do not fit: the message names the op and the data types."""


class IndexingError(BpropError, IndexError):
    """An index is outside its axis, or is not an index at all."""


class ArgumentError(BpropError, TypeError):
    """A function was called with an argument it does not take."""


class UnreachedError(BpropError, ValueError):
    """The result does not depend on an argument that a derivative was asked for."""


class EscapedError(BpropError, RuntimeError):
    """A value was used after the transform that made it had ended."""


class TracedValueError(BpropError, TypeError):
    """A number was asked of a value that has none yet (Python ``if``, ``float``, NumPy conversion)."""


class DerivativeError(BpropError, TypeError):
    """A derivative was asked for that does not exist or is not defined here."""


class NumPyFunctionError(BpropError, TypeError):
    """A NumPy function without a bprop rule was called on a bprop array."""


class CompileError(BpropError, RuntimeError):
    """A graph cannot be turned into native code: the message says what, why and where."""


class VerificationError(BpropError, ArithmeticError):
    """A compiled call gave other numbers than the eager one. ``verification`` holds the differences of all results."""

    def __init__(self, message: str, verification: object = None) -> None:
        super().__init__(message)
        self.verification = verification


class NonFiniteError(BpropError, ArithmeticError):
    """A loss or gradient became NaN or infinite."""


class AllocationError(BpropError, MemoryError):
    """There is no memory for an array: the message names whose it is, and how much it takes."""


class StateError(BpropError, RuntimeError):
    """A call came at the wrong time, such as ``bprop`` without an ``fprop`` before it."""


class UnreachedWarning(UserWarning):
    """The result does not depend on some parameters of a module; their gradients are zeros."""


class CompileWarning(UserWarning):
    """A compiled function traces or compiles more often than it needs to, or a solver's function cannot be compiled."""


__all__ = [
    "AllocationError",
    "ArgumentError",
    "AxisError",
    "BpropError",
    "CompileError",
    "CompileWarning",
    "DTypeError",
    "DerivativeError",
    "EscapedError",
    "IndexingError",
    "NonFiniteError",
    "NumPyFunctionError",
    "ShapeError",
    "StateError",
    "TracedValueError",
    "UnreachedError",
    "UnreachedWarning",
    "VerificationError",
]
