"""The equations of a module, fprop and bprop, derived from what it computes.

The formula is traced on shapes alone, and so is the way back: the handwritten ``bprop`` where there is one, else the
derivative that reverse mode takes. Both become one graph; what occurs in it several times gets a name, and every name
gets an equation. A module that holds modules is written with theirs as functions, and theirs follow.
"""

import inspect
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..compile.inline import inline
from ..core.cell import Cell
from ..core.error import ArgumentError, BpropError
from ..core.family import Region
from ..core.graph import Edge, Graph
from ..core.interpreter import StateScope, current, using
from ..core.trace import Trace, Traced
from ..core.value import Array, Spec, asarray
from ..gradients.adjoint import adjoint
from ..ops import ones, zeros
from ..region.custom import custom_op
from .equation import Equation, Equations, Formulas
from .frame import Frame, active

if TYPE_CHECKING:
    from .module import Module

BATCH, WIDTH = 2, 4  # of the example; powers of two, so that the shares of a mean are written exactly


def equations(module: "Module", inputs: Sequence[Any]) -> Equations:
    """Return the equations of a module for example inputs, or for shapes that it takes if none are given."""
    specs = [_spec(module, x) for x in inputs] if inputs else _guess(module)
    names = _input_names(module, len(specs))
    title = f"{type(module).__name__}({module.describe()})"
    forward, backward = _of(module, specs, "", set())
    return Equations(title, {n: s for n, s in zip(names, specs, strict=True) if isinstance(s, Spec)}, forward, backward)


# --- which inputs ---
def _spec(module: "Module", x: Any) -> Any:
    """An array stands for its shape and dtype, a tuple of integers is a shape; names and flags stay."""
    if x is None or isinstance(x, bool | str | Spec):
        return x
    if isinstance(x, tuple) and all(type(size) is int for size in x):
        return Spec(x, _dtype(module))
    value = asarray(x)
    return Spec(value.shape, value.dtype)


def _dtype(module: "Module") -> "np.dtype[Any]":
    floats = [c.array.dtype for c in module.cells().values() if c.array.dtype.kind == "f"]
    return floats[0] if floats else np.dtype(np.float64)


def _guess(module: "Module") -> list[Any]:
    """Return the module's own example, or the first shapes of (N, inputs) that its formula takes."""
    example = module.example()
    if example is not None:
        return [_spec(module, x) for x in example]
    count = len(_input_names(module, None))
    error: BpropError | None = None
    for shape in _shapes(module):
        specs = [Spec(shape, _dtype(module))] * count
        try:
            _trace_forward(module, specs)
        except BpropError as problem:
            error = error or problem
            continue
        return list(specs)
    raise ArgumentError(
        f"{type(module).__name__}.equations: none of the shapes tried is one of its inputs: give examples, arrays or shapes, "
        f"as in equations((2, 3)) (the first said: {error.message if error else ''})"
    )


def _shapes(module: "Module") -> Iterator[tuple[int, ...]]:
    cells = [cell.array.shape for cell in module.cells().values() if cell.trainable]
    widths = list(dict.fromkeys([size for shape in cells for size in reversed(shape)] + [WIDTH]))
    yield from ((BATCH, width) for width in widths)
    yield from ((width,) for width in widths)
    yield from ((BATCH, width, WIDTH) for width in widths)
    for width in widths:
        yield from ((BATCH, width, 8, 8), (BATCH, 8, 8, width))
    yield ()


def _input_names(module: "Module", count: int | None) -> list[str]:
    """Return the names of the formula's inputs: all that have no default, or as many as there are."""
    formula = type(module)._formula
    if formula is None:
        raise ArgumentError(f"{type(module).__name__}.equations: it defines no fprop")
    parameters = list(inspect.signature(formula).parameters.values())[1:]
    places = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    several = any(one.kind == one.VAR_POSITIONAL for one in parameters)
    if count is None:
        required = [one.name for one in places if one.default is one.empty]
        return required or (["x"] if several or not places else [places[0].name])
    names = [one.name for one in places][:count]
    missing = count - len(names)
    return names + (["x"] if missing == 1 and not names else [f"x{i + 1}" for i in range(missing)])


