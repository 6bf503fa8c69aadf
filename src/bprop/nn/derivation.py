"""The equations of a module, fprop and bprop, derived from what it computes.

The formula is traced on shapes alone, and so is the backward pass: the handwritten ``bprop`` where there is one, else
the derivative that reverse mode takes. Both become one graph. A value that occurs in it several times gets a name, and
every name gets an equation. In the equations of a module the modules inside are functions; their own equations follow.
"""

import inspect
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..compile.passes.inline import inline
from ..core.cell import Cell
from ..core.error import ArgumentError, BpropError
from ..core.family import Region
from ..core.graph import Edge
from ..core.interpreter import StateScope, current, using
from ..core.trace import Trace, Traced
from ..core.tree import unflatten
from ..core.value import Array, Spec, asarray
from ..formula.equation import Equation, Equations, Formulas, Renaming
from ..gradients.adjoint import adjoint
from ..ops import ones, zeros
from ..region.custom import custom_op
from .chain_names import chain_names
from .cotangent import padded, requested, split, split_inputs
from .frame import Frame, active
from .hook import make_hook
from .module_state import ModuleState

BATCH, WIDTH = 2, 4  # of the example; powers of two, so that the 1/N of a mean is written exactly


def equations(module: ModuleState, inputs: Sequence[Any]) -> Equations:
    """Return the equations of a module.

    - ``inputs``: example inputs, arrays or shapes; if there are none, shapes that the module takes are tried.
    """
    specs = _specs(module, inputs) if inputs else _example_specs(module)
    names = _input_names(module, len(specs))
    title = f"{type(module).__name__}({module.describe()})"
    writer = _Writer()
    forward, backward = writer.run(module, specs, "")
    shapes = dict(_named(names, specs, Spec))
    return Equations(title, shapes, forward, backward, writer.names)


# --- which inputs ---
def _specs(module: ModuleState, inputs: Sequence[Any]) -> list[Any]:
    """Return the specs of example inputs, in their form."""
    leaves, form = split_inputs(tuple(inputs))
    return list(unflatten(form, [_spec(module, x) for x in leaves]))


def _named(names: Sequence[str], values: Sequence[Any], kind: Any) -> Iterator[tuple[str, Any]]:
    """Yield (name, array) for what the values hold that is of a kind; the arrays of one value are numbered from 1."""
    for name, value in zip(names, values, strict=False):
        leaves = split(value)[0]
        for number, leaf in enumerate(leaves, 1):
            if isinstance(leaf, kind):
                yield name if len(leaves) == 1 else f"{name}{number}", leaf


def _spec(module: ModuleState, x: Any) -> Any:
    """Return the spec of an example input, an array or a shape; names and flags are returned as they are."""
    if x is None or isinstance(x, bool | str | Spec):
        return x
    if _is_shape(x):
        return Spec(x, _dtype(module))
    if isinstance(x, tuple) and all(map(_is_shape, x)):  # of a value that is a tuple
        return tuple(Spec(shape, _dtype(module)) for shape in x)
    value = asarray(x)
    return Spec(value.shape, value.dtype)


def _is_shape(x: Any) -> bool:
    return isinstance(x, tuple) and all(type(size) is int for size in x)


def _dtype(module: ModuleState) -> "np.dtype[Any]":
    """Return the floating dtype of the first cell that has one, else float64."""
    floats = [c.array.dtype for c in module.cells().values() if c.array.dtype.kind == "f"]
    return floats[0] if floats else np.dtype(np.float64)


def _example_specs(module: ModuleState) -> list[Any]:
    """Return the module's own example, or the first shapes of (N, inputs) that its formula takes."""
    example = module.example()
    if example is not None:
        return _specs(module, example)
    count = len(_input_names(module, None))
    error: BpropError | None = None
    for shape in _shapes(module):
        specs = [Spec(shape, _dtype(module))] * count
        try:
            _trace_forward(module, specs)
        except BpropError as refusal:
            error = error or refusal
            continue
        return list(specs)
    raise ArgumentError(
        f"{type(module).__name__}.equations: none of the shapes tried is one of its inputs: give examples, arrays or shapes, "
        f"as in equations((2, 3)) (the first said: {error.message if error else ''})"
    )


