"""Interpreters: what it means to apply an op.

Every transform has an interpreter, and interpreters form a stack: each one rests on the one ``below`` it. Applying an op
calls `Interpreter.bind` of the current interpreter. If no operand belongs to that interpreter, it passes the application
on to the one below. At the bottom of every stack is `Eager`, which computes with NumPy. It refuses values that belong to
an interpreter: such a value has outlived its transform. The current interpreter is a context variable, so every thread
has its own.

Cells (see `Cell`) are read and written through the stack, too. The first read under an interpreter lifts the cell's value
to the level of that interpreter. A write stays at its level until `Interpreter.close` hands it to the level below; if the
transform raises an error, it is never handed down.
"""

import threading
from collections.abc import Callable, Sequence
from contextvars import Context, ContextVar, Token
from typing import TYPE_CHECKING, Any

import numpy as np

from .conversion_error import explain_flat, explain_index, explain_unhashable
from .dtype import WEAK
from .error import BpropError, EscapedError
from .object_array import explain_objects
from .value import Array, Tracer, escaped

if TYPE_CHECKING:
    from .cell import Cell
    from .op import Op

Params = dict[str, Any]


class Interpreter:
    """One meaning of op applications, on top of the interpreter ``below``.

    Attributes
    ----------
    name : str
        How error messages call it.
    cells, written : dict
        The cells that were read or written at this level, with their values; those among them that were written.
    runs : bool
        What is traced here will run as a program, so checks of numbers have to be part of the program.
    guards : bool
        The program may assume that operands of products are finite: where one is not, another program runs.
    stages : bool
        Results have no numbers, even where all operands have: every application is traced.
    replayed : bool
        The applications are recorded or traced, and will be repeated with other numbers: by a program or a backward sweep.
    recorded : bool
        A backward sweep will go through the applications.
    differentiates : bool
        Values of this level may carry a derivative, which is lost if Python takes their number.
    gave_objects : bool
        NumPy has got object arrays of values of this level.
    """

    name = "interpreter"
    runs = False
    stages = False
    guards = False
    replayed = False
    recorded = False
    differentiates = True
    gave_objects = False

    def __init__(self, below: "Interpreter | None" = None) -> None:
        self.below: Interpreter = current() if below is None else below
        self.runs = self.below.runs
        self.guards = self.below.guards
        self.stages = self.below.stages
        self.replayed = self.replayed or self.below.replayed
        self.recorded = self.recorded or self.below.recorded
        self.cells: dict[Cell, Array] = {}
        self.written: dict[Cell, None] = {}

    def bind(self, op: "Op", args: tuple[Any, ...], params: Params) -> Any:
        """Apply ``op`` to ``args``, which may belong to any level; by default the level below does it."""
        return self.below.bind(op, args, params)

    def owns(self, value: Any) -> bool:
        """Return whether ``value`` was made by this interpreter."""
        return getattr(value, "owner", None) is self

    def lift_cell(self, cell: "Cell", value: "Array") -> "Array":
        """Return a value of this level for the ``value`` that ``cell`` has below; by default it is a constant here."""
        return value

    def lower(self, value: "Array") -> "Array":
        """Return what a value of this level is one level below; other values stay as they are."""
        return value

    def look(self, name: str, f: Callable[..., Any], args: Sequence[Any]) -> Any:
        """Return ``f`` of the numbers of ``args``; ``name`` says in messages who reads them."""
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
        """Hand the last value written to each cell to the level below, when the transform has ended without an error."""
        for cell in self.written:
            self.below.write(cell, self.lower(self.cells[cell]))
        self.written.clear()


FAILURES = (ValueError, TypeError, IndexError, OverflowError, MemoryError, np.linalg.LinAlgError)
"""What NumPy raises where an op cannot be computed; `Op.explain` makes an error of them that names the op."""


class _Quiet(threading.local):
    """``run(f, *args)`` calls ``f`` without NumPy's floating-point warnings, since NaN and infinity are values here.

    It runs ``f`` in a context, one per thread, in which the warnings are off. That costs 0.1 µs a call, `numpy.errstate`
    0.9 µs, and the user's own settings stay as they are.
    """

    def __init__(self) -> None:
        context = Context()
        context.run(np.seterr, all="ignore")
        self.run = context.run


QUIET = _Quiet()


class Eager(Interpreter):
    """The bottom of every stack: computes each application at once with NumPy."""

    name = "evaluation"

    def __init__(self) -> None:
        self.below = self
        self.cells = {}
        self.written = {}

    def bind(self, op: "Op", args: tuple[Any, ...], params: Params) -> Any:
        """Compute ``op`` on the numbers of ``args``."""
        if op.is_region:  # it applies ops itself, at this level
            for arg in args:
                self.data_of(op, arg)
            with using(self):
                return op.evaluate(*args, **params)
        y = self.compute(op, [arg.data if type(arg) is Array else self.data_of(op, arg) for arg in args], args, params)
        return tuple(map(Array, y)) if type(y) is tuple else Array(y)

    def compute(self, op: "Op", data: Sequence[Any], args: tuple[Any, ...], params: Params) -> Any:
        """Return what NumPy makes of ``data``, the numbers of ``args``."""
        if op.intercepted:
            for x in data:
                if x.real is not x:  # which it is of real numbers; twice as fast as to ask for the dtype
                    op.refuse_complex(data)
        try:
            return QUIET.run(op.evaluate, *data, **params)
        except BpropError:
            raise
        except FAILURES as error:
            raise op.explain(error, args, params) from None

    def data_of(self, op: "Op", arg: Any) -> Any:
        """Return the number or NumPy array behind ``arg``; raise `EscapedError` for a value of an ended transform."""
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
    """Make ``interpreter`` the current one inside a ``with`` block.

    It is a class with slots because `contextlib.contextmanager` costs 1 µs more a block.
    """

    __slots__ = ("interpreter", "token")

    def __init__(self, interpreter: Interpreter) -> None:
        self.interpreter = interpreter

    def __enter__(self) -> Interpreter:
        self.token: Token[Interpreter] = CURRENT.set(self.interpreter)
        return self.interpreter

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        CURRENT.reset(self.token)
        if error is None:
            return
        # in ``a[i] = x`` NumPy wraps our error in one of its own: raise ours
        if kind is ValueError and isinstance(error.__cause__, BpropError):
            raise error.__cause__
        if kind is ValueError and (flat := explain_flat(error, self.interpreter.name)) is not None:  # type: ignore[arg-type]
            raise flat from error
        if kind is TypeError and (unhashable := explain_unhashable(error)) is not None:  # type: ignore[arg-type]
            raise unhashable from error
        if self.interpreter.gave_objects and isinstance(error, TypeError | AttributeError | IndexError):
            explained = explain_index(error) if isinstance(error, IndexError) else explain_objects(error)
            if explained is not None:
                raise explained from error


EVALUATE = Eager()
CURRENT: ContextVar[Interpreter] = ContextVar("bprop_interpreter", default=EVALUATE)
current: Callable[[], Interpreter] = CURRENT.get


class StateScope(Interpreter):
    """A level that changes nothing but the state: what is written to cells stays here, unless the scope is closed.

    So code can be run again without repeating its writes. ``cells`` are the values that the code shall see, of an earlier
    moment for instance; other cells have the value of the level below.
    """

    name = "scope"

    def __init__(self, cells: "dict[Cell, Array] | None" = None, below: Interpreter | None = None) -> None:
        super().__init__(below)
        self.cells.update(cells or {})
