"""A kernel as a loop nest with a scalar body: loops, what is loaded where, what is computed, what is stored."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..core.error import CompileError
from ..core.family import Cumulative, Join, Linear, Reduction
from ..core.graph import Edge
from .body import Body, Scalar, as_constant, as_index, atoms_of, expansion, index_of, needs, scalars_of, spec_of
from .fuse import LOOPS, Kernel
from .index import Atom, Index, flattened, variable


class Loop:
    """One loop: the innermost of the variables it stands for, and how often it runs."""

    __slots__ = ("atom", "extent")

    def __init__(self, atom: Atom) -> None:
        self.atom = atom
        self.extent = atom.size


class Nest:
    """The loops of a map, part of a join, reduction, cumulation or scatter.

    ``outer`` are loops over entries of the result, ``inner`` those over what is combined (reductions and cumulations).
    ``stores`` are (edge, address, scalar); ``value`` is what a reduction combines or a scatter adds, ``operands`` what
    a cumulation combines.
    """

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.body = Body(node for node in kernel.nodes if kernel.kind == "map" or node is not kernel.root)
        position = tuple(variable(axis, size) for axis, size in enumerate(kernel.shape))
        self.loops = [Loop(atom) for one in position for atom in one.terms]
        self.inner: list[Loop] = []
        self.stores: list[tuple[Edge, Index, Scalar]] = []
        self.value: Scalar | None = None
        self.operands: list[Scalar] = []
        self.target = Index()
        if kernel.kind == "map":
            self._map(position)
        elif kernel.kind == "join":
            self._join(position)
        elif kernel.kind == "reduce":
            self._reduce(position)
        elif kernel.kind == "cumulate":
            self._cumulate(position)
        else:
            self._scatter(position)
        self.outer = [loop for loop in self.loops if loop not in self.inner]
        found = [
            *(store[2] for store in self.stores),
            *([self.value] if self.value else []),
            *self.operands,
            *_values(self.target),
        ]
        self.scalars = scalars_of(found)
        indices = [*(store[1] for store in self.stores), self.target, *_indices(self.scalars)]
        self.outer, self.inner = _merged(self.outer, indices), _merged(self.inner, indices)
        kernel.fallible |= any(_fallible(one) for one in self.scalars)

    def _map(self, position: tuple[Index, ...]) -> None:
        for edge in self.kernel.stored:
            address = flattened(position, self.kernel.shape)
            self.stores.append((edge, address, self.body.value(edge, position)))

    def _join(self, position: tuple[Index, ...]) -> None:
        root, part = self.kernel.root, self.kernel.part
        assert isinstance(root.op, Join)
        assert part is not None
        axis, (shape, dtype) = root.params["axis"], spec_of((root, 0))
        start = root.op.starts([spec_of(x) for x in root.inputs], axis)[part]
        place = tuple(one + start if number == axis else one for number, one in enumerate(position))
        self.stores.append(((root, 0), flattened(place, shape), self.body.cast(self._read(position), dtype)))

    def _read(self, position: tuple[Index, ...], operand: int | None = None) -> Scalar:
        root = self.kernel.root
        assert root.op is not None
        x = self.body.value(root.inputs[(self.kernel.part or 0) if operand is None else operand], position)
        if isinstance(x, Scalar):
            return x
        dtype = np.result_type(x)
        return self.body.constant(as_constant(root.op.name, x, dtype), dtype)

    def _reduce(self, position: tuple[Index, ...]) -> None:
        root = self.kernel.root
        op, axes = root.op, root.params["axis"]
        assert isinstance(op, Reduction)
        dtype = spec_of((root, 0)).dtype
        self.accumulator = dtype if op.tie_fraction is not None else accumulator(dtype)
        self.value = self.body.cast(self._read(position), self.accumulator)
        reduced = {atom for axis in axes for atom in position[axis].terms}
        self.inner = [loop for loop in self.loops if loop.atom in reduced]
        kept = [axis for axis in range(len(position)) if axis not in axes]
        self.target = flattened(tuple(position[a] for a in kept), tuple(self.kernel.shape[a] for a in kept))
        count = len(op.init)
        self.states = [self.body.given(f"state {i}", self.accumulator) for i in range(count)]
        self.others = [self.body.given(f"other {i}", self.accumulator) for i in range(count)]
        self.item = self.body.given("item", self.accumulator)
        self.combined = self._expand(op.combine, [*self.states, self.item], "combine")
        self.joined = None if op.merge is None else self._expand(op.merge, [*self.states, *self.others], "merge")
        (finished,) = self._expand(op.finish, self.states, "finish")
        self.finished = self.body.cast(finished, dtype)

    def _cumulate(self, position: tuple[Index, ...]) -> None:
        root = self.kernel.root
        op, spec, axis = root.op, spec_of((root, 0)), root.params["axis"]
        assert isinstance(op, Cumulative)
        self.accumulator = accumulator(spec.dtype)
        self.operands = [self.body.cast(self._read(position, i), self.accumulator) for i in range(len(root.inputs))]
        self.inner = [loop for loop in self.loops if loop.atom in position[axis].terms]
        self.target = flattened(position, spec.shape)
        self.states = [self.body.given("state", self.accumulator)]
        self.others = [self.body.given(f"operand {i}", self.accumulator) for i in range(len(self.operands))]
        self.combined = self._expand(op.combine, [*self.states, *self.others], "combine")
        self.finished = self.body.cast(self.states[0], spec.dtype)

    def _expand(self, function: Any, args: Sequence[Scalar], what: str) -> list[Scalar]:
        graph = expansion(function, tuple(x.dtype for x in args))
        results = self.body.expand(graph, args)
        return [x if what == "finish" else self.body.cast(x, self.accumulator) for x in results]

    def _scatter(self, position: tuple[Index, ...]) -> None:
        root = self.kernel.root
        op, dtype = root.op, spec_of((root, 0)).dtype
        assert isinstance(op, Linear)
        self.value = self.body.cast(self._read(position), dtype)
        others = map(self.body.reader, root.inputs[1:])
        place = op.index(position, self.kernel.shape, *others, **root.params)
        self.target = flattened(tuple(map(as_index, place)), spec_of((root, 0)).shape)
        self.read = self.body.given("entry", dtype)
        self.added = self.body.make("add", (self.read, self.value), dtype)

    def levels(self, loops: Sequence[Loop]) -> list[list[Scalar]]:
        """Sort the scalars by how many of ``loops`` must be open before they can be computed."""
        depth = {loop.atom: number + 1 for number, loop in enumerate(loops)}
        level: dict[Scalar, int] = {}
        result: list[list[Scalar]] = [[] for _ in range(len(loops) + 1)]
        for one in self.scalars:
            own = [depth.get(atom, 0) for atom in atoms_of(index_of(one)) if atom.kind == "loop"]
            level[one] = max([*own, *(level[x] for x in needs(one))], default=0)
            result[level[one]].append(one)
        return result


def accumulator(dtype: "np.dtype[Any]") -> "np.dtype[Any]":
    """Return the dtype in which results of ``dtype`` are added up: float32 sums are kept in float64."""
    return np.dtype(np.float64) if dtype == np.float32 else dtype


def initial(number: float, dtype: "np.dtype[Any]") -> Any:
    """Return a number of a reduction's ``init`` in ``dtype``; infinite ones become the extreme integers."""
    if dtype.kind == "f" or np.isfinite(number):
        return number
    if dtype.kind == "b":
        return number > 0
    return int(np.iinfo(dtype).max if number > 0 else np.iinfo(dtype).min)


