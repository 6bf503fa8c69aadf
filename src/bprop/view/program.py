"""A viewed function as a small program that a page runs: one function forward and one backward for every application.

Nothing is derived here. The forward function is the application itself, the backward function the library's own rule,
traced under `Absent`, so that entries without a derivative stay absent. Both are written out as a list of instructions:

============= ================================================================================================
``map``       a function of numbers, entry by entry, with broadcasting
``gather``    y[o] = x[table[o]]; ``scatter``: y[table[i]] += x[i]. The tables are computed here.
``contract``  a sum of products, by labels as in an einsum; ``products``: by a table of entries
``reduce``    a small program of scalars combines the entries along axes; ``scan``: and keeps what is on the way
``join``      one array behind the other along an axis
``constant``  numbers
============= ================================================================================================

Functions of numbers have the names of native instructions; an op that native code computes with other ops becomes
those. What has no instruction is *frozen*: the page shows its numbers and cannot change them.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import singledispatch
from math import prod
from typing import Any

import numpy as np

from ..compile.passes.inline import inline, native_graph
from ..core.dtype import is_inexact
from ..core.error import BpropError
from ..core.family import Bilinear, Creation, Cumulative, Elementwise, Join, Linear, Random, Reduction, Selection
from ..core.graph import Edge, Graph, Node
from ..core.interpreter import EVALUATE, using
from ..core.op import Op
from ..core.simplify import simplify
from ..core.trace import trace_flat
from ..core.value import Array, Spec
from ..gradients import absent  # the whole room first: see core/lazy.py
from ..gradients.adjoint import local
from ..ops.guard import guard

Json = dict[str, Any]
FUNCTIONS = {
    "cast", "exp", "expm1", "log", "log1p", "exp2", "log2", "log10", "add", "subtract", "multiply", "divide",
    "negative", "abs", "floor_divide", "remainder", "erf", "erfc", "pow", "sqrt", "cbrt", "hypot", "tanh", "less",
    "less_equal", "greater", "greater_equal", "equal", "not_equal", "logical_and", "logical_or", "logical_xor",
    "logical_not", "isnan", "isinf", "isfinite", "floor", "ceil", "trunc", "round", "copysign", "signbit", "sin",
    "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh", "atan2", "where", "maximum",
    "minimum",
}  # fmt: skip
"""Instructions that the page's interpreter has: `page/scalar.js`."""
TRUTH = {
    "bitwise_and": "logical_and", "bitwise_or": "logical_or", "bitwise_xor": "logical_xor", "bitwise_invert": "logical_not",
}  # fmt: skip
"""What instructions on bits are for truth values."""
LIMIT = 20_000
"""Numbers in the tables of one application."""


class FrozenError(BpropError):
    """An application that a page cannot compute."""


def function_of(graph: Graph) -> Json:
    """Return a graph as a list of instructions on registers; raises `FrozenError` naming an op that has none.

    The first registers are the graph's inputs.

    >>> import bprop
    >>> from bprop.view.program import function_of
    >>> function_of(bprop.trace(lambda x: bprop.exp(x) * 2)(1.0))["code"][0]
    {'do': 'map', 'name': 'exp', 'of': [0], 'to': 1, 'shape': [], 'dtype': 'float64'}
    """
    writer = _Writer(graph.inputs)
    writer.write(simplify(inline(graph)))
    return writer.result()


