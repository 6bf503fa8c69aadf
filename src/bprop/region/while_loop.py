"""`while_loop`: a loop that ends when a condition fails. Its derivatives are loops of this kind too.

Forward mode carries the tangent along. Reverse mode needs the carry of every turn. Where numbers are known the turns
are recorded one by one. In a trace, a loop with a ``limit`` keeps what the way back needs in stacks of that length; one
without is run again from its start for every block of turns, the last block first, and only the block is kept.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.error import ArgumentError, DerivativeError
from ..core.family import Region
from ..core.graph import Graph
from ..core.interpreter import Interpreter, current, using
from ..core.op import Operand
from ..core.tree import flatten, unflatten
from ..core.value import Spec, asarray
from ..gradients.batch import Batch, materialised
from ..gradients.forward import Forward
from ..gradients.reverse import Record, send
from ..gradients.variable import name_of
from ..ops import add, any, concat, moveaxis, stack, take, where
from ..ops.absent import absent
from .closure import Closure, Reversal, check_function, is_float, labels, same_specs, same_structure, together, zeros_of
from .cond import check_predicate
from .presence import Kind, arrays, as_kind, joined, kind_of, masked, refilled, stacked_presence
from .weak import settled

BLOCK = 64
"""Turns that reverse mode in a trace keeps at once, where the loop has no limit."""
Flat = Callable[..., Sequence[Any]]


class While(Region):
    """args: carry…, constants…; params: ``condition`` and ``body``, closed graphs of all args, ``carries``, ``limit`` and
    ``name``. The body gives (carry…, rows…); the rows of all turns are stacked, ``limit`` of them, the rest zeros.
    """

    native = "loop"

    def spec(self, *operands: Operand, **params: Any) -> tuple[Spec, ...]:
        carries, specs = params["carries"], params["body"].specs
        return (*specs[:carries], *(Spec((params["limit"], *spec.shape), spec.dtype) for spec in specs[carries:]))

    def body(self, params: dict[str, Any]) -> Any:
        raise DerivativeError(
            "while_loop is one application for many turns of a loop, whose paths cannot be seen from outside: write the "
            "loop out in Python, or use method='forward' or 'reverse'"
        )

    def run(
        self, condition: Flat, body: Flat, carry: Sequence[Any], params: dict[str, Any], limit: int | None
    ) -> list[Any]:
        """Apply this op to functions of the carry that take everything else from outside."""
        specs = [c.spec for c in carry]
        closures = [Closure(lambda *c: [condition(*c)], specs, self.name), Closure(body, specs, self.name)]
        (test, graph), captured = together(closures)
        new = {"condition": test, "body": graph, "carries": len(carry), "limit": limit, "name": params["name"]}
        return list(current().bind(self, (*carry, *captured), new))

    # --- turn by turn, where the condition is known ---
    def loop(self, args: Sequence[Any], params: dict[str, Any], owner: Interpreter) -> tuple[Any, ...]:
        """Run the body while the condition holds, at the level of ``owner``."""
        carries, limit, specs = params["carries"], params["limit"], params["body"].specs
        carry, constants = list(args[:carries]), args[carries:]
        rows: list[Any] = []
        count = 0
        with using(owner):
            while bool(params["condition"](*carry, *constants)[0]):
                if count == limit:
                    raise ArgumentError(passed(params))
                results = params["body"](*carry, *constants)
                carry, count = results[:carries], count + 1
                rows.append(results[carries:])
            stacked = [_stacked([row[i] for row in rows], spec, limit) for i, spec in enumerate(specs[carries:])]
        return (*carry, *stacked)

    def complex_step(self, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        return self.loop(args, params, current())

    # --- forward ---
    def jvp(self, args: tuple[Any, ...], args_dot: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, Any]:
        carries = params["carries"]
        if _decides(args):
            owner = Forward()
            lifted = [owner.dual(x, x_dot) for x, x_dot in zip(args, args_dot, strict=True)]
            results = self.loop(lifted, params, owner)
            return [owner.lower(y) for y in results], [owner.tangent(y) for y in results]
        carry, constants = args[:carries], args[carries:]
        moving = [is_float(c) for c in carry]
        dots = [absent(c) if dot is None else dot for c, dot, m in zip(carry, args_dot, moving, strict=False) if m]

        def body(*flat: Any) -> list[Any]:
            owner = Forward()
            given = iter(flat[carries:])
            pairs = [(c, next(given) if m else None) for c, m in zip(flat, moving, strict=False)]
            lifted = [owner.dual(x, x_dot) for x, x_dot in (*pairs, *zip(constants, args_dot[carries:], strict=True))]
            with using(owner):
                results = params["body"](*lifted)
            ys = [owner.lower(y) for y in results]
            y_dots = [absent(y) if (dot := owner.tangent(y)) is None else dot for y in results]
            kept = [dot for dot, m in zip(y_dots, moving, strict=False) if m]
            return [*ys[:carries], *kept, *ys[carries:], *(d for d in y_dots[carries:] if is_float(d))]

        outputs = self.run(
            lambda *flat: params["condition"](*flat[:carries], *constants)[0], body, [*carry, *dots], params, params["limit"]
        )  # fmt: skip
        found = iter(outputs[carries:])
        y_dots = [next(found) if m else None for m in moving]
        specs = params["body"].specs[carries:]
        ys = [*outputs[:carries], *(next(found) for _ in specs)]
        return ys, [*y_dots, *(next(found) if is_float(spec) else None for spec in specs)]

    # --- reverse ---
    def record(self, args: tuple[Any, ...], params: dict[str, Any], needs: tuple[bool, ...]) -> tuple[Any, Any]:
        carries, limit = params["carries"], params["limit"]
        variable = [is_float(x) and (need or i < carries) for i, (x, need) in enumerate(zip(args, needs, strict=True))]
        if _decides(args):
            owner = Record(name=self.name)
            lifted = [owner.input(x) if v else x for x, v in zip(args, variable, strict=True)]
            results = self.loop(lifted, params, owner)
            inputs = [x for x, v in zip(lifted, variable, strict=True) if v]

            def back(y_bars: Sequence[Any]) -> list[Any]:
                bars = iter(send(results, y_bars, inputs, owner))
                return [next(bars) if v else None for v in variable]

            return tuple(owner.lower(y) for y in results), back
        if limit is None:
            return self._again(args, variable, params)
        return self._kept(args, variable, params)

    def _kept(self, args: tuple[Any, ...], variable: list[bool], params: dict[str, Any]) -> tuple[Any, Any]:
        """Keep what the way back needs of every turn in stacks, and go back through them."""
        carries, limit = params["carries"], params["limit"]
        constants = args[carries:]
        half = Reversal(params["body"], variable, lambda position: position >= carries, self.name)
        floats = [is_float(y) for y in half.plain]
        backward = half.backward(floats)
        graph, captured = half.trace.graph([*half.plain, *half.residuals]).closed()

        def body(*flat: Any) -> list[Any]:
            *carry, count = flat
            results = graph(*carry, *constants, *captured)
            return [*results[:carries], count + 1, *results[carries:]]

        outputs = self.run(
            lambda *flat: params["condition"](*flat[:carries], *constants)[0], body, [*args[:carries], asarray(0)], params, limit
        )  # fmt: skip
        count = outputs.pop(carries)
        ys, stacks = outputs[: len(half.plain)], outputs[len(half.plain) :]

        def pullback(y_bars: Sequence[Any]) -> list[Any]:
            bars = [absent(y) if bar is None and f else bar for bar, y, f in zip(y_bars, ys, floats, strict=True)]
            heads = [bar for bar, f in zip(bars[:carries], floats, strict=False) if f]
            row_bars = [bar for bar, f in zip(bars[carries:], floats[carries:], strict=True) if f]
            sums = [absent(x) for x, v in zip(constants, variable[carries:], strict=True) if v]
            moving = len(heads)

            def back(*flat: Any) -> list[Any]:
                time, *flowing = flat
                time = time - 1
                seeds = [*flowing[:moving], *(take(bar, time, axis=0) for bar in row_bars)]
                found = backward(seeds, args.__getitem__, lambda number: take(stacks[number], time, axis=0))
                return [time, *found[:moving], *map(add, flowing[moving:], found[moving:])]

            _, *found = self.run(lambda time, *_: time > 0, back, [count, *heads, *sums], params, limit)
            order = iter(found)
            return [next(order) if v else None for v in variable]

        return tuple(ys), pullback

    def _again(self, args: tuple[Any, ...], variable: list[bool], params: dict[str, Any]) -> tuple[Any, Any]:
        """Go back block by block: run from the start to where the block begins, then through it, keeping its turns."""
        carries = params["carries"]
        constants = args[carries:]
        floats = [is_float(c) for c in args[:carries]]
        quiet = params["body"].live(quiet=True)

        def counted(graph: Graph) -> Flat:
            return lambda count, *carry: [count + 1, *graph(*carry, *constants)]

        total, *ys = self.run(
            lambda count, *carry: params["condition"](*carry, *constants)[0], counted(params["body"]), [asarray(0), *args[:carries]], params, None
        )  # fmt: skip

        def pullback(y_bars: Sequence[Any]) -> list[Any]:
            bars = [absent(y) if bar is None and f else bar for bar, y, f in zip(y_bars, ys, floats, strict=True)]
            heads = [bar for bar, f in zip(bars, floats, strict=True) if f]
            sums = [absent(x) for x, v in zip(constants, variable[carries:], strict=True) if v]
            moving = len(heads)

            def block(end: Any, *flowing: Any) -> list[Any]:
                begin = (end - 1) // BLOCK * BLOCK
                _, *start = self.run(
                    lambda n, *_: n < begin, counted(quiet), [asarray(0), *args[:carries]], params, None
                )
                owner = Record(name=self.name)
                lifted = [owner.input(x) if v else x for x, v in zip((*start, *constants), variable, strict=True)]
                inputs = [x for x, v in zip(lifted, variable, strict=True) if v]
                carry, fixed = lifted[:carries], lifted[carries:]
                with using(owner):
                    _, *results = self.run(
                        lambda n, *_: n < end, lambda n, *c: [n + 1, *quiet(*c, *fixed)], [begin, *carry], params, BLOCK
                    )
                seeds = iter(flowing[:moving])
                found = send(results, [next(seeds) if f else None for f in floats], inputs, owner)
                found = [absent(x) if bar is None else bar for bar, x in zip(found, inputs, strict=True)]
                return [begin, *found[:moving], *map(add, flowing[moving:], found[moving:])]

            _, *found = self.run(lambda end, *_: end > 0, block, [total, *heads, *sums], params, None)
            order = iter(found)
            return [next(order) if v else None for v in variable]

        return tuple(ys), pullback

    # --- absence: the masks of the carry are carried beside it ---
    def absent(self, args: tuple[Any, ...], present: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, Any]:
        carries = params["carries"]
        carry, constants = args[:carries], args[carries:]
        if _decides(args):
            return masked(lambda *xs: self.loop(xs, params, current()), args, present)
        kinds = [kind_of(here) for here in present[:carries]]
        found: list[Any] = []

        def body(*flat: Any) -> list[Any]:
            here = refilled(kinds, flat[carries:])
            ys, found[:] = masked(params["body"], [*flat[:carries], *constants], [*here, *present[carries:]])
            wider[:] = map(joined, kinds, map(kind_of, found[:carries]))
            return [*ys[:carries], *arrays(map(as_kind, found, wider)), *ys[carries:], *arrays(found[carries:])]

        def look(*flat: Any) -> list[Any]:
            body(*flat)
            return []

        wider: list[Kind] = []
        while True:  # until the masks that come out of a turn fit those that went in
            starts = [*carry, *arrays(map(as_kind, present, kinds))]
            Closure(look, [x.spec for x in starts], self.name)
            if wider == kinds:
                break
            kinds = list(wider)
        outputs = self.run(
            lambda *flat: params["condition"](*flat[:carries], *constants)[0], body, starts, params, params["limit"]
        )  # fmt: skip
        rows = outputs[len(starts) :]
        count = len(found) - carries
        stacks = iter(rows[count:])
        return [*outputs[:carries], *rows[:count]], [
            *refilled(kinds, outputs[carries : len(starts)]),
            *(stacked_presence(now, y, stacks) for now, y in zip(found[carries:], rows, strict=False)),
        ]

    # --- batching: until the condition fails for every entry; a finished entry keeps its carry ---
    def batch(self, args: tuple[Any, ...], batched: tuple[bool, ...], params: dict[str, Any], level: Batch) -> Any:
        carries, constants = params["carries"], args[params["carries"] :]
        moving, masked = list(batched[:carries]), level.active is not None

        def lifted(owner: Batch, carry: Sequence[Any]) -> list[Any]:
            flags = [*moving, *batched[carries:]]
            return [owner.wrap(x) if own else x for x, own in zip((*carry, *constants), flags, strict=True)]

        def goes_on(carry: Sequence[Any]) -> Any:
            """Return the condition; one for each entry where it differs among them, or not all are asked for."""
            nonlocal masked
            owner = level.inside()
            with using(owner):
                (test,) = params["condition"](*lifted(owner, carry))
            masked = masked or owner.owns(test)
            test = owner.lower(test)
            return test if level.active is None else test & level.active

        def turn(carry: Sequence[Any]) -> tuple[Batch, list[Any]]:
            test = goes_on(carry)
            owner = level.inside(test) if masked else level.inside()
            full = lifted(owner, carry)
            with using(owner):
                results = params["body"](*full)
                if masked:
                    held = zip(results[:carries], full, strict=False)
                    results[:carries] = [where(owner.wrap(test), y, c) for y, c in held]
            return owner, results

        known = None
        while known != moving:  # which carries differ among the entries: those that come to depend on one that does
            known = list(moving)

            def look(*carry: Any) -> list[Any]:
                owner, results = turn(carry)
                moving[:] = [one or owner.owns(y) for one, y in zip(moving, results, strict=False)]
                return []

            Closure(look, [c.spec for c in _whole(args, batched, moving, level.size)], self.name)

        def condition(*carry: Any) -> Any:
            test = goes_on(carry)
            return any(test) if masked else test

        def body(*carry: Any) -> list[Any]:
            owner, results = turn(carry)
            flags = [*moving, *(True for _ in results[carries:])]
            return [
                owner.lower(y) if owner.owns(y) else materialised(y, level.size) if own else y
                for y, own in zip(results, flags, strict=True)
            ]

        outputs = self.run(condition, body, _whole(args, batched, moving, level.size), params, params["limit"])
        heads = [y if own else materialised(y, level.size) for y, own in zip(outputs, moving, strict=False)]
        return (*heads, *(moveaxis(y, 0, 1) for y in outputs[carries:]))


def _decides(args: Sequence[Any]) -> bool:
    """Return whether the condition is a number for every turn, so that the loop goes on in Python."""
    return not current().stages and all(x.decides() for x in args)


def _whole(args: Sequence[Any], batched: Sequence[bool], moving: Sequence[bool], size: int) -> list[Any]:
    """Return the carry with a batch axis where it is to have one."""
    return [materialised(c, size) if one and not own else c for c, own, one in zip(args, batched, moving, strict=False)]


def _stacked(rows: list[Any], spec: Spec, limit: int) -> Any:
    rest = zeros_of(Spec((limit - len(rows), *spec.shape), spec.dtype))
    return concat([stack(rows), rest]) if rows else rest


def passed(params: dict[str, Any]) -> str:
    """Return what is wrong where a loop's condition still holds after its last turn."""
    return (
        f"{params['name']}: the condition still holds after limit={params['limit']} turns: raise the limit, or leave it "
        f"out (reverse mode in compiled code then runs the loop again instead of keeping every turn)"
    )


