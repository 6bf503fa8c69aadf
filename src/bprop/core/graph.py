"""`Node` and `Graph`: op applications as data. Recording and tracing make the same nodes."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import count
from typing import Any, Final, NamedTuple, final

from .error import ArgumentError, DTypeError, ShapeError
from .interpreter import current
from .notation import TEXT, Written
from .op import Op, Operand
from .value import Array, Spec, asarray

_number = count()


class Node:
    """One application of ``op``, or an input where ``op`` is ``None``.

    ``inputs`` are edges and Python scalars, ``specs`` the shapes and dtypes of the outputs. ``number`` is the creation
    number, a topological order. A node does not change.
    """

    __slots__ = ("inputs", "number", "op", "params", "specs")

    def __init__(
        self, op: Op | None, params: dict[str, Any], inputs: "tuple[NodeInput, ...]", specs: tuple[Spec, ...]
    ) -> None:
        # final for the type checker: it costs nothing, and a pass makes many nodes
        self.op: Final = op
        self.params: Final = params
        self.inputs: Final = inputs
        self.specs: Final = specs
        self.number: Final = next(_number)

    @property
    def operands(self) -> tuple[Operand, ...]:
        """What a shape rule sees of the inputs."""
        return tuple(map(operand_spec, self.inputs))

    @property
    def outputs(self) -> "list[Edge]":
        """One edge per output."""
        if len(self.specs) == 1:
            return [Edge(self, 0)]
        return [Edge(self, index) for index in range(len(self.specs))]

    @property
    def output(self) -> "Edge":
        """The edge of the first output, which of most nodes is the only one."""
        return Edge(self, 0)

    @property
    def edges(self) -> "list[Edge]":
        """The inputs that are edges: all but the Python scalars."""
        return [x for x in self.inputs if type(x) is Edge]

    def edge(self, position: int) -> "Edge":
        """Return the input at a position where it can only be an edge."""
        x = self.inputs[position]
        assert type(x) is Edge
        return x


@final
class Edge(NamedTuple):
    """A value of a graph: one output of a node. Passes ask for this type: a plain pair equals an edge, but is none."""

    node: Node
    index: int  # type: ignore[assignment]  # in place of tuple.index

    @property
    def spec(self) -> Spec:
        """Shape and dtype."""
        return self.node.specs[self.index]


NodeInput = Edge | bool | int | float | complex
"""What a node reads: a value of the graph, or a weak Python scalar."""


def operand_spec(x: NodeInput) -> Operand:
    """Return what a shape rule sees of an input: the `Spec` of an edge, or the Python scalar itself."""
    return x.spec if type(x) is Edge else x


class Graph:
    """A function as data: inputs, captured arrays, nodes in order, outputs.

    ``captures`` are arrays the function closed over; they are inputs by reference, never copied into the graph.
    Calling the graph applies its nodes under the current interpreter and drops every value after its last use.

    >>> import bprop
    >>> print(bprop.trace(lambda x: bprop.exp(x) * 2)(bprop.ones(3)))
    graph(x0: float64[3])
      a = exp(x0)     float64[3]
      b = a * 2       float64[3]
      return b
    """

    def __init__(
        self,
        inputs: Sequence[Node],
        nodes: Sequence[Node],
        outputs: Sequence[Edge],
        captures: Sequence[tuple[Node, Array]] = (),
    ) -> None:
        self.inputs: Final = tuple(inputs)
        self.nodes: Final = tuple(nodes)
        self.outputs: Final = tuple(outputs)
        self.captures: Final = tuple(captures)

    @property
    def specs(self) -> tuple[Spec, ...]:
        """Shape and dtype of every output."""
        return tuple(edge.spec for edge in self.outputs)

    def __call__(self, *args: Any) -> list[Array]:
        """Apply the graph to one array per input, of its shape and dtype, and return the list of outputs."""
        if len(args) != len(self.inputs):
            raise ArgumentError(f"graph: {len(args)} arguments for {len(self.inputs)} inputs")
        values: dict[Node, Any] = {}
        for node, arg in zip(self.inputs, args, strict=True):
            value = arg if isinstance(arg, Array) else asarray(arg)
            shape, dtype = node.specs[0]
            if value.shape != shape or value.dtype != dtype:  # sizes are constants of a graph: n in a mean
                error = ShapeError if value.shape != shape else DTypeError
                raise error(f"graph: an argument is {value.spec}, traced was {node.specs[0]}: trace it again")
            values[node] = (value,)
        values.update({node: (value,) for node, value in self.captures})
        bind = current().bind
        for node, finished in zip(self.nodes, self._drops, strict=True):
            operands = tuple([values[x.node][x.index] if type(x) is Edge else x for x in node.inputs])
            assert node.op is not None
            result = bind(node.op, operands, node.params)
            values[node] = result if type(result) is tuple else (result,)
            del operands, result
            for old in finished:
                del values[old]
        return [values[node][index] for node, index in self.outputs]

    @cached_property
    def _drops(self) -> list[list[Node]]:
        """For each node, the nodes whose values nobody needs after it."""
        last: dict[Node, int] = {}
        for position, node in enumerate(self.nodes):
            last[node] = position
            for x in node.edges:
                last[x.node] = position
        outputs = {edge.node for edge in self.outputs}
        drops: list[list[Node]] = [[] for _ in self.nodes]
        for node, position in last.items():
            if node not in outputs:
                drops[position].append(node)
        return drops

    def live(self, *, quiet: bool = False) -> "Graph":
        """Return the graph without nodes that no output needs; what has an effect stays, unless ``quiet``."""
        needed = {edge.node for edge in self.outputs}
        nodes = []
        for node in reversed(self.nodes):
            if node in needed or (not quiet and has_effect(node)):
                nodes.append(node)
                needed.update(x.node for x in node.edges)
        captures = [(node, value) for node, value in self.captures if node in needed]
        return Graph(self.inputs, nodes[::-1], self.outputs, captures)

    def dependent(self, inputs: Sequence[bool]) -> list[bool]:
        """Return which outputs depend on an input that is flagged: there is a path of applications from one to the other.

        >>> import bprop
        >>> graph = bprop.trace(lambda x, y: (x * x, x + y))(1.0, 2.0)
        >>> graph.dependent([False, True])
        [False, True]
        """
        nodes = {node for node, flag in zip(self.inputs, inputs, strict=True) if flag}
        for node in self.nodes:
            if any(edge.node in nodes for edge in node.edges):
                nodes.add(node)
        return [edge.node in nodes for edge in self.outputs]

    def closed(self) -> tuple["Graph", list[Array]]:
        """Return the graph with its captures as further inputs, and their values."""
        inputs = self.inputs + tuple(node for node, _ in self.captures)
        return Graph(inputs, self.nodes, self.outputs), [value for _, value in self.captures]

    def names(self, given: Mapping[Node, str] | None = None) -> dict[Node, str]:
        """Return a short name for every node: x0, x1 … inputs, c0 … captures, a, b … results.

        ``given`` are names that nodes have already; no other node gets one of these.
        """
        names = dict(given or {})
        taken = set(names.values())
        for letter, sources in (("x", self.inputs), ("c", [node for node, _ in self.captures])):
            free = (name for name in (f"{letter}{position}" for position in count()) if name not in taken)
            names |= dict(zip([node for node in sources if node not in names], free, strict=False))
        taken |= set(names.values())
        free = (name for name in _letters() if name not in taken)
        return names | dict(zip([node for node in self.nodes if node not in names], free, strict=False))

    def __str__(self) -> str:
        return self.show()

    def __repr__(self) -> str:
        return f"<graph of {len(self.nodes)} ops, {len(self.inputs)} inputs, {len(self.outputs)} outputs>"

    def show(self, indent: str = "") -> str:
        """Return the listing that ``print`` shows."""
        names = self.names()
        sources = [(node, node.specs[0]) for node in self.inputs] + [
            (node, value.spec) for node, value in self.captures
        ]
        lines = [f"{indent}graph({', '.join(f'{names[node]}: {spec}' for node, spec in sources)})"]
        rows = []
        for node in self.nodes:
            assert node.op is not None
            rows.append((f"{names[node]} = {application(node, names)}", ", ".join(map(str, node.specs)), node))
        width = max((len(row[0]) for row in rows), default=0)
        for left, right, node in rows:
            lines.append(f"{indent}  {left:<{width}}     {right}")
            for inner in inner_graphs(node):
                lines.append(inner.show(indent + "    "))
        lines.append(f"{indent}  return {', '.join(edge_name(edge, names) for edge in self.outputs)}")
        return "\n".join(lines)


def inner_graphs(node: Node) -> list[Graph]:
    """Return the graphs that a region's node holds."""
    return [value for value in node.params.values() if isinstance(value, Graph)]