class _Writer:
    """Writes graphs as instructions."""

    def __init__(self, inputs: Sequence[Node]) -> None:
        self.registers: dict[Edge, Any] = {node.output: position for position, node in enumerate(inputs)}
        self.shapes = [list(node.specs[0].shape) for node in inputs]
        self.size = len(inputs)
        self.code: list[Json] = []
        self.numbers: dict[Edge, Any] = {}  # of what no input changes

    def write(self, graph: Graph) -> list[Any]:
        """Append a graph's instructions; return the registers of its outputs."""
        for node, value in graph.captures:
            self.constant(node.output, value.concrete())
        for node in graph.nodes:
            self._node(node)
        self.outputs = [self.registers[edge] for edge in graph.outputs]
        return self.outputs

    def result(self) -> Json:
        """Return the function: the shapes of its inputs, its instructions, and the registers of its results."""
        return {"shapes": self.shapes, "code": self.code, "outputs": self.outputs}

    def constant(self, edge: Edge, value: Any) -> None:
        if value is None or np.asarray(value).dtype.kind not in "biuf":
            raise FrozenError(f"{edge.spec} is no number that a page computes with")
        data = np.asarray(value)
        self.numbers[edge] = data
        self.emit("constant", [], edge.spec, edge, data=numbers(data))

    def emit(self, kind: str, operands: Sequence[Any], spec: Spec, edge: Edge | None, **settings: Any) -> int:
        """Append an instruction; return its register."""
        if spec.dtype.kind not in "biuf":
            raise FrozenError(f"numbers of dtype {spec.dtype}")
        instruction = {"do": kind, **settings, "of": list(operands), "to": self.size}
        self.code.append(instruction | {"shape": list(spec.shape), "dtype": str(spec.dtype)})
        if edge is not None:
            self.registers[edge] = self.size
        self.size += 1
        return self.size - 1

    def operand(self, x: Any) -> Any:
        """Return an operand: a register, or a number."""
        return self.registers[x] if type(x) is Edge else {"number": number(x)}

    def _node(self, node: Node) -> None:
        op = node.op
        assert op is not None
        if op is guard:  # it holds here: other products were traced otherwise
            self.registers[node.output] = self.operand(node.inputs[0])
        elif all(type(x) is not Edge or x in self.numbers for x in node.inputs) and not op.is_region:
            xs = [self.numbers[x] if type(x) is Edge else x for x in node.inputs]
            results = EVALUATE.compute(op, xs, tuple(xs), node.params)
            for edge, value in zip(node.outputs, results if op.several else (results,), strict=True):
                self.constant(edge, value)
        else:
            _instructions(op, self, node)

    def native(self, native: Callable[..., Any], node: Node) -> None:
        """Write an op as the ops with which native code computes it."""
        graph = simplify(inline(native_graph(native, node)))
        scalars = {
            edge: self.registers[x] for edge, x in zip((n.output for n in graph.inputs), node.edges, strict=True)
        }
        self.registers.update(scalars)
        self.write(graph)
        result = self.registers[graph.outputs[0]]
        if graph.outputs[0].spec != node.specs[0]:
            self.emit("map", [result], node.specs[0], node.output, name="cast")
        self.registers[node.output] = self.registers.get(node.output, result)


@singledispatch
def _instructions(op: Op, writer: _Writer, node: Node) -> None:
    """Write one application."""
    raise FrozenError(f"{op.name}")


@_instructions.register
def _(op: Elementwise, writer: _Writer, node: Node) -> None:
    if isinstance(op.native, str):
        _map(op, writer, node)
    elif len(node.edges) == len(node.inputs):
        writer.native(op.native, node)
    else:
        native, inputs = op.native, node.inputs

        def with_numbers(*xs: Any, **params: Any) -> Any:
            rest = iter(xs)
            return native(*[next(rest) if type(x) is Edge else x for x in inputs], **params)

        writer.native(with_numbers, node)


@_instructions.register
def _(op: Selection, writer: _Writer, node: Node) -> None:
    if callable(op.native):
        raise FrozenError(op.name)
    _map(op, writer, node)


def _map(op: Any, writer: _Writer, node: Node) -> None:
    name = op.native
    if all(spec.dtype.kind == "b" for spec in node.specs + node.operands if isinstance(spec, Spec)):
        name = TRUTH.get(name, name)
    if name not in FUNCTIONS:
        raise FrozenError(op.name)
    writer.emit("map", [*map(writer.operand, node.inputs)], node.specs[0], node.output, name=name)


@_instructions.register
def _(op: Linear, writer: _Writer, node: Node) -> None:
    x, *others = node.inputs
    if any(type(other) is Edge and other not in writer.numbers for other in others):
        raise FrozenError(f"{op.name}, whose positions are computed")
    values = [writer.numbers[other] if type(other) is Edge else other for other in others]
    shape = node.operands[0].shape if isinstance(node.operands[0], Spec) else ()
    spec = node.specs[0]
    if type(x) is Edge and op.view and not op.scatter and prod(shape) == prod(spec.shape):
        return _renamed(writer, writer.registers[x], op, node)
    places = np.arange(prod(shape)).reshape(shape)
    if op.scatter:
        target = np.arange(prod(spec.shape)).reshape(spec.shape)
        table = op.adjoint(Array(target), Array(places), *map(_array, values), **node.params).numpy()
    else:
        table = np.asarray(op.evaluate(places, *values, **node.params))
    if table.size > LIMIT:
        raise FrozenError(f"{op.name} of {table.size} entries")
    kind = "scatter" if op.scatter else "gather"
    writer.emit(kind, [writer.operand(x)], spec, node.output, table=[int(entry) for entry in table.ravel()])


