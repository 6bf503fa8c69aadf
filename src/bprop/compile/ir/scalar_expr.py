"""Scalar expressions: what a kernel computes for one entry, as a graph built from the nodes fused into it.

Values in memory are named by their number among the kernel's operands, so that kernels of equal structure have equal
expressions. An elementwise op becomes an instruction, or the expansion of its formula. A re-indexing only changes the
position at which its input is read.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np

from ...core import dtype as dtypes
from ...core.error import CompileError
from ...core.family import Creation, Elementwise, Linear, Selection
from ...core.graph import Edge, Graph, Node, NodeInput
from ...core.interpreter import EVALUATE
from ...core.op import shape_of
from ...core.trace import trace_flat
from ...core.value import Spec
from .affine_index import AffineIndex, IndexTerm, flattened

Position = tuple[AffineIndex, ...]
DType = np.dtype[Any]
Operand = Any  # a ScalarExpr, or a weak Python number


class ScalarExpr:
    """One number inside a kernel: ``op`` applied to ``args``.

    Besides instructions, ``op`` is ``"load"`` (detail: number of the operand, and address), ``"constant"`` (detail: the
    number), ``"position"`` (detail: an `AffineIndex`), ``"parameter"`` (detail: its name; the kernel supplies its value) or
    ``"bounds_checked"`` (detail: the size of the axis that the index in ``args`` counts along).
    """

    __slots__ = ("args", "detail", "dtype", "op")

    def __init__(self, op: str, args: tuple["ScalarExpr", ...], dtype: DType, detail: Any = None) -> None:
        self.op: Final = op
        self.args: Final = args
        self.dtype: Final = dtype
        self.detail: Final = detail


class ScalarBuilder:
    """Builds the scalars of one kernel; equal scalars are made once.

    ``inside`` are the nodes computed within the kernel; every other value is one of its ``operands`` and is loaded.
    """

    def __init__(self, inside: Iterable[Node] = (), operands: Sequence[Edge] = ()) -> None:
        self.inside = set(inside)
        self.operands = {edge: number for number, edge in enumerate(operands)}
        self._made: dict[Any, ScalarExpr] = {}
        self._values: dict[Any, ScalarExpr] = {}

    def make(self, op: str, args: tuple[ScalarExpr, ...], dtype: DType, detail: Any = None) -> ScalarExpr:
        """Return the scalar, the existing one where there is an equal one."""
        key = (op, args, dtype, detail)
        scalar = self._made.get(key)
        if scalar is None:
            scalar = self._made[key] = ScalarExpr(op, args, dtype, detail)
        return scalar

    def constant(self, number: Any, dtype: DType) -> ScalarExpr:
        """Return a constant."""
        key = ("constant", repr(number), dtype)  # by its text: 0.0 differs from -0.0, and NaN equals NaN
        scalar = self._made.get(key)
        if scalar is None:
            scalar = self._made[key] = ScalarExpr("constant", (), dtype, number)
        return scalar

    def parameter(self, name: str, dtype: DType) -> ScalarExpr:
        """Return a scalar whose value the kernel itself supplies."""
        return self.make("parameter", (), dtype, name)

    def cast(self, x: ScalarExpr, dtype: DType) -> ScalarExpr:
        """Return ``x`` converted to ``dtype``."""
        return x if x.dtype == dtype else self.make("cast", (x,), dtype)

    def operand(self, name: str, x: Operand, dtype: DType) -> ScalarExpr:
        """Return ``x``, a scalar or a Python number, in ``dtype``."""
        if isinstance(x, ScalarExpr):
            return self.cast(x, dtype)
        return self.constant(as_constant(name, x, dtype), dtype)

    # --- arrays ---
    def load(self, edge: Edge, position: Position) -> ScalarExpr:
        """Return the entry of a value in memory."""
        spec = edge.spec
        return self.make("load", (), spec.dtype, (self.operands[edge], flattened(position, spec.shape)))

    def value(self, edge: NodeInput, position: Position) -> Operand:
        """Return the entry of a value, computed here if its node is inside the kernel."""
        if type(edge) is not Edge:
            return edge
        node = edge.node
        if node not in self.inside:
            return self.load(edge, position)
        key = (node, position)
        scalar = self._values.get(key)
        if scalar is None:
            scalar = self._values[key] = self._computed(node, position)
        return scalar

    def _computed(self, node: Node, position: Position) -> ScalarExpr:
        op, spec = node.op, node.specs[0]
        if isinstance(op, Elementwise | Selection):
            xs = [self.value(x, _aligned(position, x)) for x in node.inputs]
            return self.apply(op, xs, spec.dtype, node.params)
        if is_gather(node):
            assert isinstance(op, Linear)
            return self._gathered(op, node, position) if op.scatter else self._read(op, node, position)
        assert isinstance(op, Creation)
        return self._created(op, node, position)

    def _read(self, op: Linear, node: Node, position: Position) -> ScalarExpr:
        x, *others = node.inputs
        if type(x) is not Edge:
            return self.constant(as_constant(op.name, x, node.specs[0].dtype), node.specs[0].dtype)
        source = op.index(position, x.spec.shape, *map(self.reader, others), **node.params)
        return self.value(x, tuple(map(as_index, source)))

    def _gathered(self, op: Linear, node: Node, position: Position) -> ScalarExpr:
        """Return the entry that a scatter put at a position, 0 where it put none."""
        assert op.gather is not None
        dtype = node.specs[0].dtype
        source, bounds = op.gather(position, node.edge(0).spec.shape, **node.params)
        entry = self.operand(op.name, self.value(node.inputs[0], tuple(map(as_index, source))), dtype)
        for index, stop in bounds:
            entry = self.make("where", (self._within(as_index(index), stop), entry, self.constant(0, dtype)), dtype)
        return entry

    def _within(self, index: AffineIndex, stop: int) -> ScalarExpr:
        """Return whether an index lies in [0, stop)."""
        low, high = index.bounds()
        number = np.dtype(np.int64)
        x = self.make("position", (), number, index)
        conditions = [self.make("less", (x, self.constant(stop, number)), dtypes.BOOL)] if high >= stop else []
        if low < 0:
            conditions.append(self.make("greater_equal", (x, self.constant(0, number)), dtypes.BOOL))
        if len(conditions) == 2:
            return self.make("bitwise_and", tuple(conditions), dtypes.BOOL)
        return conditions[0] if conditions else self.constant(True, dtypes.BOOL)

    def reader(self, edge: NodeInput) -> Any:
        """Return what an index map sees of an integer operand."""
        return _Reader(self, edge) if type(edge) is Edge else edge

    def _created(self, op: Creation, node: Node, position: Position) -> ScalarExpr:
        dtype, params = node.specs[0].dtype, node.params
        if op.entry == "constant":
            return self.constant(params["value"], dtype)
        if op.entry == "affine":
            number = dtypes.result_type(np.result_type(params["start"], params["step"]), np.int64)
            i = self.cast(self.make("position", (), np.dtype(np.int64), position[0]), number)
            step, start = self.constant(params["step"], number), self.constant(params["start"], number)
            scaled = self.make("multiply", (step, i), number)
            return self.cast(self.make("add", (start, scaled), number), dtype)
        raise CompileError(f"{op.name}: entry {op.entry!r} has no native code")

    # --- instructions ---
    def apply(
        self, op: Elementwise | Selection, xs: Sequence[Operand], dtype: DType, params: dict[str, Any]
    ) -> ScalarExpr:
        """Return one application, in the dtype in which NumPy computes it."""
        if isinstance(op, Elementwise) and op.kind == "bool" and not op.logical:
            return self._compare(op, xs)
        if isinstance(op, Selection):
            operands = [
                self.operand(op.name, x, dtypes.BOOL if fraction is None else dtype)
                for x, fraction in zip(xs, op.tie_fractions, strict=True)
            ]
            computed = dtype
        elif op.kind == "given":
            operands = [x if isinstance(x, ScalarExpr) else self.operand(op.name, x, np.result_type(x)) for x in xs]
            computed = dtype
        else:
            computed = dtypes.BOOL if op.logical else dtype
            operands = [self.operand(op.name, x, computed) for x in xs]
        if isinstance(op.native, str):
            if op.native == "cast":
                return self.cast(operands[0], dtype)
            return self.make(op.native, tuple(operands), dtype)
        template = expansion(op.native, tuple(x.dtype for x in operands), tuple(sorted(params.items())))
        (y,) = self.expand(template, operands)
        return self.cast(y, dtype)

    def _compare(self, op: Elementwise, xs: Sequence[Operand]) -> ScalarExpr:
        """Return a comparison. NumPy compares integers by value, also where no dtype holds both."""
        types = [x.dtype if isinstance(x, ScalarExpr) else x for x in xs]
        if _is_signed_with_uint64(types):
            return self._compare_by_sign(op, xs)
        computed = dtypes.result_type(*types)
        is_beyond = [computed.kind in "iu" and type(x) is int and not _can_hold(computed, x) for x in xs]
        if any(is_beyond):  # an infinity of the same sign compares alike
            computed = np.dtype(np.float64)
            xs = [(np.inf if x > 0 else -np.inf) if flag else x for x, flag in zip(xs, is_beyond, strict=True)]
        return self.make(op.name, tuple(self.operand(op.name, x, computed) for x in xs), dtypes.BOOL)

    def _compare_by_sign(self, op: Elementwise, xs: Sequence[ScalarExpr]) -> ScalarExpr:
        """Compare a signed integer with a ``uint64``: what is negative is less than every unsigned number."""
        signed = next(x for x in xs if x.dtype.kind == "i")
        is_negative = self.make("less", (signed, self.constant(0, signed.dtype)), dtypes.BOOL)
        if_negative = self.constant(bool(op.evaluate(*(-1 if x is signed else 0 for x in xs))), dtypes.BOOL)
        unsigned = tuple(self.cast(x, np.dtype(np.uint64)) for x in xs)
        return self.make("where", (is_negative, if_negative, self.make(op.name, unsigned, dtypes.BOOL)), dtypes.BOOL)

    def expand(self, graph: Graph, args: Sequence[ScalarExpr]) -> list[ScalarExpr]:
        """Return the outputs of a graph of scalar ops."""
        values: dict[Node, Operand] = dict(zip(graph.inputs, args, strict=True))
        for node, array in graph.captures:
            values[node] = self.constant(array.data.item(), array.dtype)
        for node in graph.nodes:
            op, spec = node.op, node.specs[0]
            xs = [values[x.node] if type(x) is Edge else x for x in node.inputs]
            if isinstance(op, Elementwise | Selection):
                values[node] = self.apply(op, xs, spec.dtype, node.params)
            elif isinstance(op, Creation) and op.entry == "constant":
                values[node] = self.constant(node.params["value"], spec.dtype)
            elif is_reindexing(node):
                values[node] = xs[0]  # a re-indexing of one entry
            else:
                raise CompileError(f"{op.name if op else 'input'}: not an op on single numbers, so no native formula")
        return [values[edge.node] for edge in graph.outputs]


class _Reader:
    """An integer operand of an index map: ``indices(position, size)`` is a checked index counted from the front."""

    def __init__(self, builder: ScalarBuilder, edge: Edge) -> None:
        self.builder = builder
        self.edge = edge
        self.shape = edge.spec.shape
        self.ndim = len(self.shape)

    def __call__(self, position: Position, size: int) -> AffineIndex:
        entry = self.builder.value(self.edge, tuple(map(as_index, position)))
        checked = self.builder.make("bounds_checked", (entry,), np.dtype(np.int64), size)
        return AffineIndex(0, {IndexTerm("value", checked, max(size, 1)): 1})


def is_reindexing(node: Node) -> bool:
    """Return whether a node re-indexes one array: every entry is one of its operand's, at a position known beforehand."""
    return isinstance(node.op, Linear) and not node.op.scatter and len(node.inputs) == 1


