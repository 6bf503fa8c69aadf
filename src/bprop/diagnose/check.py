"""`check`: is the derivative right? Reverse mode against numerical differentiation, with a verdict per entry.

Central differences D(h) = (f(x + h) - f(x - h)) / 2h have an error in even powers of h, which Richardson's
extrapolation removes one after the other; how much the last two removals moved the value is the estimate of
what is left (Ridders). A number without an error estimate proves nothing: where the estimate is too large, or
where the slopes from the left and from the right differ, the verdict is *undecidable*, not *wrong*.

**Source:** Ridders (1982), Accurate computation of F'(x) and F'(x)F''(x), Advances in Engineering Software 4.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from math import isfinite
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.cell import Cell
from ..core.dtype import is_inexact, to_real
from ..core.error import ArgumentError, DTypeError
from ..core.interpreter import StateScope, using
from ..core.tree import flatten, unflatten
from ..core.value import asarray
from ..gradients.numerical import slopes
from ..gradients.transform import pullback_of
from ..gradients.variable import Variables, both_forms

Verdict = Literal["agree", "disagree", "undecidable"]


class Entry(NamedTuple):
    """The comparison of one derivative: of entry ``result`` with respect to entry ``argument``."""

    result: str
    argument: str
    reverse: float
    numerical: float
    error: float
    verdict: Verdict
    why: str = ""

    def __str__(self) -> str:
        name = f"∂{self.result}/∂{self.argument}"
        numbers = f"reverse {self.reverse:<14.8g} numerical {self.numerical:.8g} ± {self.error:.1g}"
        return f"{self.verdict:<12} {name:<24} {numbers}" + (f"   ({self.why})" if self.why else "")


class Report:
    """What `check` found: ``entries``, and ``ok`` unless one of them disagrees. Print it to read it."""

    def __init__(self, name: str, entries: Sequence[Entry]) -> None:
        self.name = name
        self.entries = tuple(entries)

    def count(self, verdict: Verdict) -> int:
        """Return the number of entries with ``verdict``."""
        return sum(entry.verdict == verdict for entry in self.entries)

    @property
    def ok(self) -> bool:
        """Whether no entry disagrees."""
        return self.count("disagree") == 0

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        counts = [(verdict, self.count(verdict)) for verdict in ("agree", "disagree", "undecidable")]
        lines = [f"check of {self.name}: " + ", ".join(f"{number} {verdict}" for verdict, number in counts)]
        order = {"disagree": 0, "undecidable": 1, "agree": 2}
        shown = sorted(self.entries, key=lambda entry: order[entry.verdict])  # stable: entries keep their order
        lines += [f"  {entry}" for entry in shown[:20]]
        if len(shown) > 20:
            lines.append(f"  … and {len(shown) - 20} more in .entries")
        return "\n".join(lines)

    __repr__ = __str__


@both_forms
def check(f: Callable[..., Any], /, *args: Any, argnums: int | Sequence[int] = 0) -> Report:
    """Compare the derivative of ``f`` by reverse mode with numerical differentiation and return a `Report`.

    ``f`` returns an array of any shape or a tree of them; every entry of the result is compared with respect
    to every entry of the arguments ``argnums`` (for a module: of its parameters). Nothing is raised where they
    differ. An entry is *agree*, *disagree* (they differ by more than the estimated error), or *undecidable*
    (the numerical derivative is too inexact, or ``f`` has a kink or a tie there). In float64 derivatives that
    differ by a millionth are told apart, in float32 by 1 % at best: check in float64. Of complex numbers the real and the
    imaginary part are entries. ``check(f)(*args)`` is the same.

    **Source:** Ridders (1982).

    >>> import bprop
    >>> from bprop.diagnose import check
    >>> report = check(lambda x: bprop.sum(x * x), bprop.asarray([1.0, -3.0]))
    >>> report.ok, [entry.verdict for entry in report.entries]
    (True, ['agree', 'agree'])
    >>> print(check(bprop.abs, 0.0))
    check of abs: 0 agree, 0 disagree, 1 undecidable
      undecidable  ∂y/∂x                    reverse 0              numerical 0 ± 1   (a kink: slopes -1 and 1)
    """
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for number in numbers:
        if not -len(args) <= number < len(args):
            raise ArgumentError(f"check: argnums names argument {number}, but {len(args)} were given")
    chosen = [number % len(args) for number in numbers]

    def partial(*values: Any) -> Any:
        new = list(args)
        for number, value in zip(chosen, values, strict=True):
            new[number] = value
        return f(*new)

    name = getattr(f, "__name__", type(f).__name__)
    partial.__name__ = name
    variables = _Numbers([args[number] for number in chosen], chosen)
    reverse, labels, dtype = _reverse(partial, variables, f"check of {name}")
    rows: list[list[Entry]] = [[] for _ in labels]
    column = 0
    for position, (label, values) in enumerate(zip(variables.labels, variables.values, strict=True)):
        for index in np.ndindex(values.shape):
            # the precision is that of the argument or of the result, whichever is smaller
            coarse = max(dtype, values.dtype, key=lambda kind: np.finfo(kind).eps)
            columns = slopes(variables.along(partial, position, index), float(values[index]), coarse)
            epsilon, argument = float(np.finfo(coarse).eps), label + _subscript(index)
            for row, result, x_bar, *slope in zip(rows, labels, reverse[:, column], *columns, strict=True):
                row.append(_entry(result, argument, x_bar, tuple(slope), epsilon))
            column += 1
    return Report(name, [entry for row in rows for entry in row])


def _subscript(index: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, index))}]" if index else ""


class _Numbers:
    """The floating-point numbers of the arguments: arrays in trees, and the parameters of modules.

    They come in the order in which a gradient holds them, where the paths of parameters are sorted.
    """

    def __init__(self, arguments: list[Any], numbers: list[int]) -> None:
        self.arguments = arguments
        self.variables = [
            Variables(argument, f"check: argument {number}")
            for argument, number in zip(arguments, numbers, strict=True)
        ]
        self.values: list[NDArray[Any]] = []
        self.labels: list[str] = []
        self.sources: list[tuple[int, int, NDArray[Any], str]] = []
        """Which of the variables of which argument, its numbers, and which part of them."""
        for position, (number, variables) in enumerate(zip(numbers, self.variables, strict=True)):
            letter = "x" if numbers == [0] else f"x{number}"
            labels = list(_labels(letter, variables))
            for index in flatten(variables.result(range(len(labels))))[0]:
                value = np.array(variables.read()[index].numbers("check"))
                for part, entries in _parts(value):
                    self.labels.append(labels[index] + part)
                    self.values.append(entries)
                    self.sources.append((position, index, value, part))

    def along(self, f: Callable[..., Any], variable: int, index: tuple[int, ...]) -> Callable[[float], NDArray[Any]]:
        """Return the function of one number that puts it at ``index`` of a variable."""
        position, number, numbers, part = self.sources[variable]
        variables = self.variables[position]
        source = variables.values[number]

        def line(x: float) -> NDArray[Any]:
            value = numbers.copy()
            getattr(value, part.removeprefix(".") or "real")[index] = x
            arguments = list(self.arguments)
            new = [*variables.values[:number], asarray(value), *variables.values[number + 1 :]]
            arguments[position] = variables.argument(new)
            cells = {source: asarray(value)} if isinstance(source, Cell) else {}
            with using(StateScope(cells=cells)):  # writes of f are discarded
                return np.concatenate([part.ravel() for _, part in _results(f(*arguments))] or [np.zeros(0)])

        return line


def _labels(letter: str, variables: Variables) -> Iterator[str]:
    """Yield how the variables of an argument are called in the report."""
    for position, slot in enumerate(variables.slots):
        if slot is None:
            yield letter if len(variables.slots) == 1 else f"{letter}.{position}"
        else:
            yield from (f"{letter}.{path}" for path in slot)


def _results(tree: Any) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the floating-point results as (label, float64 numbers)."""
    leaves = [asarray(leaf) for leaf in flatten(tree)[0]]
    for number, leaf in enumerate(leaves):
        if is_inexact(leaf.dtype):
            for part, entries in _parts(leaf.numbers("check")):
                yield ("y" if len(leaves) == 1 else f"y.{number}") + part, np.asarray(entries, np.float64)