def _array(x: Any) -> Any:
    return Array(x) if isinstance(x, np.ndarray) else x


def _renamed(writer: _Writer, register: Any, op: Linear, node: Node) -> None:
    """Entries that stay where they are, in another shape."""
    writer.emit("reshape", [register], node.specs[0], node.output)


@_instructions.register
def _(op: Join, writer: _Writer, node: Node) -> None:
    axis = node.params["axis"]
    sizes = [spec.shape[axis] for spec in node.operands if isinstance(spec, Spec)]
    operands = list(map(writer.operand, node.inputs))
    writer.emit("join", operands, node.specs[0], node.output, axis=axis, sizes=sizes)


@_instructions.register
def _(op: Bilinear, writer: _Writer, node: Node) -> None:
    if op.windowed and node.params.get("windows"):
        raise FrozenError(op.name)
    shapes = [spec.shape if isinstance(spec, Spec) else () for spec in node.operands]
    labels = op.labels(*shapes, **node.params)
    sizes = op.sizes(labels[0], shapes[0], labels[1], shapes[1])
    operands = list(map(writer.operand, node.inputs))
    shapes_of = [list(shape) for shape in shapes]
    writer.emit("contract", operands, node.specs[0], node.output, labels=list(labels), sizes=sizes, shapes=shapes_of)


@_instructions.register
def _(op: Reduction, writer: _Writer, node: Node) -> None:
    spec, dtype = node.edge(0).spec, node.specs[0].dtype
    state = [np.result_type(dtype) for _ in op.init]
    combine = _scalars(op.combine, [*state, spec.dtype])
    finish = _scalars(op.finish, state)
    settings: Json = {"axis": list(node.params["axis"]), "init": [number(x) for x in op.init]}
    settings |= {"combine": combine, "finish": finish, "from": list(spec.shape)}
    writer.emit("reduce", [writer.operand(node.inputs[0])], node.specs[0], node.output, **settings)


@_instructions.register
def _(op: Cumulative, writer: _Writer, node: Node) -> None:
    dtype = node.specs[0].dtype
    combine = _scalars(lambda state, *xs: (op.combine(state, *xs),), [dtype] * (1 + len(node.inputs)))
    operands = list(map(writer.operand, node.inputs))
    writer.emit("scan", operands, node.specs[0], node.output, axis=node.params["axis"], combine=combine)


@_instructions.register
def _(op: Creation, writer: _Writer, node: Node) -> None:
    writer.constant(node.output, EVALUATE.compute(op, [], (), node.params))


@_instructions.register
def _(op: Random, writer: _Writer, node: Node) -> None:
    raise FrozenError(op.name)


def _scalars(function: Any, dtypes: Sequence[Any]) -> Json:
    """Return a function of scalars as instructions."""

    def flat(*xs: Any) -> Any:
        result = function(*xs)
        return result if isinstance(result, tuple) else (result,)

    return function_of(trace_flat(flat, [Spec((), np.dtype(dtype)) for dtype in dtypes], below=EVALUATE)[0])


# --- applications ---
def forward_function(node: Node) -> Json:
    """Return one application as a function of the values it reads."""
    edges = list(dict.fromkeys(node.edges))

    def apply(*xs: Any) -> list[Any]:
        values = dict(zip(edges, xs, strict=True))
        operands = [values[x] if type(x) is Edge else x for x in node.inputs]
        assert node.op is not None
        result = node.op(*operands, **node.params)
        return list(result) if isinstance(result, tuple) else [result]

    return function_of(trace_flat(apply, [edge.spec for edge in edges], name="view", below=EVALUATE)[0])