def is_gather(node: Node) -> bool:
    """Return whether every entry of a node is one of its operand's or 0, at a position known beforehand or read.

    A scatter that cuts the last axis stays one: there is no vector of neighbours to read.
    """
    if not isinstance(node.op, Linear) or not node.op.scatter:
        return isinstance(node.op, Linear)
    x = node.operands[0]
    return node.op.gather is not None and shape_of(x)[-1:] == node.specs[0].shape[-1:] and 0 not in shape_of(x)


def source_position(node: Node, position: Position) -> Position:
    """Return where a re-indexing of one array reads its entry at a position."""
    assert isinstance(node.op, Linear)
    return tuple(map(as_index, node.op.index(position, node.edge(0).spec.shape, **node.params)))


def as_index(x: Any) -> AffineIndex:
    """Return an `AffineIndex` for what an index map returned."""
    return x if isinstance(x, AffineIndex) else AffineIndex(int(x))


def _aligned(position: Position, x: NodeInput) -> Position:
    """Return where an operand that broadcasts is read."""
    if type(x) is not Edge:
        return ()
    shape = x.spec.shape
    tail = position[len(position) - len(shape) :]
    return tuple(AffineIndex() if size == 1 else index for index, size in zip(tail, shape, strict=True))


def _is_signed_with_uint64(types: Sequence[Any]) -> bool:
    """Whether NumPy would promote two integer dtypes to float64, which cannot tell large integers apart."""
    kinds = {x.kind for x in types if isinstance(x, np.dtype)}
    return kinds == {"i", "u"} and np.result_type(*types).kind == "f"


