"""`cond`: one of two functions, chosen by a number. Its derivative is a `cond` too.

Where the predicate is known, only the function taken is run, under every interpretation. Where it is being traced, both
are traced, and native code branches. What both backward branches need is handed on in slots that they share: a slot
that the branch taken does not need holds zeros.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ..core.cell import Cell
from ..core.dtype import result_type
from ..core.error import DerivativeError, DTypeError, ShapeError
from ..core.family import Region
from ..core.graph import Graph
from ..core.interpreter import current, using
from ..core.op import Operand
from ..core.tree import flatten, is_holder, unflatten
from ..core.value import Spec, asarray
from ..gradients.batch import Batch, materialised
from ..gradients.forward import Forward
from ..gradients.reverse import Record, send
from ..gradients.variable import name_of
from ..ops import where
from ..ops.absent import absent
from .closure import Closure, Reversal, check_function, is_float, same_specs, same_structure, together, zeros_of
from .presence import Kind, arrays, as_kind, joined, kind_of, masked, refilled
from .weak import as_weak, is_weak

Flat = Callable[[], Sequence[Any]]


class Cond(Region):
    """args: the predicate, then what both branches take; params: ``true`` and ``false``, two closed graphs."""

    native = "branch"

    def spec(self, *operands: Operand, **params: Any) -> tuple[Spec, ...]:
        specs: tuple[Spec, ...] = params["true"].specs
        return specs

    def body(self, params: dict[str, Any]) -> Any:
        raise DerivativeError("cond: the paths of a branch cannot be seen from outside: write a Python if")

    def chosen(self, args: tuple[Any, ...], params: dict[str, Any]) -> Graph:
        """Return the branch taken, of a predicate that is known."""
        graph: Graph = params["true" if bool(args[0]) else "false"]
        return graph

    def run(self, predicate: Any, branches: Sequence[Flat]) -> list[Any]:
        """Apply this op to a pair of functions that take what they need from outside."""
        graphs, captured = together([Closure(f, [], self.name) for f in branches])
        params = dict(zip(("true", "false"), graphs, strict=True))
        return list(current().bind(self, (predicate, *captured), params))

    def complex_step(self, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        return tuple(self.chosen(args, params)(*args[1:]))

    # --- reverse ---
    def record(self, args: tuple[Any, ...], params: dict[str, Any], needs: tuple[bool, ...]) -> tuple[Any, Any]:
        predicate, *xs = args
        variable = [need and is_float(x) for need, x in zip(needs[1:], xs, strict=True)]
        if predicate.decides():
            owner = Record(name=self.name)
            lifted = [owner.input(x) if v else x for x, v in zip(xs, variable, strict=True)]
            with using(owner):
                results = self.chosen(args, params)(*lifted)
            inputs = [x for x, v in zip(lifted, variable, strict=True) if v]

            def back(y_bars: Sequence[Any]) -> list[Any]:
                bars = iter(send(results, y_bars, inputs, owner))
                return [None, *(next(bars) if v else None for v in variable)]

            return tuple(owner.lower(y) for y in results), back

        halves = [Reversal(params[key], variable, lambda position: True, self.name) for key in ("true", "false")]
        floats = [is_float(spec) for spec in params["true"].specs]
        for half in halves:
            half.backward(floats)  # what the way back needs at most
        slots, places = _slots([[x.spec for x in half.residuals] for half in halves])
        forwards = [partial(self._kept, half, mine, slots, xs) for half, mine in zip(halves, places, strict=True)]
        outputs = self.run(predicate, forwards)
        ys, kept = outputs[: len(floats)], outputs[len(floats) :]

        def pullback(y_bars: Sequence[Any]) -> list[Any]:
            present = [bar is not None and f for bar, f in zip(y_bars, floats, strict=True)]
            seeds = [bar for bar, here in zip(y_bars, present, strict=True) if here]
            ways = [half.backward(present, filled=False) for half in halves]
            reached = [any(pair) for pair in zip(*(way.reached for way in ways), strict=True)]
            variables = [x for x, v in zip(xs, variable, strict=True) if v]

            def back(way: Any, mine: list[int]) -> list[Any]:
                bars = way(seeds, xs.__getitem__, lambda number: kept[mine[number]])
                filled = [absent(x) if bar is None else bar for bar, x in zip(bars, variables, strict=True)]
                return [bar for bar, here in zip(filled, reached, strict=True) if here]

            backwards = [partial(back, way, mine) for way, mine in zip(ways, places, strict=True)]
            found = iter(self.run(predicate, backwards))
            bars = iter([next(found) if here else None for here in reached])
            return [None, *(next(bars) if v else None for v in variable)]

        return tuple(ys), pullback

    def _kept(self, half: Reversal, mine: list[int], slots: list[Spec], xs: Sequence[Any]) -> list[Any]:
        """Run a branch forwards; return its results and what it keeps, in the slots given to it."""
        graph, captured = half.trace.graph([*half.plain, *half.residuals]).closed()
        outputs = graph(*xs, *captured)
        kept = dict(zip(mine, outputs[len(half.plain) :], strict=True))
        return [
            *outputs[: len(half.plain)],
            *(kept[n] if n in kept else zeros_of(spec) for n, spec in enumerate(slots)),
        ]

    # --- forward ---
    def jvp(self, args: tuple[Any, ...], args_dot: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, Any]:
        predicate, *xs = args

        def pushed(graph: Graph) -> tuple[list[Any], list[Any]]:
            owner = Forward()
            with using(owner):
                results = graph(*(owner.dual(x, x_dot) for x, x_dot in zip(xs, args_dot[1:], strict=True)))
            return [owner.lower(y) for y in results], [owner.tangent(y) for y in results]

        if predicate.decides():
            return pushed(self.chosen(args, params))
        floats = [is_float(spec) for spec in params["true"].specs]

        def filled(graph: Graph) -> list[Any]:
            ys, y_dots = pushed(graph)
            moving = [(y, y_dot) for y, y_dot, f in zip(ys, y_dots, floats, strict=True) if f]
            return [*ys, *(absent(y) if y_dot is None else y_dot for y, y_dot in moving)]

        outputs = self.run(predicate, [lambda: filled(params["true"]), lambda: filled(params["false"])])
        found = iter(outputs[len(floats) :])
        return outputs[: len(floats)], [next(found) if f else None for f in floats]

    # --- absence: both branches give masks of one kind ---
    def absent(self, args: tuple[Any, ...], present: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, Any]:
        predicate, *xs = args
        if predicate.decides():
            return masked(self.chosen(args, params), xs, present[1:])
        kinds: list[Kind] = [None for _ in params["true"].specs]

        def branch(key: str) -> list[Any]:
            ys, here = masked(params[key], xs, present[1:])
            kinds[:] = map(joined, kinds, map(kind_of, here))
            return [*ys, *arrays(map(as_kind, here, kinds))]

        for key in _KINDS:  # to see the kinds of both
            Closure(partial(branch, key), [], self.name)
        outputs = self.run(predicate, [partial(branch, key) for key in _KINDS])
        return outputs[: len(kinds)], refilled(kinds, outputs[len(kinds) :])

    # --- batching ---
    def batch(self, args: tuple[Any, ...], batched: tuple[bool, ...], params: dict[str, Any], level: Batch) -> Any:
        """With one predicate for all the branch taken is batched; with one for each both are run, and entries chosen."""

        def mapped(graph: Graph, owner: Batch) -> list[Any]:
            with using(owner):
                ys = graph(*(owner.wrap(x) if own else x for x, own in zip(args[1:], batched[1:], strict=True)))
            return [owner.lower(y) if owner.owns(y) else materialised(y, level.size) for y in ys]

        if not batched[0]:
            return tuple(
                self.run(
                    args[0],
                    [lambda: mapped(params["true"], level.inside()), lambda: mapped(params["false"], level.inside())],
                )
            )
        first, second = (
            mapped(params[key], level.inside(taken)) for key, taken in zip(_KINDS, (args[0], ~args[0]), strict=True)
        )
        owner = level.inside()
        with using(owner):
            chosen = [where(*map(owner.wrap, (args[0], *pair))) for pair in zip(first, second, strict=True)]
        return tuple(owner.lower(y) for y in chosen)


def _slots(groups: Sequence[Sequence[Spec]]) -> tuple[list[Spec], list[list[int]]]:
    """Return slots in which each group of values finds a place of its own, and these places."""
    slots: list[Spec] = []
    places = []
    for group in groups:
        free = list(range(len(slots)))
        mine = []
        for spec in group:
            place = next((n for n in free if slots[n] == spec), len(slots))
            if place == len(slots):
                slots.append(spec)
            else:
                free.remove(place)
            mine.append(place)
        places.append(mine)
    return slots, places


cond_op: Cond = Cond(
    "cond",
    lambda *args, **params: tuple(cond_op.chosen(args, params)(*args[1:])),
    doc="One of two functions, chosen by a number: see `bprop.cond`.",
)


def cond(
    predicate: Any, true_function: Callable[..., Any], false_function: Callable[..., Any], /, *operands: Any
) -> Any:
    """Return ``true_function(*operands)`` where the predicate holds, else ``false_function(*operands)``.

    ``predicate`` is one bool (shape ()). Operands and results are trees of arrays; what the functions close over is
    differentiated as usual. Both functions are traced once and give the same structure, shapes and dtypes (Python numbers
    among operands and results are weak, as in `where`); only the
    one taken is run, eager and in native code, where it is a branch. Cells written in a branch (a generator's counter)
    keep their value if the other one is taken. Inside `vmap` with a predicate for each entry both are computed, and
    entries chosen as by `where`. Raises `ShapeError` naming the leaf that differs, `ArgumentError` where structures do,
    `DTypeError` where the predicate is no bool.

    **Source:** JAX, ``lax.cond``.

    >>> import bprop
    >>> f = lambda x: bprop.cond(x > 0, lambda x: x * x, lambda x: -x, x)
    >>> f(bprop.asarray(3.0)), bprop.grad(f)(3.0), bprop.grad(f)(-3.0)
    (Array(9.), Array(6.), Array(-1.))
    """
    functions = (true_function, false_function)
    for name, f in zip(("true_function", "false_function"), functions, strict=True):
        check_function("cond", name, f)
    what = f"cond of {' and '.join(map(name_of, functions))}"
    test = asarray(predicate)
    check_predicate(what, "the predicate", test.spec)
    leaves, structure = flatten(operands, is_holder)
    given = [leaf if is_holder(leaf) or is_weak(leaf) else asarray(leaf) for leaf in leaves]
    shapes: dict[int, Any] = {}
    scalars: dict[int, list[Any]] = {}
    dtypes: list[Any] = []  # of the results, once known to differ from what a branch gives

    def flat(number: int) -> Callable[..., list[Any]]:
        def run() -> list[Any]:
            outputs, shapes[number] = flatten(functions[number](*unflatten(structure, given)))
            scalars[number] = [y if is_weak(y) else None for y in outputs]
            return [as_weak(what, y, dtype) for y, dtype in zip(outputs, dtypes, strict=True)] if dtypes else outputs

        return run

    def traced(cells: Sequence[Cell] = ()) -> list[Closure]:
        return [Closure(flat(number), [], f"{what}, {kind} branch", cells) for number, kind in enumerate(_KINDS)]

    closures = traced()
    cells = list(dict.fromkeys(cell for closure in closures for cell in closure.written))
    same_structure(what, shapes[0], shapes[1], ("the true branch", "the false branch"))
    dtypes = _promoted(closures, scalars)
    if cells or dtypes:  # a branch that leaves a cell alone hands it on
        closures = traced(cells)
    first, second = (closure.graph.specs for closure in closures)
    count = closures[0].count
    same_specs(what, shapes[0], first[:count], second[:count], ("the true branch gives", "the false branch"))
    graphs, captured = together(closures)
    params = dict(zip(_KINDS, graphs, strict=True))
    outputs = current().bind(cond_op, (test, *(cell.read() for cell in cells), *captured), params)
    for cell, value in zip(cells, outputs[count:], strict=True):
        cell.write(value)
    return unflatten(shapes[0], outputs[:count])


def _promoted(closures: Sequence[Closure], scalars: dict[int, list[Any]]) -> list[Any]:
    """Return the dtypes of the results where Python scalars of one branch meet others than theirs in the other; else []."""
    counts = [closure.graph.specs[: closure.count] for closure in closures]
    pairs = [
        [spec.dtype if scalar is None else scalar for spec, scalar in zip(counts[n], scalars[n], strict=True)]
        for n in (0, 1)
    ]
    weak = [is_weak(one) or is_weak(other) for one, other in zip(*pairs, strict=True)]
    dtypes = [result_type(one, other) if w else None for one, other, w in zip(*pairs, weak, strict=True)]
    differ = any(
        w and dtype != spec.dtype for specs in counts for dtype, spec, w in zip(dtypes, specs, weak, strict=True)
    )
    return dtypes if differ else []


_KINDS = ("true", "false")


def check_predicate(what: str, name: str, spec: Spec) -> None:
    """Refuse what is not one bool."""
    if spec.shape != ():
        raise ShapeError(
            f"{what}: {name} is {spec}, not one bool: reduce it (bprop.any, bprop.all), or choose entry by entry with "
            f"bprop.where"
        )
    if spec.dtype != bool:
        raise DTypeError(f"{what}: {name} is {spec}, not a bool: compare it, as in x != 0 or x > 0")


__all__ = ["check_predicate", "cond", "cond_op"]
