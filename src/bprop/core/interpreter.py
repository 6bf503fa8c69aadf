"""Interpreters: what an op application means. The current one is a context variable, so threads never share it.

Interpreters form a stack through ``below``. An application goes to the current interpreter; one that meets no value
of its own passes it on. At the bottom sits `Eager`, which refuses any value whose owner is not on the stack:
that is how a value used after its transform has ended is caught.

Cells (parameters, running statistics, optimiser slots, generator counters) are the only mutable leaves. Reading
and writing them also goes through the stack: the first read under an interpreter lifts the value to its level,
writes stay at that level, and `Interpreter.close` lowers the last write of each by one level.
"""

import threading
from collections.abc import Callable, Sequence
from contextvars import Context, ContextVar, Token
from typing import TYPE_CHECKING, Any

import numpy as np

from .dtype import WEAK
from .error import BpropError, EscapedError
from .value import Array, Tracer, escaped

if TYPE_CHECKING:
    from .cell import Cell
    from .op import Op

Params = dict[str, Any]


class Interpreter:
    """One meaning of op applications, resting on the interpreter ``below``.

    ``runs``: what is staged here will run on numbers, so that refusing wrong ones is part of it. ``guards``: it may rest on
    operands being finite, since another program runs where one is not. ``stages``: results have no numbers here, even those
    of operands that have. ``replayed``: what is applied here is gone through again later, by a program or a backward sweep,
    with numbers that nobody has seen yet.
    """

    name = "interpreter"
    runs = False
    stages = False
    guards = False
    replayed = False
    differentiates = True
    """Whether values of this level may carry a derivative, which would be lost with their numbers alone."""

    def __init__(self, below: "Interpreter | None" = None) -> None:
        self.below: Interpreter = current() if below is None else below
        self.runs = self.below.runs
        self.guards = self.below.guards
        self.stages = self.below.stages
        self.replayed = self.replayed or self.below.replayed
        self.cells: dict[Cell, Array] = {}
        self.written: dict[Cell, None] = {}

    def bind(self, op: "Op", args: tuple[Any, ...], params: Params) -> Any:
        """Apply ``op``; the default meaning is the one below."""
        return self.below.bind(op, args, params)

    def owns(self, value: Any) -> bool:
        """Return whether ``value`` was made by this interpreter."""
        return getattr(value, "owner", None) is self

    def lift_cell(self, cell: "Cell", value: "Array") -> "Array":
        """Turn a cell's value from the level below into one of this level; a constant needs no change."""
        return value

    def lower(self, value: "Array") -> "Array":
        """Turn a value of this level into one of the level below."""
        return value

    def look(self, name: str, f: Callable[..., Any], args: Sequence[Any]) -> Any:
        """Return ``f`` of the numbers of ``args``; ``name`` is what looks at them, for messages."""
        return self.below.look(name, f, [self.lower(arg) if self.owns(arg) else arg for arg in args])

    def read(self, cell: "Cell") -> "Array":
        """Return the cell's value at this level."""
        value = self.cells.get(cell)
        if value is None:
            value = self.lift_cell(cell, self.below.read(cell))
            self.cells[cell] = value
        return value

    def write(self, cell: "Cell", value: "Array") -> None:
        """Set the cell's value at this level."""
        self.cells[cell] = value
        self.written[cell] = None

    def close(self) -> None:
        """Hand the last write of every cell to the level below."""
        for cell in self.written:
            self.below.write(cell, self.lower(self.cells[cell]))
        self.written.clear()


class _Quiet(threading.local):
    """Per thread, ``run(f, *args)`` with NumPy's floating-point warnings off: NaN and inf are values here.

    A prepared context costs 0.1 µs a call, `numpy.errstate` 0.9 µs, and the user's own settings stay untouched.
    """

    def __init__(self) -> None:
        context = Context()
        context.run(np.seterr, all="ignore")
        self.run = context.run


QUIET = _Quiet()


class Eager(Interpreter):
    """The bottom: every op application is computed at once with NumPy."""

    name = "evaluation"

    def __init__(self) -> None:
        self.below = self
        self.cells = {}
        self.written = {}

    def bind(self, op: "Op", args: tuple[Any, ...], params: Params) -> Any:
        """Compute ``op`` on the numbers of ``args``."""
        if op.is_region:  # it applies ops itself, at this level
            for arg in args:
                self.plain(op, arg)
            with using(self):
                return op.evaluate(*args, **params)
        data = [arg.data if type(arg) is Array else self.plain(op, arg) for arg in args]
        try:
            y = QUIET.run(op.evaluate, *data, **params)
        except BpropError:
            raise
        except (ValueError, TypeError, IndexError, OverflowError, np.linalg.LinAlgError) as error:
            raise op.explain(error, args, params) from None
        return tuple(map(Array, y)) if type(y) is tuple else Array(y)

    def plain(self, op: "Op", arg: Any) -> Any:
        """Return the number or NumPy array behind ``arg``, refusing values of interpreters not on the stack."""
        if isinstance(arg, WEAK):
            return arg
        if isinstance(arg, Tracer):
            raise escaped(arg, op.name)
        return arg.data

    def look(self, name: str, f: Callable[..., Any], args: Sequence[Any]) -> Any:
        for arg in args:
            if isinstance(arg, Tracer):
                raise escaped(arg, name)
        return f(*(arg.numpy() for arg in args))

    def read(self, cell: "Cell") -> Array:
        """Return the cell's array."""
        return cell.expose()

    def write(self, cell: "Cell", value: Array) -> None:
        """Replace the cell's array."""
        if isinstance(value, Tracer):
            raise EscapedError(
                f"writing {cell.name or 'a cell'}: a value {value.spec} made inside {value.owner.name} cannot be kept "
                f"after that transform has ended"
            )
        cell.store(value)


class using:  # noqa: N801 - reads as a statement: `with using(interpreter):`
    """Make ``interpreter`` the current one inside a ``with`` block (a slotted class: contextlib costs 1 µs)."""

    __slots__ = ("interpreter", "token")

    def __init__(self, interpreter: Interpreter) -> None:
        self.interpreter = interpreter

    def __enter__(self) -> Interpreter:
        self.token: Token[Interpreter] = CURRENT.set(self.interpreter)
        return self.interpreter

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        CURRENT.reset(self.token)
        # NumPy puts a text of its own over an error of ours in ``a[i] = x``
        if kind is ValueError and isinstance(error.__cause__, BpropError):  # type: ignore[union-attr]
            raise error.__cause__  # type: ignore[union-attr]


EVALUATE = Eager()
CURRENT: ContextVar[Interpreter] = ContextVar("bprop_interpreter", default=EVALUATE)
current: Callable[[], Interpreter] = CURRENT.get


class StateScope(Interpreter):
    """A transparent level that keeps cell writes to itself: code can be run again without repeating its effects.

    ``cells`` may be preset, so that the code sees the values of an earlier moment; a discarded scope is never closed.
    """

    name = "scope"

    def __init__(self, cells: "dict[Cell, Array] | None" = None, below: Interpreter | None = None) -> None:
        super().__init__(below)
        self.cells.update(cells or {})
