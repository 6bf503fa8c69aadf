"""`while_loop`: a loop that ends when a condition fails, as one op. Its derivatives are loops of this kind too.

With the carry h, constants c, the condition p and the body f the **forward pass** is, for k = 0, 1, …,

    h_{k+1} = f(h_k, c)    while p(h_k, c);

the result is h_n, where n is the trip count. **Forward mode** is one loop over pairs of values and tangents:

    (h_{k+1}, ḣ_{k+1}) = (f(h_k, c), ∂f(h_k, c) (ḣ_k, ċ))    while p(h_k, c).

The **backward pass** goes from h̄_n through the same iterations, the last first:

    (h̄_k, c̄_k) = ∂f(h_k, c)ᵀ h̄_{k+1},    c̄ = Σ_k c̄_k.

It needs something of every iteration, and n is not known before. There are three ways. Where the condition has numbers,
the loop runs in Python and each iteration is recorded. In a trace, a loop with a ``limit`` stacks its residuals, and one
without is computed again block by block: both are in `while_loop_reverse`.

**Source:** JAX, ``lax.while_loop``; Griewank & Walther (2008), Evaluating Derivatives, ch. 12.
"""

from collections.abc import Callable, Sequence
from typing import Any

from ..core.cell import Cell
from ..core.error import ArgumentError
from ..core.family import Region
from ..core.graph import Graph
from ..core.interpreter import current
from ..core.number import integer
from ..core.op import Operand
from ..core.tree import flatten, unflatten
from ..core.value import Spec
from ..gradients.batch import Batch
from ..gradients.variable import name_of
from ..ops import concat, moveaxis, stack
from .check import check_carry, check_function, check_predicate, check_structure, hidden_paths, input_labels
from .closure import Closure, unify_captures
from .cotangent import compress, expand, filled, is_differentiable, loop_differentiable, take_first, zeros_of
from .fixpoint import fixpoint
from .interpretation import Body, apply_masked, apply_recorded, apply_with_tangents
from .presence import Kind, carry_kinds, kind_of, masks_of, stacked_presence, to_kind, with_masks
from .weak import promoted_carry
from .while_loop_batch import BatchedLoop
from .while_loop_reverse import RecomputedLoop, StackedLoop


