"""Verification: a compiled call compared with the eager one, and how much of their difference rounding explains.

Two correct programs that round in different places differ, by how much depends on the function: a mean by a few units in the
last place, the first step of Adam at a gradient that should be zero by the whole learning rate. So the tolerance is
measured: the function is evaluated again with the result of every op that rounds perturbed at random by as much as a
rounding (`Perturbed`). How far that moves a result is how far rounding can move it.

**Source:** Parker (1997), Monte Carlo arithmetic.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from math import inf, sqrt
from typing import Any, NamedTuple

import numpy as np

from ..core.cell import Cell
from ..core.dtype import is_inexact
from ..core.error import BpropError, VerificationError
from ..core.family import Bilinear, Cumulative, Elementwise, General, Reduction
from ..core.interpreter import EVALUATE, StateScope, using
from ..core.op import Op
from ..core.tree import flatten, paths
from ..core.value import Array, Spec
from .frontend.call_guard import Guard

SAMPLES = 4
"""Evaluations with perturbed rounding."""
FACTOR = 16.0
"""How many times the largest change among the samples is allowed: a false alarm comes once in 10⁵ scalars."""


class Perturbed(StateScope):
    """Evaluation in which every op that rounds errs by about one more rounding, a sum by one for each term."""

    name = "perturbed evaluation"

    def __init__(self, seed: int) -> None:
        super().__init__(below=EVALUATE)
        self.random = np.random.default_rng(seed)

    def bind(self, op: Op, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        if op.is_region:
            with using(self):
                return op.evaluate(*args, **params)
        if not isinstance(op, Elementwise | Reduction | Bilinear | Cumulative | General) or not op.differentiable:
            return self.below.bind(op, args, params)
        if isinstance(op, Reduction) and op.chosen is not None:  # it returns one of the entries, exactly
            return self.below.bind(op, args, params)
        if isinstance(op, Elementwise):
            return self.perturbed(self.below.bind(op, args, params), 1.0)
        args = tuple(self.perturbed(x, 1.0) if isinstance(x, Array) else x for x in args)
        y = self.below.bind(op, args, params)
        if type(y) is tuple:
            return tuple(self.perturbed(x, 1.0) for x in y)
        sizes = [x.size for x in args if isinstance(x, Array)]
        terms = sizes[0] / max(y.size, 1) if len(sizes) == 1 else sqrt(np.prod(sizes, dtype=float) / max(y.size, 1))
        return self.perturbed(y, sqrt(max(terms, 1.0)))

    def perturbed(self, x: Array, roundings: float) -> Array:
        """Return x (1 + u ε) with u uniform in ± ``roundings``, ε the spacing of numbers at 1."""
        data = x.data
        if not is_inexact(data.dtype):
            return x
        noise = self.random.uniform(-roundings, roundings, data.shape) * np.finfo(data.dtype).eps
        with np.errstate(all="ignore"):
            return Array(np.asarray(data * (1 + noise)).astype(data.dtype))


class Difference(NamedTuple):
    """What a result differs by: ``largest`` in absolute value, at ``index``; ``allowed`` is what rounding explains."""

    name: str
    spec: Spec
    largest: float
    relative: float
    allowed: float
    index: tuple[int, ...]  # type: ignore[assignment]  # hides the method of tuples
    compiled: Any
    eager: Any

    @property
    def units(self) -> float:
        """The largest difference in units of what is allowed; above 1 is an error."""
        return 0.0 if self.largest == 0 else self.largest / self.allowed if self.allowed else inf


class Verification(tuple[Difference, ...]):
    """The differences of all outputs and written cells of one call; printed as a table."""

    __slots__ = ()

    @property
    def worst(self) -> Difference | None:
        """The difference that is largest in units of what is allowed."""
        return max(self, key=lambda difference: difference.units, default=None)

    def __str__(self) -> str:
        width = max([len(difference.name) for difference in self] + [6])
        kinds = max([len(str(difference.spec)) for difference in self] + [4])
        lines = [f"{'result':<{width}}  {'':<{kinds}}  {'difference':>10}  {'relative':>10}  {'of allowed':>10}"]
        for x in self:
            line = f"{x.name:<{width}}  {x.spec!s:<{kinds}}  {x.largest:>10.3g}  {x.relative:>10.3g}  {x.units:>10.3g}"
            lines.append(line + ("  ← beyond rounding" if x.units > 1 else ""))
        return "\n".join(lines)

    __repr__ = __str__


class Eager:
    """What a call gives when it is evaluated op by op: the outputs and what the cells would hold. Nothing is written."""

    def __init__(
        self, f: Callable[..., Any], args: Sequence[Any], options: Mapping[str, Any], scope: StateScope
    ) -> None:
        with using(scope):
            result = f(*args, **options)
        self.outputs = dict(_named(result, "result"))
        self.structure = flatten(result)[1]
        self.cells = {cell: scope.cells[cell] for cell in scope.written}

    def common(self, other: "Eager") -> Iterator[tuple[str, Array, Array]]:
        """Yield the name of each array that both evaluations give, and both arrays."""
        for path, x in self.outputs.items():
            y = other.outputs.get(path)
            if isinstance(x, Array) and isinstance(y, Array):
                yield path, x, y
        for cell, x in self.cells.items():
            if cell in other.cells:
                yield cell.name or "a cell", x, other.cells[cell]


def verify(
    f: Callable[..., Any],
    args: Sequence[Any],
    options: Mapping[str, Any],
    call: Callable[[], Any],
    written: Sequence[Cell],
    name: str,
) -> tuple[Any, Verification]:
    """Return the result of ``call`` (compiled), and its differences from ``f(*args, **options)`` evaluated eagerly.

    The cells end as ``call`` leaves them. Where an output or cell of the two differs by more than rounding explains, all
    cells are put back as they were and `VerificationError` is raised.
    """
    eager, second = (Eager(f, args, options, StateScope(below=EVALUATE)) for _ in range(2))
    for path, x, y in eager.common(second):
        if compare(path, y, x, ()).units > 1:
            raise VerificationError(
                f"{name}: evaluated twice from the same cells, {path} differs: it depends on what Python changes, which a "
                f"compiled call sees as it was when it was made. Pass what changes as an array, keep it in a bprop.Cell, or "
                f"draw it from a bprop.Generator"
            )
    samples = []
    for seed in range(SAMPLES):
        with suppress(BpropError):  # a matrix that only rounding keeps from being singular may be singular here
            samples.append(Eager(f, args, options, Perturbed(seed)))
    cells = list(dict.fromkeys([*written, *eager.cells]))
    before = [(cell, cell.array) for cell in cells]
    for cell in cells:
        cell.shared = True  # so that the call leaves their memory alone
    result = call()
    names = cell_names(f, args, options)
    rows: list[Difference] = []
    different = flatten(result)[1] != eager.structure
    if not different:
        for path, compiled in _named(result, "result"):
            if isinstance(compiled, Array):
                perturbed = [sample.outputs[path] for sample in samples if path in sample.outputs]
                rows.append(compare(path, compiled, eager.outputs[path], perturbed))
        for cell, old in before:
            values = [evaluation.cells.get(cell, old) for evaluation in (eager, *samples)]
            rows.append(compare(names.get(cell, cell.name or "a cell"), cell.array, values[0], values[1:]))
    table = Verification(rows)
    wrong = [difference for difference in table if difference.units > 1]
    if wrong or different:
        for cell, array in before:
            cell.array, cell.shared = array, True
        raise VerificationError(_message(name, wrong, flatten(result)[1], eager.structure), table)
    return result, table


def compare(name: str, compiled: Array, eager: Any, samples: Sequence[Any]) -> Difference:
    """Return the difference of a result, allowing `FACTOR` times what it varies by among the samples, and 4 roundings."""
    y, expected = compiled.data, np.asarray(eager)
    if y.shape != expected.shape or y.dtype != expected.dtype:
        return Difference(name, compiled.spec, inf, inf, 0.0, (), compiled.spec, Spec(expected.shape, expected.dtype))
    distance = _distance(y, expected)
    index = tuple(map(int, np.unravel_index(int(np.argmax(distance)), y.shape))) if y.size else ()
    largest = float(distance[index]) if y.size else 0.0
    distances = [float(np.max(_distance(np.asarray(sample), expected), initial=0.0)) for sample in samples]
    finite = np.abs(expected[np.isfinite(expected)]).astype(float)
    scale = float(np.max(finite, initial=0.0))
    allowed = FACTOR * max(distances, default=0.0)
    if is_inexact(y.dtype):
        limits = np.finfo(y.dtype)
        allowed += 4 * (float(limits.eps) * scale + float(limits.smallest_subnormal))
    relative = 0.0 if largest == 0 else largest / scale if scale else inf
    numbers = (y[index].item(), expected[index].item()) if y.size else (None, None)
    return Difference(name, compiled.spec, largest, relative, allowed, index, *numbers)


def _distance(x: Any, y: Any) -> Any:
    """Return |x - y| entry by entry, 0 for equal infinities and two NaNs, infinite where only one is finite."""
    if x.shape != y.shape:
        return np.full(y.shape, inf)
    with np.errstate(all="ignore"):
        same = (x == y) | ((x != x) & (y != y))
        away = np.abs(x.astype(np.float64) - y.astype(np.float64))
        return np.where(same, 0.0, np.where(np.isnan(away), inf, away))


def _named(result: Any, root: str) -> Iterator[tuple[str, Any]]:
    for path, leaf in paths(result):
        yield f"{root}.{path}" if path else root, leaf


def cell_names(f: Callable[..., Any], args: Sequence[Any], options: Mapping[str, Any]) -> dict[Cell, str]:
    """Return where a function finds its cells: by the names of its parameters and of what it closes over."""
    try:
        bound = inspect.signature(f).bind(*args, **options).arguments
    except (TypeError, ValueError):
        bound = {str(number): arg for number, arg in enumerate(args)} | dict(options)
    names: dict[Cell, str] = {}
    for name, tree in bound.items():
        if isinstance(tree, type | Array):
            continue
        for path, leaf in _named(tree, name):
            if isinstance(leaf, Cell):
                names.setdefault(leaf, path)
    for cell, path in Guard({"": f}).cells.items():
        names.setdefault(cell, path)
    return names


def _message(name: str, wrong: Sequence[Difference], compiled: Any, eager: Any) -> str:
    if not wrong:
        return f"{name}: compiled it returns {compiled}, eager {eager}: does it depend on what an earlier call left behind?"
    lines = [f"{name}: compiled and eager differ by more than rounding explains; no parameter has changed:"]
    for x in wrong:
        index = f"[{', '.join(map(str, x.index))}]" if x.index else ""
        lines.append(
            f"    {x.name}{index} is {x.compiled} compiled and {x.eager} eager, {x.units:.3g} times what is allowed"
        )
    return "\n".join(lines)