def _parts(numbers: NDArray[Any]) -> list[tuple[str, NDArray[Any]]]:
    """Return real numbers as they are, and of complex ones both parts, each with its name behind that of the array."""
    return [(".real", numbers.real), (".imag", numbers.imag)] if numbers.dtype.kind == "c" else [("", numbers)]


def _reverse(f: Callable[..., Any], variables: _Numbers, what: str) -> "tuple[NDArray[Any], list[str], np.dtype[Any]]":
    """Return the derivatives by reverse mode (rows: result entries), the rows' names, the coarsest dtype."""
    with using(StateScope()):
        result, pullback, _ = pullback_of(f, variables.arguments, what)
    outputs, structure = flatten(result)
    if not any(is_inexact(y.dtype) for y in outputs):
        shown = ", ".join(str(y.spec) for y in outputs) or "no arrays"
        raise DTypeError(
            f"{what}: the function returned {shown}: let it return a floating-point array, or a tree of them"
        )
    labels = [label + _subscript(index) for label, part in _results(result) for index in np.ndindex(part.shape)]
    rows = []
    for position, y in enumerate(outputs):
        units = (1, 1j) if y.dtype.kind == "c" else (1,) if is_inexact(y.dtype) else ()
        for unit, index in product(units, np.ndindex(y.shape)):
            bars = [np.zeros(output.shape, output.dtype) for output in outputs]
            bars[position][index] = unit
            x_bars = flatten(pullback(unflatten(structure, bars), one_hot=True))[0]
            parts = [part for x_bar in x_bars for _, part in _parts(x_bar.numbers("check"))]
            rows.append(np.concatenate([np.ravel(np.asarray(part, np.float64)) for part in parts]))
    size = sum(value.size for value in variables.values)
    kinds = [to_real(y.dtype) for y in outputs if is_inexact(y.dtype)]
    return np.array(rows).reshape(len(rows), size), labels, max(kinds, key=lambda kind: np.finfo(kind).eps)


def _entry(result: str, argument: str, reverse: float, slopes: tuple[float, ...], epsilon: float) -> Entry:
    numerical, error, left, right, size = map(float, slopes)
    verdict, why = _verdict(float(reverse), numerical, error, left, right, size, epsilon)
    return Entry(result, argument, float(reverse), numerical, error, verdict, why)


def _verdict(
    reverse: float, numerical: float, error: float, left: float, right: float, size: float, epsilon: float
) -> tuple[Verdict, str]:
    if left == left:
        return "undecidable", f"a kink: slopes {left:.4g} and {right:.4g}"
    if not isfinite(error):
        return "undecidable", "the function is not finite nearby"
    if not isfinite(reverse):
        return "disagree", "reverse mode is not finite, the slope is"
    largest = max(abs(reverse), abs(numerical))
    relative = 1e-7 if epsilon < 1e-10 else 1e-3
    if abs(reverse - numerical) > 4 * error + relative * largest:
        return "disagree", ""
    # that a slope is exactly zero shows only up to some thousand rounding errors of f
    if error > (100 * relative * largest if reverse else 4096 * epsilon * size):
        return "undecidable", "numerical differentiation is too inexact here"
    return "agree", ""