class While(Region):
    """args: carry…, constants…; params: ``condition`` and ``body``, closed graphs of all args, ``carries`` (how many of
    the args are the carry), ``limit`` and ``name``.

    The body gives (carry…, rows…). The rows of all iterations are stacked: the results are the last carry and arrays of
    ``limit`` rows, zeros after the last iteration.
    """

    native = "loop"

    def spec(self, *operands: Operand, **params: Any) -> tuple[Spec, ...]:
        carries, specs = params["carries"], params["body"].specs
        return (*specs[:carries], *(Spec((params["limit"], *spec.shape), spec.dtype) for spec in specs[carries:]))

    def body(self, params: dict[str, Any]) -> Any:
        raise hidden_paths("while_loop")

    # --- a new condition and a new body, applied as a loop ---
    def run(
        self,
        condition: Callable[..., Any],
        body: Body,
        carry: Sequence[Any],
        params: dict[str, Any],
        limit: int | None,
    ) -> list[Any]:
        """Apply this op to functions of the carry; what else they need they capture."""
        traced = self.condition_closure(condition, carry)
        return self.apply(traced, Closure(body, [c.spec for c in carry], self.name), carry, params, limit)

    def condition_closure(self, condition: Callable[..., Any], carry: Sequence[Any]) -> Closure:
        """Trace a condition of the carry, which returns one bool."""
        return Closure(lambda *flat: [condition(*flat)], [c.spec for c in carry], self.name)

    def apply(
        self, condition: Closure, body: Closure, carry: Sequence[Any], params: dict[str, Any], limit: int | None
    ) -> list[Any]:
        """Apply this op to a condition and a body that are traced."""
        (condition_graph, body_graph), captures = unify_captures([condition, body])
        new = {
            "condition": condition_graph,
            "body": body_graph,
            "carries": len(carry),
            "limit": limit,
            "name": params["name"],
        }
        return list(current().bind(self, (*carry, *captures), new))

    # --- iteration by iteration, where the condition has a number ---
    def loop(self, args: Sequence[Any], params: dict[str, Any]) -> tuple[Any, ...]:
        """Run the body while the condition holds, under the current interpreter."""
        carries, limit, specs = params["carries"], params["limit"], params["body"].specs
        carry, constants = list(args[:carries]), args[carries:]
        rows: list[Any] = []
        while bool(params["condition"](*carry, *constants)[0]):
            if len(rows) == limit:
                raise ArgumentError(limit_message(params))
            results = params["body"](*carry, *constants)
            carry = results[:carries]
            rows.append(results[carries:])
        stacked = [_stacked([row[i] for row in rows], spec, limit) for i, spec in enumerate(specs[carries:])]
        return (*carry, *stacked)

    def complex_step(self, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        return self.loop(args, params)

    # --- forward mode: a loop over pairs (value, tangent) ---
    def jvp(self, args: tuple[Any, ...], args_dot: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, Any]:
        if _runs_in_python(args):
            return apply_with_tangents(lambda *xs: self.loop(xs, params), args, args_dot)
        carries, row_specs = params["carries"], params["body"].specs[params["carries"] :]
        carry, constants = args[:carries], args[carries:]
        floats = [is_differentiable(c) for c in carry]

        def body(*flat: Any) -> list[Any]:
            h, h_dot = flat[:carries], expand(flat[carries:], floats)
            ys, ys_dot = apply_with_tangents(params["body"], [*h, *constants], [*h_dot, *args_dot[carries:]])
            ys_dot = filled(ys_dot, ys)
            rows_dot = [y_dot for y_dot in ys_dot[carries:] if is_differentiable(y_dot)]
            return [*ys[:carries], *compress(ys_dot[:carries], floats), *ys[carries:], *rows_dot]

        start = [*carry, *compress(filled(args_dot[:carries], carry, floats), floats)]
        outputs = iter(self.run(_condition_of(params, constants), body, start, params, params["limit"]))
        last_carry = take_first(outputs, carries)
        last_carry_dot = expand(outputs, floats)
        rows = take_first(outputs, len(row_specs))
        rows_dot = expand(outputs, map(is_differentiable, row_specs))
        return [*last_carry, *rows], [*last_carry_dot, *rows_dot]

    # --- reverse mode ---
    def record(self, args: tuple[Any, ...], params: dict[str, Any], needs: tuple[bool, ...]) -> tuple[Any, Any]:
        differentiable = loop_differentiable(args, needs, params["carries"])
        if _runs_in_python(args):
            return apply_recorded(lambda *xs: self.loop(xs, params), args, differentiable, self.name)
        strategy = RecomputedLoop if params["limit"] is None else StackedLoop
        return strategy(self, args, params, differentiable).record()

    # --- absence: the masks of the carry are carried beside it ---
    def absent(self, args: tuple[Any, ...], present: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, Any]:
        carries = params["carries"]
        carry, constants = args[:carries], args[carries:]
        if _runs_in_python(args):
            return apply_masked(lambda *xs: self.loop(xs, params), args, present)

        def body(kinds: Sequence[Kind], *flat: Any) -> tuple[list[Any], list[Any]]:
            """Return the results with the masks among their presences behind them; and these presences."""
            presence = [*with_masks(kinds, flat[carries:]), *present[carries:]]
            ys, presences = apply_masked(params["body"], [*flat[:carries], *constants], presence)
            after = map(to_kind, presences, carry_kinds(kinds, presences))
            return [*ys[:carries], *masks_of(after), *ys[carries:], *masks_of(presences[carries:])], presences

        def step(kinds: list[Kind]) -> tuple[list[Kind], tuple[list[Any], Closure]]:
            start = [*carry, *masks_of(map(to_kind, present, kinds))]
            closure = Closure(lambda *flat: body(kinds, *flat), [x.spec for x in start], self.name, has_aux=True)
            return carry_kinds(kinds, closure.aux), (start, closure)

        kinds, (start, closure) = fixpoint(step, [kind_of(presence) for presence in present[:carries]])
        row_presences = closure.aux[carries:]
        condition = self.condition_closure(_condition_of(params, constants), start)
        outputs = iter(self.apply(condition, closure, start, params, params["limit"]))
        last_carry = take_first(outputs, carries)
        last_presence = with_masks(kinds, outputs)
        rows = take_first(outputs, len(row_presences))
        rows_presence = [
            stacked_presence(presence, y, outputs) for presence, y in zip(row_presences, rows, strict=True)
        ]
        return [*last_carry, *rows], [*last_presence, *rows_presence]

    # --- batching ---
    def batch(self, args: tuple[Any, ...], batched: tuple[bool, ...], params: dict[str, Any], level: Batch) -> Any:
        carries = params["carries"]
        loop = BatchedLoop(self, args, batched, params, level)
        outputs = self.run(loop.continues, loop.body, loop.start, params, params["limit"])
        last_carry = loop.with_batch_axis(outputs[:carries], loop.carry_batched, [True] * carries)
        return (*last_carry, *(moveaxis(y, 0, 1) for y in outputs[carries:]))


def _runs_in_python(args: Sequence[Any]) -> bool:
    """Return whether the condition has a number in every iteration, so that Python can go on with the loop."""
    return not current().stages and all(x.decides() for x in args)


def _condition_of(params: dict[str, Any], constants: Sequence[Any]) -> Callable[..., Any]:
    """Return the condition as a function of a carry with more arrays behind it."""
    return lambda *flat: params["condition"](*flat[: params["carries"]], *constants)[0]


def _stacked(rows: list[Any], spec: Spec, limit: int) -> Any:
    rest = zeros_of(Spec((limit - len(rows), *spec.shape), spec.dtype))
    return concat([stack(rows), rest]) if rows else rest


def limit_message(params: dict[str, Any]) -> str:
    """Return what is wrong where a loop's condition still holds after its last iteration."""
    return (
        f"{params['name']}: the condition still holds after limit={params['limit']} turns: raise the limit, or leave it "
        f"out (reverse mode in compiled code then runs the loop again instead of keeping every turn)"
    )


while_op: While = While(
    "while_loop",
    lambda *args, **params: while_op.loop(args, params),
    doc="A loop with a condition: see `bprop.while_loop`.",
)


def while_loop(
    condition: Callable[[Any], Any], body: Callable[[Any], Any], initial: Any, /, *, limit: int | None = None
) -> Any:
    """Run ``carry = body(carry)`` while ``condition(carry)`` holds, from ``initial``; return the last carry.

    Both functions are traced once, and what they close over is differentiated as usual. Cells written in the body (a
    generator's counter) are carried along. Inside `vmap` the loop runs until the condition fails for every entry;
    finished entries keep their carry.

    Forward mode costs two loops. Reverse mode needs the carry of all n iterations. Eager, each iteration is recorded, in
    time and memory proportional to n. Compiled, memory is fixed before n is known: with ``limit`` it keeps that many
    iterations and takes time proportional to n; without, it keeps 64 iterations and runs the others again, n²/128 more
    iterations in all.

    Parameters
    ----------
    condition : function of the carry
        Returns one bool, an array of shape (). It writes no cells.
    body : function of the carry
        Returns the next carry, with the same structure, shapes and dtypes.
    initial : tree of arrays
        The first carry. A Python number has the dtype that ``body`` gives it.
    limit : int, optional
        The most iterations there may be.

    Returns
    -------
    tree of arrays
        The first carry for which the condition fails.

    Raises
    ------
    ShapeError, DTypeError
        A leaf of the carry changes its shape or dtype (the message names it), or the condition is not one bool.
    ArgumentError
        The carry changes its structure, the condition writes a cell, ``limit`` is no number of iterations, or the
        condition still holds after ``limit`` iterations.

    **Source:** JAX, ``lax.while_loop``; Griewank & Walther (2008), ch. 12, for running again what was not kept.

    >>> import bprop
    >>> def root(a):  # Newton's method for x² = a
    ...     return bprop.while_loop(lambda x: abs(x * x - a) > 1e-12, lambda x: (x + a / x) / 2, a)
    >>> root(bprop.asarray(2.0)), bprop.grad(root)(2.0)
    (Array(1.41421356), Array(0.35355339))
    """
    check_function("while_loop", "condition", condition)
    check_function("while_loop", "body", body)
    name = f"while_loop of {name_of(body)}"
    if limit is not None:
        limit = integer(name, "limit", limit, 0, allowed="a number of turns, an integer ≥ 0")
    leaves, structure = flatten(initial)
    label = input_labels(("carry", structure))

    def flat_condition(*flat: Any) -> list[Any]:
        return [condition(unflatten(structure, flat[: len(leaves)]))]

    def flat_body(*flat: Any) -> list[Any]:
        new_carry, new_structure = flatten(body(unflatten(structure, flat[: len(leaves)])))
        check_structure(name, structure, new_structure, ("the carry", "the body returns"))
        return new_carry

    def traced_body(specs: Sequence[Spec], cells: Sequence[Cell] = ()) -> Closure:
        return Closure(flat_body, specs, name, cells, label)

    carry, body_closure = promoted_carry(name, leaves, flat_body, traced_body)
    specs = [c.spec for c in carry]
    cells = body_closure.written
    if cells:  # trace again with the written cells as part of the carry
        body_closure = traced_body(specs, cells)
    start = [*carry, *(cell.read() for cell in cells)]
    condition_closure = Closure(flat_condition, specs, f"{name}, condition", cells, label)
    if condition_closure.written != cells:
        cell_name = condition_closure.written[-1].name or "a cell"
        raise ArgumentError(f"{name}: the condition writes {cell_name}: do it in the body")
    check_predicate(name, "what the condition returns", condition_closure.graph.specs[0])
    check_carry(name, structure, [x.spec for x in start], body_closure.graph.specs, cells)
    (condition_graph, body_graph), captures = unify_captures([condition_closure, body_closure])
    params = {
        "condition": Graph(condition_graph.inputs, condition_graph.nodes, condition_graph.outputs[:1]),
        "body": body_graph,
        "carries": len(start),
        "limit": limit,
        "name": name,
    }
    outputs = current().bind(while_op, (*start, *captures), params)
    body_closure.write(outputs[len(carry) :])
    return unflatten(structure, outputs[: len(carry)])


__all__ = ["limit_message", "while_loop", "while_op"]