def _shapes(module: ModuleState) -> Iterator[tuple[int, ...]]:
    """Yield shapes to try: batches and single examples whose length is a size of a parameter, images, and a scalar."""
    cells = [cell.array.shape for cell in module.cells().values() if cell.trainable]
    widths = list(dict.fromkeys([size for shape in cells for size in reversed(shape)] + [WIDTH]))
    yield from ((BATCH, width) for width in widths)
    yield from ((width,) for width in widths)
    yield from ((BATCH, width, WIDTH) for width in widths)
    for width in widths:
        yield from ((BATCH, width, 8, 8), (BATCH, 8, 8, width))
    yield ()


def _input_names(module: ModuleState, count: int | None) -> list[str]:
    """Return the names of the formula's inputs: all that have no default, or as many as there are."""
    formula = type(module)._formula
    if formula is None:
        raise ArgumentError(f"{type(module).__name__}.equations: it defines no fprop")
    parameters = list(inspect.signature(formula).parameters.values())[1:]
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    variadic = any(p.kind == p.VAR_POSITIONAL for p in parameters)
    if count is None:
        required = [p.name for p in positional if p.default is p.empty]
        return required or (["x"] if variadic or not positional else [positional[0].name])
    names = [p.name for p in positional][:count]
    missing = count - len(names)
    return names + (["x"] if missing == 1 and not names else [f"x{i + 1}" for i in range(missing)])


def _takes_one(module: ModuleState) -> bool:
    """Return whether the formula takes one input and no more: a tuple that a hook sees is then this input."""
    formula = type(module)._formula
    return formula is not None and len(inspect.signature(formula).parameters) == 2


# --- the trace ---
class _Call(NamedTuple):
    """A call of a module inside: its path, the module, and the specs of its inputs."""

    path: str
    module: Any
    specs: list[Any]


class _Forward(NamedTuple):
    """A traced forward pass.

    ``cells``: all cells by path. ``values``: what stands for each in the trace. ``written``: what is written to states.
    """

    tracer: Trace
    inputs: tuple[Any, ...]
    cells: dict[str, Cell]
    values: dict[Cell, Array]
    written: dict[str, Array]
    frame: Frame
    calls: list[_Call]

    @property
    def trainable(self) -> dict[str, Cell]:
        """The parameters by path."""
        return {path: cell for path, cell in self.cells.items() if cell.trainable}


def _trace_forward(module: ModuleState, specs: Sequence[Any]) -> _Forward:
    tracer = Trace(name=f"equations of {type(module).__name__}")
    leaves, form = split_inputs(tuple(specs))
    inputs = unflatten(form, [tracer.input(spec) if isinstance(spec, Spec) else spec for spec in leaves])
    cells = module.cells()
    values: dict[Cell, Array] = {cell: tracer.input(cell.array.spec) for cell in cells.values()}
    frame = Frame(inputs)
    calls: list[_Call] = []
    hooks = [_make_opaque(path, child, calls) for path, child in module.children() if isinstance(child, ModuleState)]
    formula = type(module)._formula
    assert formula is not None
    try:
        with using(tracer), using(StateScope(dict(values))) as scope, active(module, frame):
            ys, result_form = split(formula(module, *inputs))
            frame.y = unflatten(result_form, map(asarray, ys))
    finally:
        for hook in hooks:
            hook.remove()
    paths = {cell: path for path, cell in cells.items()}
    counters = _generator_cells(module)
    written = {paths[cell]: scope.cells[cell] for cell in scope.written if cell in paths and cell not in counters}
    return _Forward(tracer, inputs, cells, values, written, frame, calls)


def _generator_cells(module: ModuleState) -> set[Cell]:
    """Return the cells of generators and other holders that are no modules."""
    holders = [child for _, inner in module.modules() for _, child in inner.children()]
    return {cell for child in holders if not isinstance(child, ModuleState) for cell in child.cells().values()}


def _make_opaque(path: str, child: ModuleState, calls: list[_Call]) -> Any:
    """Hook a module inside so that in the trace it is a function by its path; its calls are noted in ``calls``."""
    pending: list[tuple[Any, ...]] = []  # inputs of calls that have no result yet
    single = _takes_one(child)

    def on_x(module: Any, x: Any) -> None:
        pending.append(x if isinstance(x, tuple) and not single else (x,))

    def on_y(module: Any, y: Any) -> Any:
        inputs = pending.pop()
        leaves, form = split_inputs(inputs)
        arrays = [x for x in leaves if isinstance(x, Array)]
        specs = unflatten(form, [x.spec if isinstance(x, Array) else x for x in leaves])
        calls.append(_Call(path, child, list(specs)))
        ys, result_form = split(y)

        def vjp(y_bars: Sequence[Any], ys: Sequence[Any], xs: Sequence[Any]) -> list[Any]:
            floats = [x.spec for x in xs if x.dtype.kind == "f"]
            bars = iter(_opaque_call(f"{path}.bprop", y_bars, floats, None) if floats else ())
            return [next(bars) if x.dtype.kind == "f" else None for x in xs]

        return unflatten(result_form, _opaque_call(path, arrays, [value.spec for value in ys], vjp))

    return make_hook(child, {"x": on_x, "y": on_y})


