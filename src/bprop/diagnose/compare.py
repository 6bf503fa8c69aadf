"""`compare`: the lecture's ways to one gradient side by side: who agrees, and at what cost."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..core.error import BpropError
from ..core.interpreter import Interpreter, using
from ..core.op import Op
from ..core.tree import flatten, is_holder
from ..core.value import Array
from ..formula.symbolic import symbolic
from ..gradients.paths import LIMIT, paths
from ..gradients.variable import Argnums, both_forms, name_of
from ..view import grid
from .derivative import derivative

WAYS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("reverse", "reverse", {}),
    ("forward", "forward", {}),
    ("numerical, central", "numerical", {}),
    ("numerical, complex", "numerical", {"scheme": "complex"}),
    ("symbolic", "symbolic", {}),
    ("paths", "paths", {}),
)


class Way(NamedTuple):
    """One way to the gradient: its largest difference from reverse mode, relative to the largest entry, and its cost."""

    name: str
    gradient: Any
    difference: float | None
    evaluations: int | None
    applications: int | None
    seconds: float | None
    note: str = ""


class Comparison:
    """What `compare` found: ``ways``, and ``ok`` if those that ran agree. Print it to read it."""

    def __init__(self, name: str, ways: list[Way], size: int) -> None:
        self.name = name
        self.ways = tuple(ways)
        self.size = size

    @property
    def ok(self) -> bool:
        """Whether every way that ran agrees with reverse mode: to 10⁻⁴, numerical ways in float32 to 5 %."""
        return all(way.difference is None or agrees(way) for way in self.ways)

    def __getitem__(self, name: str) -> Way:
        return next(way for way in self.ways if way.name == name)

    def _cells(self) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = [("way", "agrees", "difference", "f evaluated", "ops applied", "time", "")]
        for way in self.ways:
            rows.append(
                (
                    way.name,
                    "skipped" if way.difference is None else "yes" if agrees(way) else "NO",
                    "" if way.difference is None else f"{way.difference:.1e}",
                    "" if way.evaluations is None else f"{way.evaluations}",
                    "" if way.applications is None else f"{way.applications}",
                    "" if way.seconds is None else _duration(way.seconds),
                    way.note,
                )
            )
        return rows

    def __str__(self) -> str:
        return f"gradient of {self.name}, {self.size} entries\n{grid.text(self._cells())}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return grid.html(f"gradient of {self.name}", self._cells())


def agrees(way: Way) -> bool:
    """Return whether a way's gradient is reverse mode's, up to the error that the way has by nature."""
    if way.difference is None:
        return False
    single = any(leaf.dtype.itemsize < 8 for leaf in flatten(way.gradient)[0])
    loose = 0.05 if single and way.name.startswith("numerical, central") else 1e-3 if single else 1e-6
    return way.difference <= loose


class _Count(Interpreter):
    """Counts the op applications below it."""

    name = "count"

    def __init__(self) -> None:
        super().__init__()
        self.applications = 0

    def bind(self, op: Op, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        self.applications += 1
        return self.below.bind(op, args, params)


@both_forms
def compare(f: Callable[..., Any], /, *args: Any, argnums: Argnums = 0) -> Comparison:
    """Take the gradient of the scalar function ``f`` by every way and return a table of agreement and cost.

    Each way runs once to count (evaluations of f, op applications, paths) and once to be timed. A way that cannot
    go is skipped with the reason: paths beyond 10,000, ops without a complex form, formulas of Python ``if``. Raises
    what `grad` raises where f has no gradient. ``compare(f)(*args)`` is the same.

    **Source:** Leibe (2016), Backpropagation: the four ways to a gradient.

    >>> import bprop, numpy as np
    >>> table = bprop.compare(lambda x: np.sum(np.exp(x) * x), np.array([0.5, 1.0]))
    >>> table.ok, table["paths"].note
    (True, '4 paths')
    >>> [(way.name, way.evaluations) for way in table.ways][:4]
    [('reverse', 1), ('forward', 1), ('numerical, central', 4), ('numerical, complex', 2)]
    """
    expected = _numbers(derivative(f, "reverse", argnums)(*args))
    ways = [_way(f, args, argnums, name, method, options, expected) for name, method, options in WAYS]
    return Comparison(name_of(f), ways, sum(leaf.size for leaf in expected))


def _way(
    f: Callable[..., Any], args: Any, argnums: Argnums, name: str, method: Any, options: Any, expected: Any
) -> Way:
    calls = 0

    def counted(*values: Any) -> Any:
        nonlocal calls
        calls += 1
        return f(*values)

    counted.__name__ = name_of(f)
    counted.__wrapped__ = f  # type: ignore[attr-defined]  # so that formulas show the parameters' own names
    note = ""
    try:
        if method == "paths":
            count = paths(f, argnums)(*args).total
            note = f"{count} path{'s' * (count != 1)}"
        if method == "symbolic":
            formulas = flatten(symbolic(f, argnums)(*args))[0]
            note = f"formula of {sum(formula.size for formula in formulas)} nodes, {sum(formula.shared_size for formula in formulas)} shared"
        owner = _Count()
        applications = None
        if options.get("scheme") == "complex":  # it computes with numbers, and rests on plain evaluation alone
            gradient = derivative(counted, method, argnums, **options)(*args)
        else:
            with using(owner):
                gradient = derivative(counted, method, argnums, **options)(*args)
            applications = owner.applications
        start = time.perf_counter()
        derivative(f, method, argnums, **options)(*args)
        seconds = time.perf_counter() - start
    except BpropError as error:
        reason = error.message.split(": ")[0].split(", whose")[0]
        if method == "paths" and note:
            reason = f"{note}: more than {LIMIT}"
        return Way(name, None, None, None, None, None, reason)
    return Way(name, gradient, _difference(_numbers(gradient), expected), calls, applications, seconds, note)


def _numbers(gradient: Any) -> list[Any]:
    return [np.asarray(leaf.numbers("compare")) for leaf in flatten(gradient, is_holder)[0] if isinstance(leaf, Array)]


def _difference(gradients: list[Any], expected: list[Any]) -> float:
    """Return the largest difference relative to the largest entry; infinite where only one of two is finite."""
    worst = 0.0
    for gradient, other in zip(gradients, expected, strict=True):
        wide = np.complex128 if other.dtype.kind == "c" else np.float64
        a, b = np.asarray(gradient, wide).ravel(), np.asarray(other, wide).ravel()
        if a.size == 0:
            continue
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        gap = np.where(same, 0, np.abs(np.subtract(a, b, where=~same, out=np.zeros_like(a))))
        largest = max(float(np.max(np.abs(b), where=np.isfinite(b), initial=0)), np.finfo(np.float64).tiny)
        worst = max(worst, float(np.max(np.where(np.isnan(gap), np.inf, gap))) / largest)
    return worst


def _duration(seconds: float) -> str:
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} µs"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


__all__ = ["Comparison", "Way", "compare"]