def _fallible(one: Scalar) -> bool:
    return one.op == "checked" or (one.op == "pow" and one.dtype.kind == "i")


def _values(index: Index) -> list[Scalar]:
    return [atom.detail for atom in atoms_of(index) if atom.kind == "value"]


def _indices(scalars: Iterable[Scalar]) -> list[Index]:
    return [index for one in scalars if (index := index_of(one)) is not None]


def _nested(index: Index) -> list[Index]:
    found = [index]
    for atom in index.terms:
        if atom.kind in ("quotient", "remainder"):
            found.extend(_nested(atom.detail[0]))
    return found


def _merged(loops: Sequence[Loop], indices: Sequence[Index]) -> list[Loop]:
    """Join neighbouring loops where every address moves as if they were one."""
    every = {inner for index in indices for inner in _nested(index)}
    result: list[Loop] = []
    for loop in reversed(loops):
        if result:
            last = result[-1]
            if all(one.coefficient(loop.atom) == one.coefficient(last.atom) * last.extent for one in every):
                last.extent *= loop.extent
                continue
        result.append(loop)
    return result[::-1]


def nests(kernels: Sequence[Kernel]) -> dict[Kernel, Nest]:
    """Return the loop nest of every kernel that is one."""
    found = {}
    for kernel in kernels:
        if kernel.kind in LOOPS:
            try:
                found[kernel] = Nest(kernel)
            except CompileError as error:
                shown = ", ".join(str(spec_of(edge)) for edge in kernel.reads)
                error.message += f" (in a {kernel.kind} kernel over {kernel.shape} that reads {shown or 'nothing'})"
                raise
    return found
