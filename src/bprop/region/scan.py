"""`scan`: a loop over the rows of arrays, as one op. Its derivatives are scans too.

With the carry h, rows x_t, constants c and the body f the **forward pass** is, for t = 0, …, n - 1,

    (h_{t+1}, y_t) = f(h_t, x_t, c);

the results are h_n and the stacked rows y. **Forward mode** is one scan over pairs of values and tangents:

    (ḣ_{t+1}, ẏ_t) = ∂f(h_t, x_t, c) (ḣ_t, ẋ_t, ċ).

The **backward pass** is a scan in the other direction, from the cotangents h̄_n and ȳ:

    (h̄_t, x̄_t, c̄_t) = ∂f(h_t, x_t, c)ᵀ (h̄_{t+1}, ȳ_t),    c̄ = Σ_t c̄_t.

Its carry is (h̄, c̄), its rows are ȳ_t and what it reads of the forward pass: the residuals r_t, which the forward loop
stacks, and the rows x_t themselves (`scan_reverse`). With ``reverse=True`` both directions change.

**Source:** Werbos (1990), Backpropagation through time: what it does and how to do it; Griewank & Walther (2008),
Evaluating Derivatives, ch. 3; JAX, ``lax.scan``.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.cell import Cell
from ..core.error import ArgumentError, ShapeError
from ..core.family import Region
from ..core.graph import Graph
from ..core.interpreter import current
from ..core.op import Operand
from ..core.shape import normalise_shape
from ..core.tree import flatten, unflatten
from ..core.value import Array, Spec, asarray
from ..gradients.batch import Batch, materialised
from ..gradients.complex_step import ComplexValue
from ..gradients.variable import name_of
from ..ops import moveaxis
from .check import check_carry, check_function, check_structure, hidden_paths, input_labels
from .closure import Closure
from .cotangent import compress, expand, filled, is_differentiable, take_first
from .fixpoint import fixpoint
from .interpretation import apply_batched, apply_masked, apply_with_tangents
from .presence import Kind, carry_kinds, kind_of, masks_of, stacked_presence, to_kind, with_masks
from .scan_reverse import ReversedScan
from .weak import promoted_carry


def _row(spec: Spec) -> Spec:
    return Spec(spec.shape[1:], spec.dtype)


class Scan(Region):
    """args: carry…, stacked inputs…, constants…; params: ``body`` (a closed graph), ``carries`` and ``scanned`` (how many
    of the args are carry and stacked inputs), ``length``, ``reverse``.

    The body maps (carry…, row of each input…, constants…) to (carry…, row of each result…).
    """

    native = "scan"

    def spec(self, *operands: Operand, **params: Any) -> tuple[Spec, ...]:
        carries, specs = params["carries"], params["body"].specs
        stacked = [Spec((params["length"], *spec.shape), spec.dtype) for spec in specs[carries:]]
        return (*specs[:carries], *stacked)

    def body(self, params: dict[str, Any]) -> Any:
        raise hidden_paths("scan")

    def _split(self, args: Sequence[Any], params: dict[str, Any]) -> tuple[list[Any], list[Any], list[Any]]:
        """Return carry, stacked inputs and constants, or what is said of each of them."""
        carries, scanned = params["carries"], params["scanned"]
        return list(args[:carries]), list(args[carries : carries + scanned]), list(args[carries + scanned :])

    # --- evaluation ---
    def loop(
        self, args: Sequence[Any], params: dict[str, Any], stack: Callable[[list[Any], Spec], Any]
    ) -> tuple[Any, ...]:
        """Run the body for every row, in order or backwards; ``stack(rows, spec)`` joins the rows of one result."""
        carry, xs, constants = self._split(args, params)
        body, length, carries = params["body"], params["length"], params["carries"]
        rows: list[Any] = [None] * length
        for t in range(length)[:: -1 if params["reverse"] else 1]:
            results = body(*carry, *(x[t] for x in xs), *constants)
            carry, rows[t] = results[:carries], results[carries:]
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

    # --- a new body, applied as a scan of the same length ---
    def run(
        self,
        body: Callable[..., Any],
        carry: list[Any],
        xs: list[Any],
        constants: list[Any],
        params: dict[str, Any],
    ) -> list[Any]:
        """Trace a body and apply it as a scan of the same length and direction."""
        return self.apply(self.closure(body, carry, xs, constants), carry, xs, constants, params)

    def closure(
        self,
        body: Callable[..., Any],
        carry: list[Any],
        xs: list[Any],
        constants: list[Any],
        has_aux: bool = False,
    ) -> Closure:
        """Trace a body of (carry…, rows…, constants…)."""
        specs = [*(c.spec for c in carry), *(_row(x.spec) for x in xs), *(c.spec for c in constants)]
        return Closure(body, specs, "scan", has_aux=has_aux)

    def apply(
        self, closure: Closure, carry: list[Any], xs: list[Any], constants: list[Any], params: dict[str, Any]
    ) -> list[Any]:
        """Apply a traced body as a scan of the same length and direction."""
        new = {**params, "body": closure.graph, "carries": len(carry), "scanned": len(xs)}
        return list(current().bind(self, (*carry, *xs, *constants, *closure.captures), new))

    # --- forward mode: a scan over pairs (value, tangent) ---
    def jvp(self, args: tuple[Any, ...], args_dot: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, Any]:
        carries, specs = params["carries"], params["body"].specs
        primals = self._split(args, params)
        carry_dot, xs_dot, constants_dot = self._split(args_dot, params)
        floats = [is_differentiable(c) for c in primals[0]]
        dots = [filled(carry_dot, primals[0], floats), xs_dot, constants_dot]
        has_tangent = [[x_dot is not None for x_dot in section] for section in dots]

        def body(*flat: Any) -> list[Any]:
            values = iter(flat)
            xs: list[Any] = []
            xs_dot: list[Any] = []
            for flags in has_tangent:
                xs += take_first(values, len(flags))
                xs_dot += expand(values, flags)
            ys, ys_dot = apply_with_tangents(params["body"], xs, xs_dot)
            ys_dot = filled(ys_dot, ys)
            rows_dot = [y_dot for y_dot in ys_dot[carries:] if is_differentiable(y_dot)]
            return [*ys[:carries], *compress(ys_dot[:carries], floats), *ys[carries:], *rows_dot]

        carry, xs, constants = (
            [*section, *(x_dot for x_dot in section_dot if x_dot is not None)]
            for section, section_dot in zip(primals, dots, strict=True)
        )
        outputs = iter(self.run(body, carry, xs, constants, params))
        last_carry = take_first(outputs, carries)
        last_carry_dot = expand(outputs, floats)
        rows = take_first(outputs, len(specs) - carries)
        rows_dot = expand(outputs, map(is_differentiable, specs[carries:]))
        return [*last_carry, *rows], [*last_carry_dot, *rows_dot]

    # --- reverse mode: a scan in the other direction ---
    def record(self, args: tuple[Any, ...], params: dict[str, Any], needs: tuple[bool, ...]) -> tuple[Any, Any]:
        return ReversedScan(self, args, params, needs).record()

    # --- absence: the masks of carry and rows are carried and scanned beside them ---
    def absent(self, args: tuple[Any, ...], present: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, Any]:
        carry, xs, constants = self._split(args, params)
        carry_presence, xs_presence, constants_presence = self._split(present, params)
        carries = len(carry)
        has_row_mask = [kind_of(presence) not in (None, True, ()) for presence in xs_presence]
        rows = [*xs, *compress(xs_presence, has_row_mask)]

        def body(kinds: Sequence[Kind], *flat: Any) -> tuple[list[Any], list[Any]]:
            """Return the results with the masks among their presences behind them; and these presences."""
            values = iter(flat)
            h = take_first(values, carries)
            h_presence = with_masks(kinds, values)
            x = take_first(values, len(xs))
            x_presence = [
                next(values) if flag else presence for flag, presence in zip(has_row_mask, xs_presence, strict=True)
            ]
            ys, presences = apply_masked(
                params["body"], [*h, *x, *values], [*h_presence, *x_presence, *constants_presence]
            )
            after = map(to_kind, presences, carry_kinds(kinds, presences))
            return [*ys[:carries], *masks_of(after), *ys[carries:], *masks_of(presences[carries:])], presences

        def step(kinds: list[Kind]) -> tuple[list[Kind], tuple[list[Any], Closure]]:
            start = [*carry, *masks_of(map(to_kind, carry_presence, kinds))]
            closure = self.closure(lambda *flat: body(kinds, *flat), start, rows, constants, has_aux=True)
            return carry_kinds(kinds, closure.aux), (start, closure)

        kinds, (start, closure) = fixpoint(step, [kind_of(presence) for presence in carry_presence])
        presences: list[Any] = closure.aux
        outputs = iter(self.apply(closure, start, rows, constants, params))
        last_carry = take_first(outputs, carries)
        last_presence = with_masks(kinds, outputs)
        ys = take_first(outputs, len(presences) - carries)
        if params["length"]:  # what the last iteration made present is, whatever it was before
            pairs = zip(presences, last_presence, strict=False)
            last_presence = [True if row is True else presence for row, presence in pairs]
        rows_presence = [
            stacked_presence(presence, y, outputs) for presence, y in zip(presences[carries:], ys, strict=True)
        ]
        return [*last_carry, *ys], [*last_presence, *rows_presence]

    # --- batching: the batch rides inside every row ---
    def batch(self, args: tuple[Any, ...], batched: tuple[bool, ...], params: dict[str, Any], level: Batch) -> Any:
        carries = params["carries"]
        carry, xs, constants = self._split(args, params)
        carry = [c if flag else materialised(c, level.size) for c, flag in zip(carry, batched, strict=False)]
        xs = [moveaxis(x, 1, 0) if flag else x for x, flag in zip(xs, batched[carries:], strict=False)]
        flags = [True] * carries + list(batched[carries:])

        def body(*flat: Any) -> list[Any]:
            return apply_batched(params["body"], flat, flags, level.inside())

        outputs = self.run(body, carry, xs, constants, params)
        return (*outputs[:carries], *(moveaxis(y, 0, 1) for y in outputs[carries:]))


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

    (h_{t+1}, y_t) = f(h_t, x_t) for t = 0, …, n - 1, from h_0 = ``init``. ``f`` is traced once, so what it closes over is
    differentiated as usual, and cells written inside (a generator's counter) are carried along.

    Parameters
    ----------
    f : function of (carry, x) that returns a pair (carry, y)
        ``x`` is one row of ``xs``. The carry that it returns has the structure, shapes and dtypes of the one it gets;
        ``y`` is any tree of arrays.
    init : tree of arrays
        The first carry. A Python number has the dtype that ``f`` gives it.
    xs : tree of arrays of shape (n, …), or None
        What is gone through. ``None`` together with ``length``: only the carry moves.
    length : int, optional
        n; needed only without ``xs``.
    reverse : bool
        Go from the last row to the first. Row t of the ys still belongs to row t of ``xs``.

    Returns
    -------
    (carry, ys)
        The last carry, and the tree of the ys with arrays of shape (n, …).

    Raises
    ------
    ShapeError, DTypeError
        A leaf of the carry changes its shape or dtype (the message names it), or leading axes and ``length`` differ.
    ArgumentError
        ``f`` is no function or returns no pair, or the carry changes its structure.

    **Source:** JAX, ``lax.scan``.

    >>> import bprop
    >>> total, sums = bprop.scan(lambda s, x: (s + x, s + x), bprop.asarray(0.0), bprop.asarray([1.0, 2.0, 3.0]))
    >>> total, sums
    (Array(6.), Array([1., 3., 6.]))
    """
    check_function("scan", "f", f)
    name = f"scan of {name_of(f)}"
    carry_leaves, carry_tree = flatten(init)
    x_leaves, x_tree = flatten(xs)
    rows = [asarray(x) for x in x_leaves]
    length = _length(rows, length, name)
    x_specs = [_row(x.spec) for x in rows]

    def flat(*values: Any) -> tuple[list[Any], Any]:
        """Return the leaves of carry and y, and the structure of y."""
        rest = iter(values)
        carry, x = take_first(rest, len(carry_leaves)), take_first(rest, len(rows))
        result = f(unflatten(carry_tree, carry), unflatten(x_tree, x))
        if not isinstance(result, tuple) or len(result) != 2:
            raise ArgumentError(f"{name}: the function returns a pair (carry, y), not {type(result).__name__}")
        new_carry, new_tree = flatten(result[0])
        check_structure(name, carry_tree, new_tree, ("the carry", "the function returns"))
        y_leaves, y_tree = flatten(result[1])
        return [*new_carry, *y_leaves], y_tree

    def traced(carry_specs: Sequence[Spec], cells: Sequence[Cell] = ()) -> Closure:
        label = input_labels(("carry", carry_tree), ("x", x_tree))
        return Closure(flat, [*carry_specs, *x_specs], name, cells, label, has_aux=True)

    carry, closure = promoted_carry(name, carry_leaves, lambda *values: flat(*values)[0], traced, x_specs)
    cells = closure.written
    if cells:  # trace again with the written cells as part of the carry
        closure = traced([c.spec for c in carry], cells)
    body = _with_cells_in_carry(closure, len(carry), len(rows), len(cells))
    start = [*carry, *(cell.read() for cell in cells)]
    check_carry(name, carry_tree, [x.spec for x in start], body.specs[: len(start)], cells)
    params = {
        "body": body,
        "carries": len(start),
        "scanned": len(rows),
        "length": length,
        "reverse": bool(reverse),
    }
    outputs = current().bind(scan_op, (*start, *rows, *closure.captures), params)
    closure.write(outputs[len(carry) : len(start)])
    return unflatten(carry_tree, outputs[: len(carry)]), unflatten(closure.aux, outputs[len(start) :])


def _with_cells_in_carry(closure: Closure, carries: int, scanned: int, cells: int) -> Graph:
    """Move cells behind the carry: inputs (carry, cells, rows, captures), outputs (carry, cells, ys)."""
    graph = closure.graph
    inputs, outputs = iter(graph.inputs), iter(graph.outputs)
    carry, rows, cell_inputs = (take_first(inputs, count) for count in (carries, scanned, cells))
    new_carry, ys = take_first(outputs, carries), take_first(outputs, closure.count - carries)
    return Graph([*carry, *cell_inputs, *rows, *inputs], graph.nodes, [*new_carry, *outputs, *ys])


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