def has_effect(node: Node) -> bool:
    """Return whether an application does something besides its result, by itself or inside."""
    op = node.op
    if op is None or not op.is_region:
        return op is not None and op.effect
    return op.effect or any(has_effect(inner) for graph in inner_graphs(node) for inner in graph.nodes)


def edge_name(x: NodeInput, names: Mapping[Node, str]) -> str:
    """Return how an operand is written in a listing: a number, a name, or one of several outputs as ``a[1]``."""
    if type(x) is not Edge:
        return TEXT.number(x).text
    node, index = x
    return f"{names[node]}[{index}]" if len(node.specs) > 1 else names[node]


def application(node: Node, names: Mapping[Node, str], *, settings: bool = True) -> str:
    """Return one application as text, by the op's template; ``settings``: a region is written with its parameters."""
    assert node.op is not None
    operands = [Written(edge_name(x, names)) if type(x) is Edge else TEXT.number(x) for x in node.inputs]
    if node.op.is_region and settings:
        shown = [f"{key}={_parameter(value)}" for key, value in node.params.items() if not isinstance(value, Graph)]
        return f"{node.op.name}({', '.join([operand.text for operand in operands] + shown)})"
    return TEXT.write(node.op, operands, node.operands, node.params).text


def _parameter(value: Any) -> str:
    if callable(value):
        return getattr(value, "__name__", type(value).__name__)
    return str(value)


def _letters() -> Iterator[str]:
    alphabet = "abcdefghijklmnopqrstuvwyz"
    for position in count():
        name, rest = alphabet[position % len(alphabet)], position // len(alphabet)
        yield name if rest == 0 else f"{name}{rest}"