# --- the trace ---
class _Forward(NamedTuple):
    tracer: Trace
    inputs: list[Any]
    cells: dict[str, Cell]
    values: dict[Cell, Array]
    written: dict[str, Array]
    frame: Frame
    calls: list[tuple[str, Any, list[Any]]]


def _trace_forward(module: "Module", specs: Sequence[Any]) -> _Forward:
    tracer = Trace(name=f"equations of {type(module).__name__}")
    xs = [tracer.input(spec) if isinstance(spec, Spec) else spec for spec in specs]
    cells = module.cells()
    values: dict[Cell, Array] = {cell: tracer.input(cell.array.spec) for cell in cells.values()}
    frame = Frame(tuple(xs))
    calls: list[tuple[str, Any, list[Any]]] = []
    hooks = [hook for path, child in module.children() for hook in _opaque(path, child, calls)]
    formula = type(module)._formula
    assert formula is not None
    try:
        with using(tracer), using(StateScope(dict(values))) as scope, active(module, frame):
            frame.y = asarray(formula(module, *xs))
    finally:
        for hook in hooks:
            hook.remove()
    paths = {cell: path for path, cell in cells.items()}
    keys = {cell for _, child in _generators(module) for cell in child.cells().values()}
    written = {paths[cell]: scope.cells[cell] for cell in scope.written if cell in paths and cell not in keys}
    return _Forward(tracer, xs, cells, values, written, frame, calls)


def _generators(module: "Module") -> Iterator[tuple[str, Any]]:
    for _, inner in module.modules():
        yield from ((name, child) for name, child in inner.children() if not hasattr(child, "children"))


def _opaque(path: str, child: Any, calls: list[tuple[str, Any, list[Any]]]) -> list[Any]:
    """Make a module inside a function of its inputs, written with its path, and note what it is called with."""
    if not hasattr(child, "hook"):
        return []
    given: list[tuple[Any, ...]] = []

    def on_x(module: Any, x: Any) -> None:
        given.append(x if isinstance(x, tuple) else (x,))

    def on_y(module: Any, y: Any) -> Any:
        inputs = given.pop()
        arrays = [x for x in inputs if isinstance(x, Array)]
        calls.append((path, child, [x.spec if isinstance(x, Array) else x for x in inputs]))

        def back(y_bars: Sequence[Any], ys: Sequence[Any], xs: Sequence[Any]) -> list[Any]:
            floats = [x for x in xs if x.dtype.kind == "f"]
            found = iter(_named(f"{path}.bprop", y_bars, [x.spec for x in floats], None) if floats else ())
            return [next(found) if x.dtype.kind == "f" else None for x in xs]

        return _named(path, arrays, [y.spec], back)[0]

    return [child.hook(x=on_x, y=on_y)]


def _named(name: str, args: Sequence[Any], specs: Sequence[Spec], vjp: Any) -> Any:
    """Apply a function of which only the name and the shapes of its results are known."""
    params = {
        "name": name,
        "f": lambda *xs: [zeros(spec.shape, dtype=spec.dtype) for spec in specs],
        "vjp": vjp or (lambda y_bars, ys, xs: [None] * len(xs)),
        "jvp": None,
    }
    return current().bind(custom_op, tuple(args), params)