class Backward:
    """The library's rule for one application, as a graph.

    Inputs: the values of ``reads`` (operands, then results), the cotangent of every result, and the masks of those
    that ``masked`` lists. Outputs: the cotangents of the operands in ``receives`` and the masks of those that have one.
    """

    def __init__(self, node: Node, variables: set[Edge], present: Sequence[bool | None]) -> None:
        self.node = node
        self.reads: list[Edge] = list(dict.fromkeys([*node.edges, *node.outputs]))
        self.present = list(present)  # of every result: None without a cotangent, True with a mask, False without
        self.receives: list[int] = []
        self.masked: list[bool] = []
        specs = [edge.spec for edge in self.reads]
        bars = [edge.spec for edge, flag in zip(node.outputs, present, strict=True) if flag is not None]
        masks = [
            Spec(edge.spec.shape, np.dtype(bool)) for edge, flag in zip(node.outputs, present, strict=True) if flag
        ]
        self.graph = trace_flat(lambda *xs: self._run(xs, variables), [*specs, *bars, *masks], below=EVALUATE)[0]

    def _run(self, xs: Sequence[Any], variables: set[Edge]) -> list[Any]:
        rest = iter(xs)
        values: dict[Edge, Any] = {edge: next(rest) for edge in self.reads}
        bars = [None if flag is None else next(rest) for flag in self.present]
        masks = [next(rest) if flag else None for flag in self.present]
        interpreter = absent.Absent(_current())
        with using(interpreter):
            seeds = [interpreter.seed(bar, mask) for bar, mask in zip(bars, masks, strict=True)]
            x_bars = local(self.node, values, seeds, variables)
        results, present = [], []
        self.receives, self.masked = [], []
        for position, x_bar in enumerate(x_bars):
            if x_bar is None or type(self.node.inputs[position]) is not Edge:
                continue
            mask = interpreter.presence(x_bar)
            self.receives.append(position)
            self.masked.append(isinstance(mask, Array))
            results.append(interpreter.lower(x_bar))
            present += [mask] if isinstance(mask, Array) else []
        shapes = [self.node.edge(position).spec.shape for position in self.receives]
        flagged = [shape for shape, flag in zip(shapes, self.masked, strict=True) if flag]
        return [*results, *(_spread(mask, shape) for mask, shape in zip(present, flagged, strict=True))]


def _current() -> Any:
    from ..core.interpreter import current

    return current()


def _spread(mask: Any, shape: tuple[int, ...]) -> Any:
    from ..ops import broadcast_to

    return mask if mask.shape == shape else broadcast_to(mask, shape)


def backward_rules(graph: Graph, values: Mapping[Edge, Array]) -> list[Backward | None]:
    """Return the rule of every application on the way from the inputs to the result, ``None`` where no gradient flows."""
    sources = [*graph.inputs, *(node for node, _ in graph.captures)]
    variables = {edge for node in (*sources, *graph.nodes) for edge in node.outputs if is_inexact(edge.spec.dtype)}
    masked: dict[Edge, bool] = {graph.outputs[0]: False}  # edges that have a cotangent: whether it has a mask
    rules: list[Backward | None] = []
    for node in reversed(graph.nodes):
        present = [masked.get(edge) for edge in node.outputs]
        if all(flag is None for flag in present):
            rules.append(None)
            continue
        rule = Backward(node, variables, present)
        for position, flag in zip(rule.receives, rule.masked, strict=True):
            edge = node.edge(position)
            masked[edge] = masked.get(edge, True) and flag
        rules.append(rule)
    return rules[::-1]


# --- numbers as JSON ---
def number(x: Any) -> Any:
    """Return a number as JSON has it; NaN and infinities, which it does not have, as text."""
    if isinstance(x, bool | np.bool_):
        return int(x)
    if isinstance(x, int | np.integer):
        if abs(int(x)) > 2**53:
            raise FrozenError(f"the integer {x}, which no float64 holds")
        return int(x)
    value = float(x)
    if value != value:
        return "NaN"
    if value in (np.inf, -np.inf):
        return "Infinity" if value > 0 else "-Infinity"
    return -0.0 if value == 0 and np.signbit(value) else value


def numbers(data: Any) -> list[Any]:
    """Return the entries of an array, row by row, as JSON has them."""
    flat = np.asarray(data).ravel()
    return [number(entry) for entry in flat.tolist()]


__all__ = ["Backward", "FrozenError", "backward_rules", "forward_function", "function_of", "number", "numbers"]