while_op: While = While(
    "while_loop",
    lambda *args, **params: while_op.loop(args, params, current()),
    doc="A loop with a condition: see `bprop.while_loop`.",
)


def while_loop(
    condition: Callable[[Any], Any], body: Callable[[Any], Any], initial: Any, /, *, limit: int | None = None
) -> Any:
    """Run ``carry = body(carry)`` while ``condition(carry)`` holds, from ``initial``; return the last carry.

    ``initial`` is a tree of arrays; the carry keeps its structure, shapes and dtypes (a Python number in ``initial`` has
    the dtype that ``body`` gives it), and what the functions close over is differentiated as usual. Both are traced once. Cells written in the body (a generator's counter) are carried
    along. Inside `vmap` the loop runs until the condition fails for every entry; finished entries keep their carry.

    Forward mode costs two loops. Reverse mode needs the carry of all n turns: eager, each turn is recorded, in time and
    memory proportional to n. Compiled, memory is fixed before n is known: with ``limit``, the most turns there may be,
    it keeps that many and takes time proportional to n; without, it keeps 64 turns and runs the others again, n²/128
    more turns in all. A loop that would go on after ``limit`` turns is an `ArgumentError`.

    Raises `ShapeError` naming the leaf of the carry that changes its shape or dtype, `ArgumentError` where the structure
    changes, `DTypeError` where the condition gives no bool.

    **Source:** JAX, ``lax.while_loop``; Griewank & Walther (2008), ch. 12, for running again what was not kept.

    >>> import bprop
    >>> def root(a):  # Newton's method for x² = a
    ...     return bprop.while_loop(lambda x: abs(x * x - a) > 1e-12, lambda x: (x + a / x) / 2, a)
    >>> root(bprop.asarray(2.0)), bprop.grad(root)(2.0)
    (Array(1.41421356), Array(0.35355339))
    """
    check_function("while_loop", "condition", condition)
    check_function("while_loop", "body", body)
    what = f"while_loop of {name_of(body)}"
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int | np.integer) or limit < 0):
        raise ArgumentError(f"{what}: limit is a number of turns, an integer, not {limit!r:.40}")
    leaves, structure = flatten(initial)

    def test(*flat: Any) -> list[Any]:
        return [condition(unflatten(structure, flat[: len(leaves)]))]

    def turn(*flat: Any) -> list[Any]:
        new, new_structure = flatten(body(unflatten(structure, flat[: len(leaves)])))
        same_structure(what, structure, new_structure, ("the carry", "the body returns"))
        return new

    named = labels(("carry", structure))
    carry, turns = settled(what, leaves, turn, lambda specs: Closure(turn, specs, what, label=named))
    specs = [c.spec for c in carry]
    cells = turns.written
    if cells:  # trace again with the written cells as part of the carry
        turns = Closure(turn, specs, what, cells, named)
    starts = [*carry, *(cell.read() for cell in cells)]
    tests = Closure(test, specs, f"{what}, condition", cells, named)
    if tests.written != cells:
        raise ArgumentError(f"{what}: the condition writes {tests.written[-1].name or 'a cell'}: do it in the body")
    check_predicate(what, "what the condition returns", tests.graph.specs[0])
    same_specs(what, structure, specs, turns.graph.specs[: len(carry)], ("the carry starts as", "becomes"))
    for cell, start, spec in zip(cells, starts[len(carry) :], turns.graph.specs[len(carry) :], strict=True):
        same_specs(what, flatten(0)[1], [start.spec], [spec], (f"{cell.name or 'a cell'} starts as", "becomes"))
    (test_graph, turn_graph), captured = together([tests, turns])
    test_graph = Graph(test_graph.inputs, test_graph.nodes, test_graph.outputs[:1])
    params = {"condition": test_graph, "body": turn_graph, "carries": len(starts), "limit": limit, "name": what}
    outputs = current().bind(while_op, (*starts, *captured), params)
    for cell, value in zip(cells, outputs[len(carry) :], strict=True):
        cell.write(value)
    return unflatten(structure, outputs[: len(carry)])


__all__ = ["passed", "while_loop", "while_op"]
