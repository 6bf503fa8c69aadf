"""Way 2, numerical differentiation: vary one entry at a time and look at how much the result changes.

For n entries f is evaluated n times or more: with a network's million weights, a million forward passes for one
gradient. It needs nothing but f itself, which makes it the check of every other way. The step is a compromise: too
large and the curvature of f is seen, too small and only its rounding is.

================ =========================================== ============== ==========================
scheme           formula                                     evaluations    relative error, float64
================ =========================================== ============== ==========================
``central``      (f(x + h) - f(x - h)) / 2h, h ~ ε^(1/3)     2n             10⁻¹⁰
``forward``      (f(x + h) - f(x)) / h, h ~ ε^(1/2)          n + 1          10⁻⁸
``complex``      Im f(x + ih) / h, h = ε²                    n              10⁻¹⁶
``richardson``   central, extrapolated to h = 0              16n            10⁻¹², with an error estimate
================ =========================================== ============== ==========================

**Source:** Leibe (2016), numerical differentiation; Nocedal & Wright (2006), Numerical Optimization, §8.1; Ridders
(1982), Accurate computation of F'(x) and F'(x)F''(x); Squire & Trapp (1998).
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..core import dtype as dtypes
from ..core.error import ArgumentError, DTypeError
from ..core.interpreter import using
from ..core.shape import size_of
from ..core.tree import Structure, unflatten
from ..core.value import Array, asarray
from ..ops import astype, broadcast_to, imag, real, reshape, stop_gradient, where, zeros
from .argument import Arguments
from .complex_step import ComplexStep, ComplexValue, complex_refused
from .variable import Argnums, as_arrays, check_differentiable, name_of, refuse_arguments

Scheme = Literal["central", "forward", "complex", "richardson"]
LEVELS = 8
"""Step sizes of Richardson's extrapolation: h, h/2, … h/128."""
NOISE = 2
"""Rounding errors of f, in units of its last place, that the error estimate allows for."""

SLOPE_LEVELS = 10
"""Step sizes of `slopes`: h, h/2, … h/512."""
SLOPE_NOISE = 8
"""Rounding errors of f, in units of its last place, that the estimate of `slopes` allows for: it decides on a verdict."""

Numbers = NDArray[Any]


def numerical(
    f: Callable[..., Any],
    argnums: Argnums = 0,
    scheme: Scheme = "central",
    step: Any = None,
    *,
    error: bool = False,
    dtype: DTypeLike | None = None,
) -> Callable[..., Any]:
    """Return a function that gives the derivative of ``f`` by differences; see the module for the schemes.

    The gradient of a scalar function has the structure of argument ``argnums``; a result of shape s gives a Jacobian of
    shape s + t for an argument of shape t; of complex numbers as in `grad` and `jacobian`. ``step``: h, a number or an array for every argument alike; by default what
    balances truncation and rounding in the argument's dtype, times max(1, |x|). ``error=True`` (scheme
    ``"richardson"``): returns the pair (derivative, estimate of its error). ``dtype``: convert floating-point arguments
    first; differences of float32 keep three digits, so ``dtype="float64"`` is advised. The derivative keeps the dtype of
    its argument.

    Differences are made of ops: they can be differentiated, batched and traced. The complex step needs numbers and is
    refused inside other transforms and for ops without a complex form. Raises `ArgumentError` naming the schemes.

    **Source:** Leibe (2016), numerical differentiation; Ridders (1982).

    >>> import bprop, numpy as np
    >>> bprop.numerical(lambda x: np.sum(x**3))(np.array([1.0, 2.0]))
    Array([ 3., 12.])
    >>> bool(bprop.numerical(bprop.exp, scheme="complex")(1.0) == np.exp(1.0))
    True
    >>> gradient, error = bprop.numerical(bprop.exp, scheme="richardson", error=True)(1.0)
    >>> bool(abs(gradient - np.exp(1.0)) < error), bool(error < 1e-10)
    (True, True)
    """
    if scheme not in get_args(Scheme):
        raise ArgumentError(f"numerical: scheme is one of {', '.join(map(repr, get_args(Scheme)))}, not {scheme!r}")
    if error and scheme != "richardson":
        raise ArgumentError(f"numerical: error=True needs scheme='richardson'; {scheme!r} does not estimate its error")
    refuse_arguments(argnums, "numerical")
    what = f"numerical derivative of {name_of(f)}"
    wanted = None if dtype is None else _floating(dtypes.check(dtype, what), what)

    @wraps(f, updated=())
    def differentiated(*args: Any, **options: Any) -> Any:
        arguments = Arguments(f, args, options, argnums, what)
        values = [_converted(value, wanted) for value in arguments.values]
        columns: list[list[Any]] = []
        errors: list[list[Any]] = []
        structure: Structure | None = None
        for position in arguments.chosen:
            line = _Line(arguments, values, position, what)
            by = _by_complex if values[position].dtype.kind == "c" else _derivative
            column, moved = by(line, values[position], scheme, step)
            kind = arguments.values[position].dtype
            columns.append([_in_precision(entry, kind) for entry in column])
            errors.append([_in_precision(entry, kind) for entry in moved])
            structure = line.structure
        assert structure is not None
        gradient = unflatten(structure, [arguments.tree(row) for row in zip(*columns, strict=True)])
        if not error:
            return gradient
        return gradient, unflatten(structure, [arguments.tree(row) for row in zip(*errors, strict=True)])

    return differentiated


