"""`scan`: a loop as one op. Its derivative is a scan too: forward over (carry, tangent), or backward in time.

The body is traced once. What the backward body needs is found by tracing it too: every value it captures from the
forward body is stacked by the forward loop, unless it is an input of the loop, which is passed again.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.error import ArgumentError, ShapeError
from ..core.family import Region
from ..core.graph import Graph
from ..core.interpreter import current, using
from ..core.op import Operand
from ..core.shape import normalise_shape
from ..core.tree import flatten, unflatten
from ..core.value import Array, Spec, asarray
from ..gradients.batch import Batch, materialised
from ..gradients.complex_step import ComplexValue
from ..gradients.forward import Forward
from ..gradients.variable import name_of
from ..ops import add, moveaxis
from ..ops.absent import absent
from .closure import Backward, Closure, Reversal, is_float, labels
from .presence import Kind, arrays, as_kind, joined, kind_of, masked, refilled, stacked_presence
from .weak import settled


def _row(spec: Spec) -> Spec:
    return Spec(spec.shape[1:], spec.dtype)


class Scan(Region):
    """args: carry…, stacked inputs…, constants…; params: ``body`` (a closed graph), ``carries``, ``scanned``, ``length``,
    ``reverse``. The body maps (carry…, rows…, constants…) to (carry…, rows of results…).
    """

    native = "scan"

    def spec(self, *operands: Operand, **params: Any) -> tuple[Spec, ...]:
        carries, specs = params["carries"], params["body"].specs
        stacked = [Spec((params["length"], *spec.shape), spec.dtype) for spec in specs[carries:]]
        return (*specs[:carries], *stacked)

    def _split(self, args: Sequence[Any], params: dict[str, Any]) -> tuple[list[Any], list[Any], list[Any]]:
        carries, scanned = params["carries"], params["scanned"]
        return list(args[:carries]), list(args[carries : carries + scanned]), list(args[carries + scanned :])

    # --- evaluation ---
    def loop(
        self, args: Sequence[Any], params: dict[str, Any], stack: Callable[[list[Any], Spec], Any]
    ) -> tuple[Any, ...]:
        """Run the body for every row, in order or backwards."""
        carry, xs, constants = self._split(args, params)
        body, length, carries = params["body"], params["length"], params["carries"]
        rows: list[Any] = [None] * length
        for time in range(length)[:: -1 if params["reverse"] else 1]:
            results = body(*carry, *(x[time] for x in xs), *constants)
            carry, rows[time] = results[:carries], results[carries:]
        stacked = [stack([row[i] for row in rows], spec) for i, spec in enumerate(body.specs[carries:])]
        return (*carry, *stacked)

    def complex_step(self, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        owner: Any = current()

        def stack(rows: list[Any], spec: Spec) -> Any:
            if any(type(row) is ComplexValue for row in rows):
                return ComplexValue(
                    owner, np.stack([row.complex if type(row) is ComplexValue else row.data for row in rows])
                )
            return _stacked(rows, spec)

        return self.loop(args, params, stack)

    # --- forward: a scan over (carry, tangent) ---
    def jvp(self, args: tuple[Any, ...], args_dot: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, Any]:
        carry, xs, constants = self._split(args, params)
        carry_dot, xs_dot, constants_dot = self._split(args_dot, params)
        moving = [is_float(c) for c in carry]
        dots = [
            [absent(c) if c_dot is None else c_dot for c, c_dot, m in zip(carry, carry_dot, moving, strict=True) if m],
            [x_dot for x_dot in xs_dot if x_dot is not None],
            [c_dot for c_dot in constants_dot if c_dot is not None],
        ]

        def body(*flat: Any) -> list[Any]:
            given = iter(flat)
            owner = Forward()

            def take(values: Sequence[Any], has_dot: Sequence[bool]) -> list[Any]:
                plain = [next(given) for _ in values]
                return [owner.dual(x, next(given) if has else None) for x, has in zip(plain, has_dot, strict=True)]

            lifted = [
                *take(carry, moving),
                *take(xs, [d is not None for d in xs_dot]),
                *take(constants, [d is not None for d in constants_dot]),
            ]
            with using(owner):
                results = params["body"](*lifted)
            ys, y_dots = [owner.lower(y) for y in results], [owner.tangent(y) for y in results]
            y_dots = [absent(y) if y_dot is None else y_dot for y, y_dot in zip(ys, y_dots, strict=True)]
            heads = len(carry)
            kept = [y_dot for y_dot, m in zip(y_dots, moving, strict=False) if m]
            return [*ys[:heads], *kept, *ys[heads:], *(d for d in y_dots[heads:] if is_float(d))]

        outputs = self.run(body, [*carry, *dots[0]], [*xs, *dots[1]], [*constants, *dots[2]], params)
        heads, specs = len(carry), params["body"].specs
        found = iter(outputs[heads:])
        carry_dots = [next(found) if m else None for m in moving]
        ys = [next(found) for _ in specs[heads:]]
        ys_dots = [next(found) if is_float(spec) else None for spec in specs[heads:]]
        return [*outputs[:heads], *ys], [*carry_dots, *ys_dots]

    def run(
        self,
        body: Callable[..., Any],
        carry: list[Any],
        xs: list[Any],
        constants: list[Any],
        params: dict[str, Any],
    ) -> list[Any]:
        """Trace a new body and apply it as a scan of the same length and direction."""
        return self.apply(self.closure(body, carry, xs, constants), carry, xs, constants, params)

    def closure(self, body: Callable[..., Any], carry: list[Any], xs: list[Any], constants: list[Any]) -> Closure:
        """Trace a new body."""
        specs = [*(c.spec for c in carry), *(_row(x.spec) for x in xs), *(c.spec for c in constants)]
        return Closure(body, specs, "scan")

    def apply(
        self, closure: Closure, carry: list[Any], xs: list[Any], constants: list[Any], params: dict[str, Any]
    ) -> list[Any]:
        """Apply a traced body as a scan of the same length and direction."""
        new = {**params, "body": closure.graph, "carries": len(carry), "scanned": len(xs)}
        return list(current().bind(self, (*carry, *xs, *constants, *closure.captures), new))

    # --- reverse: a scan backwards in time ---
    def record(self, args: tuple[Any, ...], params: dict[str, Any], needs: tuple[bool, ...]) -> tuple[Any, Any]:
        carry, xs, _constants = self._split(args, params)
        heads, _scanned = len(carry), len(xs)
        variable = [is_float(x) and (need or i < heads) for i, (x, need) in enumerate(zip(args, needs, strict=True))]

        half = Reversal(params["body"], variable, lambda position: position >= heads, "scan")
        floats = [is_float(y) for y in half.plain]
        backward = half.backward(floats)
        body, captured = half.trace.graph([*half.plain, *half.residuals]).closed()
        outputs = current().bind(self, (*args, *captured), {**params, "body": body})
        ys, stacks = outputs[: len(half.plain)], outputs[len(half.plain) :]

        def pullback(y_bars: Sequence[Any]) -> list[Any]:
            used = [
                is_float(y) and (i < heads or bar is not None)
                for i, (y, bar) in enumerate(zip(ys, y_bars, strict=True))
            ]
            way = backward if used == floats else half.backward(used)
            return self._backward(way, used, y_bars, ys, stacks, variable, args, params)

        return ys, pullback

    def _backward(
        self,
        backward: Backward,
        used: Sequence[bool],
        y_bars: Any,
        ys: Any,
        stacks: Any,
        variable: Any,
        args: Any,
        params: dict[str, Any],
    ) -> list[Any]:
        heads, scanned = params["carries"], params["scanned"]
        y_bars = [absent(y) if bar is None and use else bar for bar, y, use in zip(y_bars, ys, used, strict=True)]
        carry_bars = [bar for bar, use in zip(y_bars[:heads], used, strict=False) if use]
        row_bars = [bar for bar, use in zip(y_bars[heads:], used[heads:], strict=True) if use]
        sums = [absent(x) for x, v in zip(args[heads + scanned :], variable[heads + scanned :], strict=True) if v]
        again = [detail for kind, detail in backward.sources if kind == "input" and detail < heads + scanned]
        rows = [*stacks, *(args[place] for place in again)]
        moving, count = len(carry_bars), len([None for v in variable[heads : heads + scanned] if v])

        def body(*flat: Any) -> list[Any]:
            given = iter(flat)
            head = [next(given) for _ in range(moving)]
            total = [next(given) for _ in sums]
            bars = [next(given) for _ in row_bars]
            row = list(given)

            def at_hand(place: int) -> Any:
                return row[len(stacks) + again.index(place)] if place in again else args[place]

            found = backward([*head, *bars], at_hand, row.__getitem__)
            added = [add(s, bar) for s, bar in zip(total, found[moving + count :], strict=True)]
            return [*found[:moving], *added, *found[moving : moving + count]]

        backwards = {**params, "reverse": not params["reverse"]}
        found = self.run(body, [*carry_bars, *sums], [*row_bars, *rows], [], backwards)
        heads_bar, sums_bar, rows_bar = (
            found[:moving],
            found[moving : moving + len(sums)],
            found[moving + len(sums) :],
        )
        order = iter([*heads_bar, *rows_bar, *sums_bar])
        return [next(order) if v else None for v in variable]

    # --- absence: the masks of carry and rows are carried and scanned beside them ---
    def absent(self, args: tuple[Any, ...], present: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, Any]:
        (carry, xs, constants), (carry_here, xs_here, constants_here) = (
            self._split(x, params) for x in (args, present)
        )
        heads = len(carry)
        row_masks = [here for here in arrays(xs_here) if here.shape]
        kinds = [kind_of(here) for here in carry_here]
        found: list[Any] = []

        def body(*flat: Any) -> list[Any]:
            given = iter(flat)
            values = [next(given) for _ in carry]
            here = refilled(kinds, [next(given) for kind in kinds if isinstance(kind, tuple)])
            values += [next(given) for _ in xs]
            here += [next(given) if kind_of(row) not in (None, True, ()) else row for row in xs_here]
            ys, found[:] = masked(params["body"], [*values, *given], [*here, *constants_here])
            wider[:] = map(joined, kinds, map(kind_of, found[:heads]))
            masks = map(as_kind, found, wider)
            return [*ys[:heads], *arrays(masks), *ys[heads:], *arrays(found[heads:])]

        wider: list[Kind] = []
        while True:  # until the masks that come out of a turn fit those that went in
            starts = arrays([as_kind(here, kind) for here, kind in zip(carry_here, kinds, strict=True)])
            rest = [*xs, *row_masks], constants
            closure = self.closure(body, [*carry, *starts], *rest)
            if wider == kinds:
                break
            kinds = list(wider)
        outputs = self.apply(closure, [*carry, *starts], *rest, params)
        split = heads + len(starts)
        ys, last = [*outputs[:heads], *outputs[split : split + len(found) - heads]], outputs[heads:split]
        stacked = iter(outputs[split + len(found) - heads :])
        carried = refilled(kinds, last)
        if params["length"]:  # what the last turn made present is, whatever it was before
            carried = [True if now is True else here for now, here in zip(found, carried, strict=False)]
        return ys, [
            *carried,
            *(stacked_presence(now, y, stacked) for now, y in zip(found[heads:], ys[heads:], strict=True)),
        ]

    # --- batching: the batch rides inside every row ---
    def batch(self, args: tuple[Any, ...], batched: tuple[bool, ...], params: dict[str, Any], level: Batch) -> Any:
        heads = params["carries"]
        carry, xs, constants = self._split(args, params)
        carry = [c if own else materialised(c, level.size) for c, own in zip(carry, batched, strict=False)]
        xs = [moveaxis(x, 1, 0) if own else x for x, own in zip(xs, batched[heads:], strict=False)]
        flags = [True] * heads + list(batched[heads:])

        def body(*flat: Any) -> list[Any]:
            owner = level.inside()
            with using(owner):
                ys = params["body"](*(owner.wrap(x) if own else x for x, own in zip(flat, flags, strict=True)))
            return [owner.lower(y) if owner.owns(y) else materialised(y, level.size) for y in ys]

        outputs = self.run(body, carry, xs, constants, params)
        return (*outputs[:heads], *(moveaxis(y, 0, 1) for y in outputs[heads:]))


def _stacked(rows: list[Any], spec: Spec) -> Array:
    return Array(np.stack([row.data for row in rows]) if rows else np.zeros((0, *spec.shape), spec.dtype))


scan_op: Scan = Scan(
    "scan",
    lambda *args, **params: scan_op.loop(args, params, _stacked),
    doc="A loop with a carry: see `bprop.scan`.",
)


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """Run ``carry, y = f(carry, x)`` over the leading axis of ``xs``; return the last carry and the stacked ys.

    ``init`` and ``xs`` are trees of arrays (``xs=None`` with ``length``: only the carry moves); ``reverse`` runs from
    the last row to the first. ``f`` is traced once. The carry keeps its shapes and dtypes: anything else is an error
    naming both; one that starts as a Python number has the dtype that ``f`` gives it. Cells written inside (a generator's counter) are carried along.

    **Source:** JAX, ``lax.scan``.

    >>> import bprop
    >>> total, sums = bprop.scan(lambda s, x: (s + x, s + x), bprop.asarray(0.0), bprop.asarray([1.0, 2.0, 3.0]))
    >>> total, sums
    (Array(6.), Array([1., 3., 6.]))
    """
    name = f"scan of {name_of(f)}"
    carry_leaves, carry_tree = flatten(init)
    x_leaves, x_tree = flatten(xs)
    rows = [asarray(x) for x in x_leaves]
    length = _length(rows, length, name)
    shape: list[Any] = []
    x_specs = [_row(x.spec) for x in rows]

    def flat(*values: Any) -> list[Any]:
        heads = len(carry_leaves)
        result = f(unflatten(carry_tree, values[:heads]), unflatten(x_tree, values[heads : heads + len(rows)]))
        if not isinstance(result, tuple) or len(result) != 2:
            raise ArgumentError(f"{name}: the function returns a pair (carry, y), not {type(result).__name__}")
        new, new_tree = flatten(result[0])
        if new_tree != carry_tree:
            raise ArgumentError(f"{name}: the carry has the structure {carry_tree} but became {new_tree}")
        ys, y_tree = flatten(result[1])
        shape[:] = [y_tree]
        return [*new, *ys]

    named = labels(("carry", carry_tree), ("x", x_tree))
    carry, found = settled(
        name, carry_leaves, flat, lambda specs: Closure(flat, [*specs, *x_specs], name, label=named), x_specs
    )
    cells = found.written
    if cells:  # trace again with the written cells as part of the carry
        found = Closure(flat, [*(c.spec for c in carry), *x_specs], name, cells, named)
    count = found.count - len(carry)
    body = _ordered(found, len(carry), len(rows), len(cells), count)
    starts = [*carry, *(cell.read() for cell in cells)]
    for start, spec in zip(starts, body.specs, strict=False):
        if start.spec != spec:
            raise ShapeError(f"{name}: the carry starts as {start.spec} but becomes {spec}: make both the same")
    params = {
        "body": body,
        "carries": len(starts),
        "scanned": len(rows),
        "length": length,
        "reverse": bool(reverse),
    }
    outputs = current().bind(scan_op, (*starts, *rows, *found.captures), params)
    for cell, value in zip(cells, outputs[len(carry) :], strict=False):
        cell.write(value)
    return unflatten(carry_tree, outputs[: len(carry)]), unflatten(shape[0], outputs[len(starts) :])


def _ordered(closure: Closure, carries: int, rows: int, cells: int, count: int) -> Graph:
    """Put cells behind the carry, in inputs (carry, rows, cells, captures) and outputs (carry, ys, cells)."""
    graph = closure.graph
    x, y = list(graph.inputs), list(graph.outputs)
    inputs = [
        *x[:carries],
        *x[carries + rows : carries + rows + cells],
        *x[carries : carries + rows],
        *x[carries + rows + cells :],
    ]
    outputs = [*y[:carries], *y[carries + count :], *y[carries : carries + count]]
    return Graph(inputs, graph.nodes, outputs)


def _length(rows: list[Array], length: int | None, name: str) -> int:
    if length is not None:
        (length,) = normalise_shape(name, length)
    sizes = {x.shape[0] if x.shape else None for x in rows} | ({length} if length is not None else set())
    if len(sizes) != 1 or None in sizes:
        shown = ", ".join(str(x.shape) for x in rows) or "no xs"
        raise ShapeError(f"{name}: the leading axes of xs ({shown}) and length={length} must agree and be given")
    (size,) = sizes
    assert size is not None
    return size


__all__ = ["scan", "scan_op"]