def _trace_backward(module: "Module", forward: _Forward, y_bar: Any) -> tuple[list[Any], dict[str, Any]]:
    """Return the cotangents of the inputs, and those of the parameters by path."""
    tracer, frame = forward.tracer, forward.frame
    rule = type(module)._rule
    trainable = {path: cell for path, cell in forward.cells.items() if cell.trainable}
    if rule is not None and not type(module).composes:
        with using(tracer), using(StateScope(dict(forward.values))), active(module, frame):
            answer = rule(module, y_bar)
        bars = list(answer) if isinstance(answer, tuple) else [answer]
        bars += [None] * (len(forward.inputs) - len(bars))
        return bars, {path: frame.bars[path] for path in trainable if path in frame.bars}
    graph = tracer.graph([frame.y])
    values: dict[Edge, Array] = {(node, 0): value for node, value in graph.captures}
    for node in [*graph.inputs, *graph.nodes]:
        values.update({(node, index): Traced(tracer, node, index) for index in range(len(node.specs))})
    floats = [x for x in forward.inputs if isinstance(x, Traced) and x.dtype.kind == "f"]
    wanted = [*floats, *(forward.values[cell] for cell in trainable.values())]
    with using(tracer):
        swept: list[Any] = adjoint(graph.nodes, values, graph.outputs[0], [tracer.edge(x) for x in wanted])([y_bar])
        inside = {id(value) for path, cell in trainable.items() if "." in path for value in [forward.values[cell]]}
        found = iter(
            zeros(x.shape, dtype=x.dtype) if bar is None and id(x) not in inside else bar
            for bar, x in zip(swept, wanted, strict=True)
        )
        x_bars = [next(found) if any(x is one for one in floats) else None for x in forward.inputs]
        own = {path: next(found) for path in trainable}
        return x_bars, {path: bar for path, bar in own.items() if bar is not None}


# --- from the trace to equations ---
def _of(module: "Module", specs: Sequence[Any], path: str, seen: set[int]) -> tuple[list[Equation], list[Equation]]:
    """Return the equations of a module and of those inside: forward in order, backward in the reverse order."""
    forward = _trace_forward(module, specs)
    tracer, y = forward.tracer, forward.frame.y
    names = _input_names(module, len(specs))
    output = module.result
    with using(tracer):
        y_bar = tracer.input(y.spec) if output == "y" else ones(y.shape, dtype=y.dtype)
    x_bars, bars = _trace_backward(module, forward, y_bar)
    shown = module._answer(tuple(x_bars))
    x_bars = list(shown) if isinstance(shown, tuple) else [shown]
    answered = names if module.answers is None else [names[place] for place in module.answers]

    known = {x.node: name for name, x in zip(names, forward.inputs, strict=True) if isinstance(x, Traced)}
    known.update({forward.values[cell].node: key for key, cell in forward.cells.items()})  # type: ignore[attr-defined]
    if output == "y":
        known[y_bar.node] = "y_bar"  # type: ignore[attr-defined]
    kept = {name: value for name, value in forward.frame.kept.items() if isinstance(value, Traced)}
    ahead = {**kept, output: y, **forward.written}
    back = {f"{name}_bar": bar for name, bar in zip(answered, x_bars, strict=False) if bar is not None}
    back.update({f"{key}_bar": bar for key, bar in bars.items()})
    graph = tracer.graph([*ahead.values(), *back.values()])
    inner = [child for _, child, _ in forward.calls]
    lists = Formulas(graph if inner else inline(graph), known, [*ahead, *back], len(ahead)).run()
    label = path or (type(module).__name__ if inner else "")
    own = [[Equation(label, name, one) for name, one in group] for group in lists]
    names_of_calls = [name for name, _, _ in forward.calls]
    if inner and _is_chain(graph, len(ahead)) and len(set(names_of_calls)) == len(names_of_calls):
        own = [[], []]

    children = []
    for name, child, given in forward.calls:
        if id(child) not in seen:  # a module applied again has the same equations
            seen.add(id(child))
            children.append(_of(child, given, f"{path}.{name}" if path else name, seen))
    ahead_list = own[0] + [one for part, _ in children for one in part]
    return ahead_list, [one for _, part in reversed(children) for one in part] + own[1]


def _is_chain(graph: Graph, count: int) -> bool:
    """Return whether the way forward only applies one module after another (each once, or their order would be lost)."""
    live = Graph(graph.inputs, graph.nodes, graph.outputs[:count], graph.captures).live()
    return count == 1 and all(isinstance(node.op, Region) and len(node.inputs) == 1 for node in live.nodes)


__all__ = ["equations"]