def _floating(dtype: Any, what: str) -> Any:
    if not dtypes.is_float(dtype):
        raise DTypeError(f"{what}: dtype is a floating-point one, not {dtype}")
    return dtype


def _converted(value: Array, dtype: Any) -> Array:
    return value if dtype is None or not dtypes.is_inexact(value.dtype) else _in_precision(value, dtype)


def _in_precision(value: Array, dtype: Any) -> Array:
    """Return ``value`` in the precision of ``dtype``; complex numbers stay complex."""
    wanted = dtypes.to_complex(dtype) if value.dtype.kind == "c" else dtypes.to_real(dtype)
    return value if value.dtype == wanted else astype(value, wanted)


class _Line:
    """The flat results of f as a function of one of its values."""

    def __init__(self, arguments: Arguments, values: Sequence[Array], position: int, what: str) -> None:
        self.arguments = arguments
        self.values = list(values)
        self.position = position
        self.what = what
        self.structure: Structure | None = None
        self.embed: Callable[[Any], Any] = lambda value: value
        """From what is varied to the argument: of a complex one, the real or the imaginary part is."""

    def __call__(self, value: Any) -> list[Array]:
        values = list(self.values)
        values[self.position] = self.embed(value)
        ys, self.structure = as_arrays(self.arguments(values), self.what)
        for y in ys:
            check_differentiable(y, self.what, self.values[self.position])
        return ys


def _by_complex(line: _Line, z: Array, scheme: Scheme, step: Any) -> tuple[list[Any], list[Any]]:
    """Return ∂y/∂Re z + i ∂y/∂Im z, and likewise of the errors."""
    if scheme == "complex":
        raise complex_refused(line.what)
    x, y = real(z), imag(z)
    line.embed = lambda value: value + 1j * y
    by_real = _derivative(line, x, scheme, step)
    line.embed = lambda value: x + 1j * value
    by_imag = _derivative(line, y, scheme, step)
    column, error = (
        [first + 1j * second for first, second in zip(*pair, strict=True)]
        for pair in zip(by_real, by_imag, strict=True)
    )
    return column, error


def _derivative(line: _Line, x: Array, scheme: Scheme, step: Any) -> tuple[list[Any], list[Any]]:
    """Return the derivatives of all results by every entry of ``x``, and the error estimates (Richardson only)."""
    h = _steps(x, scheme, step, line.what)
    if scheme == "complex":
        return _by_entry(x, lambda basis: (_complex(line, x, h, basis), []), line)
    if scheme == "forward":
        y = line(x)
        return _by_entry(x, lambda basis: (_forward(line, x, h, basis, y), []), line)
    if scheme == "central":
        return _by_entry(x, lambda basis: (_central(line, x, h, basis), []), line)
    return _by_entry(x, lambda basis: _richardson(line, x, h, basis), line)


def _by_entry(
    x: Array, difference: Callable[[Any], tuple[list[Any], list[Any]]], line: _Line
) -> tuple[list[Any], list[Any]]:
    """Put the differences for every entry of ``x`` together: shape s + t from results of shape s."""
    totals: tuple[list[Any], list[Any]] = ([], [])
    for position in range(size_of(x.shape)):
        basis = np.zeros(size_of(x.shape), bool)
        basis[position] = True
        for total, parts in zip(totals, difference(asarray(basis.reshape(x.shape))), strict=True):
            for number, part in enumerate(parts):
                wide = reshape(part, part.shape + (1,) * len(x.shape))
                if position == 0:
                    total.append(broadcast_to(wide, part.shape + x.shape))
                else:  # chosen, not added: a NaN in one entry stays there
                    total[number] = where(asarray(basis.reshape(x.shape)), wide, total[number])
    if size_of(x.shape) == 0:
        empty = [zeros(y.shape + x.shape, dtype=x.dtype) for y in line(x)]
        return empty, empty
    return totals