def _can_hold(dtype: DType, number: int) -> bool:
    info = np.iinfo(dtype)
    return int(info.min) <= number <= int(info.max)


def as_constant(name: str, number: Any, dtype: DType) -> Any:
    """Return a Python number in ``dtype``, refusing one that it cannot hold."""
    if dtype.kind in "iu" and isinstance(number, int) and not _can_hold(dtype, number):
        raise CompileError(f"{name}: Python integer {number} is out of bounds for {dtype}")
    with np.errstate(all="ignore"):
        return np.asarray(number).astype(dtype).item()


@lru_cache(maxsize=1024)
def expansion(function: Callable[..., Any], args: tuple[DType, ...], params: tuple[tuple[str, Any], ...] = ()) -> Graph:
    """Return the graph of a function of ops on single numbers of the given dtypes."""

    def flat(*xs: Any) -> Sequence[Any]:
        y = function(*xs, **dict(params))
        return y if isinstance(y, tuple) else (y,)

    graph, _ = trace_flat(flat, [Spec((), dtype) for dtype in args], name="native form", below=EVALUATE)
    return graph


def scalars_of(outputs: Iterable[ScalarExpr]) -> list[ScalarExpr]:
    """Return all scalars that ``outputs`` need, each after what it needs, indices within addresses included."""
    order: list[ScalarExpr] = []
    seen: set[ScalarExpr] = set()
    for output in outputs:
        stack: list[tuple[ScalarExpr, bool]] = [(output, False)]
        while stack:
            scalar, done = stack.pop()
            if done:
                order.append(scalar)
            elif scalar not in seen:
                seen.add(scalar)
                stack.append((scalar, True))
                stack.extend((x, False) for x in needs(scalar))
    return order


def needs(scalar: ScalarExpr) -> list[ScalarExpr]:
    """Return the scalars that must be known before ``scalar``."""
    return [*scalar.args, *(term.detail for term in terms_of(index_of(scalar)) if term.kind == "value")]


def index_of(scalar: ScalarExpr) -> AffineIndex | None:
    """Return the index inside a scalar, if there is one."""
    if scalar.op == "load":
        return scalar.detail[1]
    return scalar.detail if scalar.op == "position" else None


def terms_of(index: AffineIndex | None) -> list[IndexTerm]:
    """Return the loop variables and values in an index, those inside quotients included."""
    if index is None:
        return []
    terms: list[IndexTerm] = []
    for term in index.terms:
        if term.kind in ("loop", "value"):
            terms.append(term)
        else:
            terms.extend(terms_of(term.detail[0]))
    return terms
