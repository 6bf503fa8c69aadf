"""Loop nests: from the nodes of a kernel to its loops, loads, scalars and stores."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...core.error import CompileError
from ...core.family import Cumulative, Join, Linear, Reduction
from ...core.graph import Edge
from ..ir.affine_index import AffineIndex, flattened, unflattened, variable
from ..ir.kernel import Kernel, structure_of
from ..ir.loop_nest import CumulationNest, Epilogue, Loop, LoopNest, ReductionNest, ScatterNest, Store
from ..ir.scalar_expr import (
    Position,
    ScalarBuilder,
    ScalarExpr,
    as_constant,
    as_index,
    expansion,
    index_of,
    scalars_of,
    terms_of,
)


def build_loop_nests(kernels: Sequence[Kernel]) -> list[Kernel]:
    """Return the kernels with their loop nests; those of equal structure share one."""
    nests: dict[Hashable, LoopNest] = {}
    return [_with_nest(kernel, nests) if kernel.traits.is_nest else kernel for kernel in kernels]


def _with_nest(kernel: Kernel, nests: dict[Hashable, LoopNest]) -> Kernel:
    structure = structure_of(kernel)
    nest = nests.get(structure) if structure is not None else None
    if nest is None:
        try:
            nest = _Builder(kernel).nest()
        except CompileError as error:
            error.message += kernel.context
            raise
        if structure is not None:
            nests[structure] = nest
    return replace(kernel, nest=nest, may_fail=kernel.may_fail or nest.may_fail)


def with_epilogue(kernel: Kernel) -> Kernel:
    """Return a reduction that maps were joined to with its nest, and the maps as a nest over its results."""
    nest, epilogue = _Builder(kernel).reduction_with_maps()
    return replace(kernel, nest=nest, epilogue=epilogue)


class _Builder:
    """Builds the nest of one kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.root = kernel.root
        inside = [node for node in kernel.nodes if kernel.traits.is_by_entry or node is not kernel.root]
        # a result that is not stored has the number after the last operand
        self.operands = tuple(dict.fromkeys((*kernel.operands, *kernel.root.outputs)))
        self.scalars = ScalarBuilder(inside, self.operands)
        self.position = tuple(variable(axis, size) for axis, size in enumerate(kernel.shape))

    def nest(self) -> LoopNest:
        """Return the nest."""
        kinds = {
            "map": self._map,
            "join": self._join,
            "reduce": self._reduce,
            "cumulate": self._cumulate,
            "scatter": self._scatter,
        }
        return kinds[self.kernel.kind]()

    def _common(
        self, outputs: Iterable[ScalarExpr], targets: Sequence[AffineIndex] = (), axes: Sequence[int] = (),
        stores: Sequence[Store] = (),
    ) -> dict[str, Any]:  # fmt: skip
        """Return what every nest has. ``targets``: further addresses; ``axes``: those that are combined."""
        loops = [Loop(term, term.size) for index in self.position for term in index.terms]
        combined = {term for axis in axes for term in self.position[axis].terms}
        targets = [*(store.address for store in stores), *targets]
        values = [term.detail for index in targets for term in terms_of(index) if term.kind == "value"]
        scalars = tuple(scalars_of([*(store.value for store in stores), *outputs, *values]))
        addresses = [*targets, *(index for scalar in scalars if (index := index_of(scalar)) is not None)]
        return {
            "shape": self.kernel.shape,
            "outer": _merged([loop for loop in loops if loop.variable not in combined], addresses),
            "inner": _merged([loop for loop in loops if loop.variable in combined], addresses),
            "innermost": loops[-1].variable if loops else None,
            "stores": tuple(stores),
            "scalars": scalars,
        }

    def _operand(self, edge: Edge) -> int:
        return self.scalars.operands[edge]

    def _read(self, operand: int = 0, position: Position | None = None) -> ScalarExpr:
        """Return the entry of an operand of the root at a position, by default that of the loops."""
        x = self.scalars.value(self.root.inputs[operand], self.position if position is None else position)
        if isinstance(x, ScalarExpr):
            return x
        assert self.root.op is not None
        dtype = np.result_type(x)
        return self.scalars.constant(as_constant(self.root.op.name, x, dtype), dtype)

    def _map(self) -> LoopNest:
        return LoopNest(**self._common([], stores=self._stores(self.kernel.stored)))

    def _stores(self, edges: Iterable[Edge]) -> list[Store]:
        """Return the stores of values that are computed in each turn of the loops."""
        address = flattened(self.position, self.kernel.shape)
        return [Store(self._operand(edge), address, self.scalars.value(edge, self.position)) for edge in edges]

    def _join(self) -> LoopNest:
        root, operands = self.root, self.kernel.operand_positions
        assert isinstance(root.op, Join)
        assert operands is not None
        axis, (shape, dtype) = root.params["axis"], root.specs[0]
        starts = root.op.starts([x.spec for x in root.edges], axis)
        stores = self._stores(edge for edge in self.kernel.stored if edge != root.output)
        for operand in operands:
            for position in self._positions(root.edge(operand).spec.shape):
                target = tuple(i + starts[operand] if number == axis else i for number, i in enumerate(position))
                value = self.scalars.cast(self._read(operand, position), dtype)
                stores.append(Store(self._operand(root.output), flattened(target, shape), value))
        return LoopNest(**self._common([], stores=stores))

    def _positions(self, shape: tuple[int, ...]) -> list[Position]:
        """Return where an operand is read in each iteration: at the position of the loops, or everywhere without loops."""
        return [self.position] if shape == self.kernel.shape else [tuple(map(as_index, i)) for i in np.ndindex(shape)]

    def _scatter(self) -> LoopNest:
        root = self.root
        op, (shape, dtype) = root.op, root.specs[0]
        assert isinstance(op, Linear)
        value = self.scalars.cast(self._read(), dtype)
        others = map(self.scalars.reader, root.inputs[1:])
        position = op.index(self.position, self.kernel.shape, *others, **root.params)
        target = flattened(tuple(map(as_index, position)), shape)
        entry = self.scalars.parameter("entry", dtype)
        # entries that lie apart are stored as they are: 0 + -0 is 0
        added = self.scalars.make("add", (entry, value), dtype) if op.gather is None else value
        return ScatterNest(**self._common([value], [target]), target=target, value=value, entry=entry, added=added)

    def _target(self) -> AffineIndex:
        """Return where a reduction writes its result."""
        remaining = [axis for axis in range(len(self.position)) if axis not in self.root.params["axis"]]
        return flattened(tuple(self.position[a] for a in remaining), tuple(self.kernel.shape[a] for a in remaining))

    def reduction_with_maps(self) -> tuple[LoopNest, Epilogue]:
        """Return the nest of a reduction, and the maps on its results in the loops of that nest."""
        target, root = self._target(), self.root.output
        stores = tuple(
            Store(self._operand(edge), target, self.scalars.value(edge, unflattened(target, edge.spec.shape)))
            for edge in self.kernel.stored
            if edge != root
        )
        scalars = tuple(scalars_of([store.value for store in stores]))
        nest = self._reduce([index for scalar in scalars if (index := index_of(scalar)) is not None])
        result = next((x for x in scalars if x.op == "load" and x.detail[0] == self._operand(root)), None)
        return nest, Epilogue(
            shape=self.root.specs[0].shape, outer=nest.outer, inner=(), innermost=nest.innermost, stores=stores,
            scalars=scalars, outer_variables=(), result=result, prefetched=(),
        )  # fmt: skip

    def _reduce(self, addresses: Sequence[AffineIndex] = ()) -> LoopNest:
        """Return the nest of a reduction, in whose loops ``addresses`` can be computed as well."""
        root = self.root
        op, axes, dtype = root.op, root.params["axis"], root.specs[0].dtype
        assert isinstance(op, Reduction)
        accumulator = dtype if op.chosen is not None else accumulator_of(dtype)
        value = self.scalars.cast(self._read(), accumulator)
        target = self._target()
        count = range(len(op.init))
        states = tuple(self.scalars.parameter(f"state {i}", accumulator) for i in count)
        others = tuple(self.scalars.parameter(f"other {i}", accumulator) for i in count)
        entry = self.scalars.parameter("entry", accumulator)
        merged = None if op.merge is None else self._expanded(op.merge, (*states, *others), accumulator)
        (finished,) = self._expanded(op.finish, states, dtype)
        return ReductionNest(
            **self._common([value], [target, *addresses], axes),
            accumulator=accumulator,
            target=target,
            states=states,
            entries=(entry,),
            combined=self._expanded(op.combine, (*states, entry), accumulator),
            finished=finished,
            init=tuple(op.init),
            value=value,
            others=others,
            merged=merged,
        )

    def _cumulate(self) -> LoopNest:
        root = self.root
        op, spec, axis = root.op, root.specs[0], root.params["axis"]
        assert isinstance(op, Cumulative)
        accumulator = accumulator_of(spec.dtype)
        values = tuple(self.scalars.cast(self._read(i), accumulator) for i in range(len(root.inputs)))
        target = flattened(self.position, spec.shape)
        state = self.scalars.parameter("state", accumulator)
        entries = tuple(self.scalars.parameter(f"operand {i}", accumulator) for i in range(len(values)))
        return CumulationNest(
            **self._common(values, [target], [axis]),
            accumulator=accumulator,
            target=target,
            states=(state,),
            entries=entries,
            combined=self._expanded(op.combine, (state, *entries), accumulator),
            finished=self.scalars.cast(state, spec.dtype),
            values=values,
        )

    def _expanded(
        self, function: Any, args: Sequence[ScalarExpr], accumulator: "np.dtype[Any]"
    ) -> tuple[ScalarExpr, ...]:
        graph = expansion(function, tuple(x.dtype for x in args))
        return tuple(self.scalars.cast(x, accumulator) for x in self.scalars.expand(graph, args))


def accumulator_of(dtype: "np.dtype[Any]") -> "np.dtype[Any]":
    """Return the dtype in which results of ``dtype`` are added up: float32 sums are kept in float64."""
    return np.dtype(np.float64) if dtype == np.float32 else dtype


def _nested(index: AffineIndex) -> list[AffineIndex]:
    """Return an index and those inside its quotients and remainders."""
    result = [index]
    for term in index.terms:
        if term.kind in ("quotient", "remainder"):
            result.extend(_nested(term.detail[0]))
    return result


def _merged(loops: Sequence[Loop], addresses: Sequence[AffineIndex]) -> tuple[Loop, ...]:
    """Merge neighbouring loops where every address moves as if they were one."""
    indices = {inner for index in addresses for inner in _nested(index)}
    result: list[Loop] = []
    for loop in reversed(loops):
        if result:
            last, extent = result[-1]
            if all(index.coefficient(loop.variable) == index.coefficient(last) * extent for index in indices):
                result[-1] = Loop(last, extent * loop.extent)
                continue
        result.append(loop)
    return tuple(reversed(result))