# --- steps ---
def _steps(x: Array, scheme: Scheme, step: Any, what: str) -> Array:
    """Return h for every entry; where the numbers are known such that x + h differs from x by exactly h."""
    if step is not None:
        h = asarray(step)
        if h.shape not in ((), x.shape):
            raise ArgumentError(f"{what}: step has shape {h.shape}, the argument {x.shape}")
        h = broadcast_to(astype(h, x.dtype), x.shape)
    else:
        epsilon = float(np.finfo(x.dtype).eps)
        fixed = stop_gradient(x)
        size = where(fixed < 0, -fixed, fixed)
        if scheme == "complex":  # nothing is subtracted, so the step may be as small as the numbers allow
            return where(size > 0, size, 1) * epsilon**2
        power = {"central": 1 / 3, "forward": 1 / 2, "richardson": 0}[scheme]
        # powers of two; Ridders starts with a large step
        h = where(size > 1, size, 1) * (2.0**-3 if scheme == "richardson" else 2.0 ** round(np.log2(epsilon**power)))
    if scheme == "complex":
        return h
    fixed = stop_gradient(x)
    return (fixed + h) - fixed


# --- schemes, along one entry ---
def _step_of(h: Any, basis: Any) -> Any:
    """Return the step of the one entry that ``basis`` marks, as a scalar."""
    return where(basis, h, 0).sum()


def _central(line: _Line, x: Any, h: Any, basis: Any) -> list[Any]:
    return [slope for slope, _ in _central_with_noise(line, x, h, basis)]


def _central_with_noise(line: _Line, x: Any, h: Any, basis: Any) -> list[tuple[Any, Any]]:
    """Return the differences, each with how far rounding of f in its last places can move it."""
    move = where(basis, h, 0)
    above, below = line(x + move), line(x - move)
    width = 2 * _step_of(h, basis)
    return [
        ((up - down) / _as(width, up), NOISE * float(np.finfo(up.dtype).eps) * (abs(up) + abs(down)) / _as(width, up))
        for up, down in zip(above, below, strict=True)
    ]


def _forward(line: _Line, x: Any, h: Any, basis: Any, ys: list[Any]) -> list[Any]:
    above = line(x + where(basis, h, 0))
    width = _step_of(h, basis)
    return [(up - y) / _as(width, y) for up, y in zip(above, ys, strict=True)]


def _as(width: Any, y: Any) -> Any:
    return width if width.dtype == y.dtype else astype(width, y.dtype)


def _complex(line: _Line, x: Array, h: Array, basis: Any) -> list[Any]:
    owner = ComplexStep()
    steps = np.where(basis.data, h.data, 0)
    with using(owner):
        ys = line(ComplexValue(owner, x.data + 1j * steps))
    width = float(steps.sum())
    return [
        asarray((y.complex.imag / width).astype(x.dtype))
        if isinstance(y, ComplexValue) and y.owner is owner
        else zeros(y.shape, dtype=x.dtype)
        for y in ys
    ]


def extrapolated(slope: Any, coarser: Sequence[Any]) -> list[Any]:
    """Return the next row of Richardson's tableau: ``slope`` by central differences, then without h², h⁴, … in its error.

    ``coarser`` is the row of twice the step, empty for the first.
    """
    row = [slope]
    for order, value in enumerate(coarser, start=1):
        row.append(row[-1] + (row[-1] - value) / (4.0**order - 1))
    return row


def _richardson(line: _Line, x: Any, h: Any, basis: Any) -> tuple[list[Any], list[Any]]:
    """Extrapolate central differences to h = 0; return the derivative of every result, and its estimated error."""
    tableaus: list[_Tableau] = []
    for level in range(LEVELS):
        pairs = _central_with_noise(line, x, h * 2.0**-level, basis)
        tableaus = tableaus or [_Tableau(slope) for slope, _ in pairs]
        for tableau, (slope, noise) in zip(tableaus, pairs, strict=True):
            tableau.add(slope, noise)
    return [tableau.best for tableau in tableaus], [tableau.total_error() for tableau in tableaus]