def _opaque_call(name: str, args: Sequence[Any], specs: Sequence[Spec], vjp: Any) -> Any:
    """Apply a function of which only the name and the specs of its results are known."""
    params = {
        "name": name,
        "f": lambda *xs: [zeros(spec.shape, dtype=spec.dtype) for spec in specs],
        "vjp": vjp or (lambda y_bars, ys, xs: [None] * len(xs)),
        "jvp": None,
        "sees_absent": False,
    }
    return current().bind(custom_op, tuple(args), params)


def _trace_backward(module: ModuleState, forward: _Forward, y_bars: list[Any]) -> tuple[Sequence[Any], dict[str, Any]]:
    """Return the cotangents of the inputs, and those of the parameters by path."""
    rule = type(module)._rule
    if rule is None or type(module).composes:
        return _trace_derived(forward, y_bars)
    frame = forward.frame
    y_bar = unflatten(split(frame.y)[1], y_bars)
    with using(forward.tracer), using(StateScope(dict(forward.values))), active(module, frame):
        x_bar = rule(module, *(y_bar if isinstance(y_bar, tuple) else (y_bar,)))
    return padded(x_bar, forward.inputs), {path: frame.bars[path] for path in forward.trainable if path in frame.bars}


def _trace_derived(forward: _Forward, y_bars: list[Any]) -> tuple[Sequence[Any], dict[str, Any]]:
    """`_trace_backward` by the derivative of the traced formula.

    A cotangent that is absent is written as zeros, but not that of a parameter of a module inside: that module's own
    equations have it.
    """
    tracer = forward.tracer
    graph = tracer.graph(split(forward.frame.y)[0])
    inputs, input_form = split_inputs(forward.inputs)
    values: dict[Edge, Array] = {node.output: value for node, value in graph.captures}
    for node in [*graph.inputs, *graph.nodes]:
        values.update({edge: Traced(tracer, *edge) for edge in node.outputs})
    differentiated = [isinstance(x, Traced) and x.dtype.kind == "f" for x in inputs]
    variables = [x for x, flag in zip(inputs, differentiated, strict=True) if flag]
    count = len(variables)
    variables += [forward.values[cell] for cell in forward.trainable.values()]
    optional = [False] * count + ["." in path for path in forward.trainable]
    with using(tracer):
        bars = adjoint(graph.nodes, values, graph.outputs, [tracer.edge(x) for x in variables])(y_bars)
        bars = [
            bar if bar is not None or omitted else zeros(x.shape, dtype=x.dtype)
            for bar, x, omitted in zip(bars, variables, optional, strict=True)
        ]
    x_bars = iter(bars[:count])
    parameter_bars = dict(zip(forward.trainable, bars[count:], strict=True))
    return (
        unflatten(input_form, [next(x_bars) if flag else None for flag in differentiated]),
        {path: bar for path, bar in parameter_bars.items() if bar is not None},
    )


# --- from the trace to equations ---
class _Writer:
    """Writes the equations of a module and of those inside.

    ``seen``: ids of the modules that have been written. ``names``: by path, how the values of a module are called in a chain.
    """

    def __init__(self) -> None:
        self.seen: set[int] = set()
        self.names: dict[str, Renaming] = {}

    def run(self, module: ModuleState, specs: Sequence[Any], path: str) -> tuple[list[Equation], list[Equation]]:
        """Return the equations: forward in order, backward in the reverse order."""
        forward = _trace_forward(module, specs)
        own_forward: list[Equation] = []
        own_backward: list[Equation] = []
        if _is_chain(forward):
            inside = list(_links(forward, path))
            self.names |= _chain_names(module, inside)
        else:
            own_forward, own_backward = _own_equations(module, forward, path)
            if path in self.names:
                own_forward = [self.names[path].apply(equation) for equation in own_forward]
                own_backward = [self.names[path].apply(equation) for equation in own_backward]
            inside = [call._replace(path=_joined(path, call.path)) for call in forward.calls]
        inner_backward: list[Equation] = []
        for call in inside:
            if id(call.module) not in self.seen:  # a module applied again has the same equations
                self.seen.add(id(call.module))
                child_forward, child_backward = self.run(call.module, call.specs, call.path)
                own_forward = own_forward + child_forward
                inner_backward = child_backward + inner_backward
        return own_forward, inner_backward + own_backward


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


