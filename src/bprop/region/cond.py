"""`cond`: one of two functions, chosen by a number. Its derivatives are branches of the same predicate.

With the predicate p, the branches f₁ and f₀ and operands x the **forward pass** is y = f_p(x), **forward mode**
ẏ = ∂f_p(x) ẋ, and the **backward pass** x̄ = ∂f_p(x)ᵀ ȳ. The predicate has no derivative.

Where p has a number, only the branch taken is run, under every interpretation. Where p is being traced, both branches
are traced and native code jumps to one. Then the two branches of the forward pass must give the same arrays, also of
what they save for the backward pass. So residuals of equal shape and dtype share a slot; a slot that the branch taken
does not need holds zeros.

**Source:** JAX, ``lax.cond``; Griewank & Walther (2008), Evaluating Derivatives, ch. 14, for derivatives of branches.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ..core.cell import Cell
from ..core.dtype import result_type
from ..core.error import DerivativeError
from ..core.family import Region
from ..core.graph import Graph
from ..core.interpreter import current, using
from ..core.op import Operand
from ..core.tree import flatten, is_holder, unflatten
from ..core.value import Spec, asarray
from ..gradients.batch import Batch
from ..gradients.variable import name_of
from ..ops import where
from .check import check_function, check_predicate, check_specs, check_structure
from .closure import Closure, unify_captures
from .cotangent import compress, expand, filled, is_differentiable, zeros_of
from .interpretation import apply_batched, apply_masked, apply_recorded, apply_with_tangents
from .presence import common_kind, kind_of, masks_of, to_kind, with_masks
from .split import BackwardGraph, SplitBody
from .weak import as_dtype, is_weak

Branch = Callable[[], Sequence[Any]]
_BRANCHES = ("true", "false")


class Cond(Region):
    """args: the predicate, then the operands of both branches; params: ``true`` and ``false``, two closed graphs."""

    native = "branch"

    def spec(self, *operands: Operand, **params: Any) -> tuple[Spec, ...]:
        specs: tuple[Spec, ...] = params["true"].specs
        return specs

    def body(self, params: dict[str, Any]) -> Any:
        raise DerivativeError("cond: the paths of a branch cannot be seen from outside: write a Python if")

    def branch_taken(self, args: tuple[Any, ...], params: dict[str, Any]) -> Graph:
        """Return the graph of the branch taken; the predicate has a number."""
        graph: Graph = params["true" if bool(args[0]) else "false"]
        return graph

    def run(self, predicate: Any, branches: Sequence[Branch]) -> list[Any]:
        """Apply this op to two functions without arguments: what they need they capture."""
        graphs, captures = unify_captures([Closure(branch, [], self.name) for branch in branches])
        params = dict(zip(_BRANCHES, graphs, strict=True))
        return list(current().bind(self, (predicate, *captures), params))

    def complex_step(self, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        return tuple(self.branch_taken(args, params)(*args[1:]))

    # --- reverse mode ---
    def record(self, args: tuple[Any, ...], params: dict[str, Any], needs: tuple[bool, ...]) -> tuple[Any, Any]:
        predicate, *xs = args
        differentiable = [need and is_differentiable(x) for need, x in zip(needs[1:], xs, strict=True)]
        if predicate.decides():
            ys, pullback = apply_recorded(self.branch_taken(args, params), xs, differentiable, self.name)
            return ys, lambda y_bars: [None, *pullback(y_bars)]
        return _SplitCond(self, args, params, differentiable).record()

    # --- forward mode ---
    def jvp(self, args: tuple[Any, ...], args_dot: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, Any]:
        predicate, *xs = args
        if predicate.decides():
            return apply_with_tangents(self.branch_taken(args, params), xs, args_dot[1:])
        floats = [is_differentiable(spec) for spec in params["true"].specs]

        def branch(key: str) -> list[Any]:
            ys, ys_dot = apply_with_tangents(params[key], xs, args_dot[1:])
            return [*ys, *compress(filled(ys_dot, ys), floats)]

        outputs = self.run(predicate, [partial(branch, key) for key in _BRANCHES])
        return outputs[: len(floats)], expand(outputs[len(floats) :], floats)

    # --- absence: both branches give masks of one kind ---
    def absent(self, args: tuple[Any, ...], present: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, Any]:
        predicate, *xs = args
        if predicate.decides():
            return apply_masked(self.branch_taken(args, params), xs, present[1:])

        def branch(key: str) -> tuple[list[Any], list[Any]]:
            return apply_masked(params[key], xs, present[1:])

        traced = [Closure(partial(branch, key), [], self.name, has_aux=True) for key in _BRANCHES]
        kinds = [common_kind(*map(kind_of, pair)) for pair in zip(*(closure.aux for closure in traced), strict=True)]

        def with_common_kinds(key: str) -> list[Any]:
            ys, presence = branch(key)
            return [*ys, *masks_of(map(to_kind, presence, kinds))]

        outputs = self.run(predicate, [partial(with_common_kinds, key) for key in _BRANCHES])
        return outputs[: len(kinds)], with_masks(kinds, outputs[len(kinds) :])

    # --- batching ---
    def batch(self, args: tuple[Any, ...], batched: tuple[bool, ...], params: dict[str, Any], level: Batch) -> Any:
        """With one predicate for all, batch the branch taken; with one for each entry run both, and choose entries."""
        predicate, *xs = args

        def branch(key: str, active: Any = None) -> list[Any]:
            return apply_batched(params[key], xs, batched[1:], level.inside(active))

        if not batched[0]:
            return tuple(self.run(predicate, [partial(branch, key) for key in _BRANCHES]))
        results = [branch(key, taken) for key, taken in zip(_BRANCHES, (predicate, ~predicate), strict=True)]
        owner = level.inside()
        with using(owner):
            ys = [where(*map(owner.wrap, (predicate, *pair))) for pair in zip(*results, strict=True)]
        return tuple(owner.lower(y) for y in ys)


class _SplitCond:
    """Reverse mode of a branch that is being traced: one `cond` for the forward pass and one for the backward pass."""

    def __init__(self, op: Cond, args: tuple[Any, ...], params: dict[str, Any], differentiable: Sequence[bool]) -> None:
        self.op = op
        self.predicate, *self.xs = args
        self.differentiable = differentiable
        self.floats = [is_differentiable(spec) for spec in params["true"].specs]
        self.splits = [SplitBody(params[key], differentiable, lambda position: True, op.name) for key in _BRANCHES]
        for split in self.splits:
            split.backward(self.floats)  # notes all residuals that any backward pass may read
        self.slots, self.slots_of = _assign_slots([[r.spec for r in split.residuals] for split in self.splits])

    def record(self) -> tuple[Any, Any]:
        """Return the results and the pullback."""
        forward = [partial(self._forward, *pair) for pair in zip(self.splits, self.slots_of, strict=True)]
        outputs = self.op.run(self.predicate, forward)
        count = len(self.floats)
        return tuple(outputs[:count]), lambda y_bars: self._pullback(y_bars, outputs[count:])

    def _forward(self, split: SplitBody, slot_of: Sequence[int]) -> list[Any]:
        """Run one branch forwards; return its results, then all slots with its residuals in them."""
        graph, captures = split.forward()
        outputs = graph(*self.xs, *captures)
        ys, residuals = outputs[: len(split.results)], outputs[len(split.results) :]
        residual_in = dict(zip(slot_of, residuals, strict=True))
        slots = [residual_in[slot] if slot in residual_in else zeros_of(spec) for slot, spec in enumerate(self.slots)]
        return [*ys, *slots]

    def _pullback(self, y_bars: Sequence[Any], slots: Sequence[Any]) -> list[Any]:
        """Return the cotangents of all args; both branches give one for each input that either of them reaches."""
        present = [y_bar is not None and flag for y_bar, flag in zip(y_bars, self.floats, strict=True)]
        graphs = [split.backward(present, fill=False) for split in self.splits]
        reached = [true or false for true, false in zip(*(graph.reached for graph in graphs), strict=True)]
        seeds = list(compress(y_bars, present))
        inputs = list(compress(self.xs, self.differentiable))

        def backward(graph: BackwardGraph, slot_of: Sequence[int]) -> list[Any]:
            x_bars = graph(seeds, self.xs.__getitem__, lambda number: slots[slot_of[number]])
            return list(compress(filled(x_bars, inputs), reached))

        branches = [partial(backward, *pair) for pair in zip(graphs, self.slots_of, strict=True)]
        x_bars = expand(self.op.run(self.predicate, branches), reached)
        return [None, *expand(x_bars, self.differentiable)]


def _assign_slots(groups: Sequence[Sequence[Spec]]) -> tuple[list[Spec], list[list[int]]]:
    """Return slots (their shapes and dtypes) in which each group of values fits, and the slot of each value of a group.

    Values of one group have different slots; those of different groups share them where shape and dtype are equal.
    """
    slots: list[Spec] = []
    assignments = []
    for group in groups:
        free = list(range(len(slots)))
        assignment = []
        for spec in group:
            slot = next((number for number in free if slots[number] == spec), len(slots))
            if slot == len(slots):
                slots.append(spec)
            else:
                free.remove(slot)
            assignment.append(slot)
        assignments.append(assignment)
    return slots, assignments


cond_op: Cond = Cond(
    "cond",
    lambda *args, **params: tuple(cond_op.branch_taken(args, params)(*args[1:])),
    doc="One of two functions, chosen by a number: see `bprop.cond`.",
)


def cond(
    predicate: Any, true_function: Callable[..., Any], false_function: Callable[..., Any], /, *operands: Any
) -> Any:
    """Return ``true_function(*operands)`` where the predicate holds, else ``false_function(*operands)``.

    Both functions are traced once. Only the one taken is run, eager and in native code, where it is a branch. Cells
    written in a branch (a generator's counter) keep their value if the other one is taken. Inside `vmap` with a
    predicate for each entry both are computed, and entries chosen as by `where`.

    Parameters
    ----------
    predicate : bool array of shape ()
        Which of the functions is taken.
    true_function, false_function : functions of the operands
        They return trees of the same structure, shapes and dtypes; Python numbers in them are weak, as in `where`. What
        they close over is differentiated as usual.
    *operands : trees of arrays and Python numbers
        The arguments of both functions. Modules and other objects with cells are passed as they are.

    Returns
    -------
    tree of arrays
        What the function taken returns.

    Raises
    ------
    ShapeError
        The predicate is not one bool, or the results have different shapes; the message names the leaf.
    DTypeError
        The predicate is no bool, or the results have different dtypes.
    ArgumentError
        The results have different structures, or one of the functions cannot be called.

    **Source:** JAX, ``lax.cond``.

    >>> import bprop
    >>> f = lambda x: bprop.cond(x > 0, lambda x: x * x, lambda x: -x, x)
    >>> f(bprop.asarray(3.0)), bprop.grad(f)(3.0), bprop.grad(f)(-3.0)
    (Array(9.), Array(6.), Array(-1.))
    """
    functions = (true_function, false_function)
    for argument, f in zip(("true_function", "false_function"), functions, strict=True):
        check_function("cond", argument, f)
    name = f"cond of {' and '.join(map(name_of, functions))}"
    test = asarray(predicate)
    check_predicate(name, "the predicate", test.spec)
    leaves, structure = flatten(operands, is_holder)
    inputs = [leaf if is_holder(leaf) or is_weak(leaf) else asarray(leaf) for leaf in leaves]

    def flat(f: Callable[..., Any], dtypes: Sequence[Any]) -> tuple[list[Any], tuple[Any, list[Any]]]:
        """Return the leaves of the results; and their structure, with the Python scalars among the leaves."""
        outputs, tree = flatten(f(*unflatten(structure, inputs)))
        scalars = [y if is_weak(y) else None for y in outputs]
        if dtypes:
            outputs = [as_dtype(name, y, dtype) for y, dtype in zip(outputs, dtypes, strict=True)]
        return outputs, (tree, scalars)

    def traced(dtypes: Sequence[Any] = (), cells: Sequence[Cell] = ()) -> list[Closure]:
        return [
            Closure(partial(flat, f, dtypes), [], f"{name}, {branch} branch", cells, has_aux=True)
            for branch, f in zip(_BRANCHES, functions, strict=True)
        ]

    closures = traced()
    cells = list(dict.fromkeys(cell for closure in closures for cell in closure.written))
    (true_tree, true_scalars), (false_tree, false_scalars) = (closure.aux for closure in closures)
    check_structure(name, true_tree, false_tree, ("the true branch", "the false branch"))
    dtypes = _promoted(closures, (true_scalars, false_scalars))
    if cells or dtypes:  # a branch that does not write a cell returns its old value
        closures = traced(dtypes, cells)
    true_specs, false_specs = (closure.graph.specs for closure in closures)
    count = closures[0].count
    check_specs(name, true_tree, true_specs[:count], false_specs[:count], ("the true branch gives", "the false branch"))
    graphs, captures = unify_captures(closures)
    params = dict(zip(_BRANCHES, graphs, strict=True))
    outputs = current().bind(cond_op, (test, *(cell.read() for cell in cells), *captures), params)
    closures[0].write(outputs[count:])
    return unflatten(true_tree, outputs[:count])


def _promoted(closures: Sequence[Closure], scalars: Sequence[Sequence[Any]]) -> list[Any]:
    """Return the dtypes of all results if a Python scalar of one branch is to take that of the other branch, else [].

    ``scalars`` has for each branch the Python scalars among its results, and ``None`` for an array. The dtype is
    ``None`` where both results are arrays.
    """
    specs = [closure.graph.specs[: closure.count] for closure in closures]
    true_types, false_types = (
        [spec.dtype if scalar is None else scalar for spec, scalar in zip(*branch, strict=True)]
        for branch in zip(specs, scalars, strict=True)
    )
    dtypes = [
        result_type(true, false) if is_weak(true) or is_weak(false) else None
        for true, false in zip(true_types, false_types, strict=True)
    ]
    changed = any(
        dtype is not None and dtype != spec.dtype
        for branch in specs
        for dtype, spec in zip(dtypes, branch, strict=True)
    )
    return dtypes if changed else []


__all__ = ["cond", "cond_op"]