class _Tableau:
    """Richardson's tableau of one result.

    ``best`` is the entry that differs least from its neighbours, and ``error`` that difference, with what rounding adds:
    as much as f's last place, and as much as the finest differences scatter, which is ε/h and so less by the ratio of
    the steps. A tableau whose diagonal gets worse is not continued: only rounding is extrapolated.
    """

    def __init__(self, first: Any) -> None:
        self.rows: list[list[Any]] = []
        self.best = first
        self.step = first * 0 + 1.0
        error = first * 0 + float("inf")
        self.error = where(error == error, error, float("inf"))
        self.stopped = self.error < 0

    def add(self, slope: Any, noise: Any) -> None:
        """Add the row that begins with ``slope``, which rounding of f can move by ``noise``."""
        coarser = self.rows[-1] if self.rows else []
        row = extrapolated(slope, coarser)
        self.rows.append(row)
        for order in range(1, len(row)):
            moved = _larger(abs(row[order] - row[order - 1]), abs(row[order] - coarser[order - 1])) + noise
            if order < len(coarser):  # three neighbours agree by chance less often than two
                moved = _larger(moved, abs(row[order] - coarser[order]))
            better = (moved < self.error) & ~self.stopped
            self.best = where(better, row[order], self.best)
            self.error = where(better, moved, self.error)
            self.step = where(better, 2.0 ** (1 - len(self.rows)), self.step)
        if coarser:
            self.stopped = self.stopped | (abs(row[-1] - coarser[-1]) >= 2 * self.error)

    def total_error(self) -> Any:
        """Return the error with what the finest differences scatter."""
        error = self.error
        for coarser, row in ((self.rows[-3], self.rows[-2]), (self.rows[-2], self.rows[-1])):
            error = _larger(error, 3 * abs(row[2] - coarser[2]) * 2.0 ** (1 - LEVELS) / self.step)
        return error


def _larger(first: Any, second: Any) -> Any:
    return where(second > first, second, first)


# --- of a function of one number, with the slopes from both sides: for the gradient check ---
class Slopes(NamedTuple):
    """Derivative, its estimated error, slopes from left and right (NaN unless they differ), size of f."""

    value: Numbers
    error: Numbers
    left: Numbers
    right: Numbers
    size: Numbers


def slopes(f: Callable[[float], Numbers], x: float, dtype: "np.dtype[Any]") -> Slopes:
    """Return the derivative of ``f`` at ``x`` by Ridders' method, an array entry per result of ``f``.

    ``f`` gives float64 numbers that are as exact as ``dtype``, which ``x`` has. What `numerical` does not see is seen
    here: where the slopes from the left and from the right differ, half the difference is the error.
    """
    with np.errstate(all="ignore"):  # beyond the domain of f are NaNs, which the verdict knows
        scale = 0.1 if dtype == np.float64 else 0.5  # the smaller precision needs the larger step
        result = _ridders(f, x, dtype, max(abs(x), scale))
        if 0 < abs(x) < scale and not np.all(result.error <= 1e-6 * np.abs(result.value)):
            closer = _ridders(f, x, dtype, abs(x))  # f may vary as fast as log does near 0
            pairs = zip(closer, result, strict=True)
            result = Slopes(*(np.where(closer.error < result.error, new, old) for new, old in pairs))
        return result


def _ridders(f: Callable[[float], Numbers], x: float, dtype: "np.dtype[Any]", scale: float) -> Slopes:
    y = f(x)
    epsilon = float(np.finfo(dtype).eps)
    first = 2.0 ** np.round(np.log2(scale / 4))
    best, error = np.full(y.shape, np.nan), np.full(y.shape, np.inf)
    gap = left = right = np.zeros(y.shape)
    kink = np.zeros(y.shape, bool)
    size = np.abs(y)
    row: list[Numbers] = []
    for level in range(SLOPE_LEVELS):
        h = first / 2**level
        above, below = float(dtype.type(x + h)), float(dtype.type(x - h))  # as the argument's dtype can hold them
        f_above, f_below = f(above), f(below)
        size = np.maximum(size, np.maximum(np.abs(f_above), np.abs(f_below)))
        noise = SLOPE_NOISE * epsilon * np.maximum(np.maximum(np.abs(f_above), np.abs(f_below)), np.abs(y)) / h
        coarser, row = row, extrapolated((f_above - f_below) / (above - below), row)
        for order, value in enumerate(coarser, start=1):
            moved = np.maximum(np.abs(row[order] - row[order - 1]), np.abs(row[order] - value)) + noise
            better = moved < error
            best, error = np.where(better, row[order], best), np.where(better, moved, error)
        before, left, right = gap, (y - f_below) / (x - below), (f_above - y) / (above - x)
        gap = np.abs(right - left)
        # where f is smooth both slopes approach each other as fast as h shrinks; at a kink they do not
        kink = (gap > 0.75 * before) & (gap > 4 * noise)
    error = np.where(kink, gap / 2, error)
    return Slopes(best, error, np.where(kink, left, np.nan), np.where(kink, right, np.nan), size)


__all__ = ["Slopes", "numerical", "slopes"]