# --- chains ---
def _is_chain(forward: _Forward) -> bool:
    """Return whether the forward pass only applies one module after another (each once, or their order would be lost)."""
    paths = [call.path for call in forward.calls]
    outputs = split(forward.frame.y)[0]
    if not paths or len(set(paths)) < len(paths) or len(outputs) != 1:
        return False
    live = forward.tracer.graph(outputs).live()
    return all(isinstance(node.op, Region) and len(node.inputs) == 1 for node in live.nodes) and not forward.written


def _links(forward: _Forward, path: str) -> Iterator[_Call]:
    """Yield the modules of a chain, in order, and in the place of a chain its own."""
    for call in forward.calls:
        link = call._replace(path=_joined(path, call.path))
        inner = _trace_forward(call.module, call.specs)
        if _is_chain(inner):
            yield from _links(inner, link.path)
        else:
            yield link


def _chain_names(module: ModuleState, inside: list[_Call]) -> dict[str, Renaming]:
    """Return the names of the values of a chain by path; none where a module is applied twice or gives several arrays."""
    modules = [call.module for call in inside]
    if len({*map(id, modules)}) < len(modules) or not all(isinstance(link.result, str) for link in modules):
        return {}
    inputs = [_input_names(link, 1)[0] for link in modules]
    results = [link.result for link in modules]
    outer = (_input_names(module, 1)[0], module.result if isinstance(module.result, str) else results[-1])
    return dict(zip([call.path for call in inside], chain_names(modules, inputs, results, outer), strict=True))


def _own_equations(module: ModuleState, forward: _Forward, path: str) -> tuple[list[Equation], list[Equation]]:
    """Return the equations of a module, in which those inside are functions."""
    input_names = _input_names(module, len(forward.inputs))
    names = {x.node: name for name, x in _named(input_names, forward.inputs, Traced)}
    names.update({forward.values[cell].node: key for key, cell in forward.cells.items()})  # type: ignore[attr-defined]
    tracer = forward.tracer
    results = dict(_results(module, forward.frame.y))
    with using(tracer):
        if module.result == "E":  # a loss, whose cotangent is 1
            y_bars: list[Any] = [ones(y.shape, dtype=y.dtype) for y in results.values()]
        else:
            y_bars = [tracer.input(y.spec) for y in results.values()]
            names.update({y_bar.node: f"{name}_bar" for name, y_bar in zip(results, y_bars, strict=True)})
    x_bars, parameter_bars = _trace_backward(module, forward, y_bars)

    saved = {name: value for name, value in forward.frame.saved.items() if isinstance(value, Traced)}
    forward_values = {**saved, **results, **forward.written}
    backward_values = _backward_values(module, input_names, x_bars)
    backward_values.update({f"{key}_bar": bar for key, bar in parameter_bars.items()})
    graph = tracer.graph([*forward_values.values(), *backward_values.values()])
    count = len(forward_values)
    call_paths = [call.path for call in forward.calls]
    label = path or (type(module).__name__ if call_paths else "")
    groups = Formulas(graph if call_paths else inline(graph), names, [*forward_values, *backward_values], count).run()
    first, second = ([Equation(label, name, expression) for name, expression in group] for group in groups)
    return first, second


def _results(module: ModuleState, y: Any) -> Iterator[tuple[str, Any]]:
    """Yield (name, array) for what fprop returned: by the name that the class gives it, the arrays of one numbered."""
    names = module.result if isinstance(module.result, tuple) else (module.result,)
    return _named(names, y if isinstance(y, tuple) and len(names) > 1 else (y,), Array)


def _backward_values(module: ModuleState, names: list[str], x_bars: Sequence[Any]) -> dict[str, Any]:
    """Return the cotangents that ``bprop`` returns, by name."""
    returned = requested(tuple(x_bars), module.answers)
    bars = returned if isinstance(returned, tuple) else (returned,)
    answered = names if module.answers is None else [names[position] for position in module.answers]
    return {f"{name}_bar": bar for name, bar in _named(answered, bars, Array)}


__all__ = ["equations"]
