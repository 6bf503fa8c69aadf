"""One update of the parameters, and what it changes."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compile import compile
from ..core.cell import Cell
from ..core.error import CompileError, TracedValueError
from ..core.tree import is_holder
from ..core.value import Array, asarray
from ..gradients import value_and_grad
from ..nn import Module
from ..ops import astype, zeros_like
from ..optim import Optimizer
from .balance import ClassWeights, weighted
from .data import Indices
from .evaluation import Weigher
from .source import Arrays, Batch, Gather, gathering


class Sums:
    """The sum of the gradients of several batches, for an update with all of them."""

    def __init__(self, model: Module) -> None:
        self._cells = {
            path: Cell(Array(np.zeros(cell.array.shape, cell.array.dtype)), f"{path} summed")
            for path, cell in model.cells().items()
            if cell.trainable
        }

    def cells(self) -> dict[str, Cell]:
        """Return the sums by path of the parameter."""
        return self._cells


class Step:
    """The lecture's fprop, bprop and gradient descent on batches, as native code where possible.

    With ``accumulate`` = k the gradients of k batches are summed before an update, which is the one that a batch of all
    their examples would make. Of data in arrays, native code takes the examples of a batch itself, and does several steps in
    one call.
    """

    def __init__(
        self,
        model: Module,
        loss: Any,
        optimizer: Optimizer,
        compiled: bool,
        say: Callable[[str], None],
        accumulate: int = 1,
        weights: ClassWeights | None = None,
        data: Arrays | None = None,
    ) -> None:
        self.model, self.optimizer, self.say = model, optimizer, say
        self.accumulate, self.weights = accumulate, weights
        self.weigh = Weigher(loss)
        self.mean = self.weigh.mean
        self.sums = Sums(model) if accumulate > 1 else None
        self.pending = 0
        """Batches since the last update."""
        self._examples = 0.0
        self._objective = loss if weights is None else weighted(loss)
        self.data, taken = data, None
        self._eager = self._functions(None)
        self.native: dict[str, Any] | None = None
        if compiled:
            taken = None if data is None else data.gathered()
            if data is not None and taken is not None and weights is not None:
                taken.append(gathering(weights.of(data.t), data.dtype))
            self.native = {name: compile(f) for name, f in self._functions(taken).items()}
        self._gathers = taken is not None

    def _functions(self, taken: Sequence[Gather] | None) -> dict[str, Callable[..., Any]]:
        """Return the functions of a step: of a batch, or of the indices of its examples, which ``taken`` makes a batch."""
        objective = self._objective

        def step(model: Module, optimizer: Optimizer, *batch: Array) -> Array:
            x, *rest = batch if taken is None else [part(*batch) for part in taken]
            E, gradients = value_and_grad(lambda m: objective(m(x), *rest))(model)
            optimizer.update(model, gradients)
            return E

        def gather(model: Module, sums: Sums, share: Array, *batch: Array) -> Array:
            x, *rest = batch if taken is None else [part(*batch) for part in taken]
            E, gradients = value_and_grad(lambda m: objective(m(x), *rest))(model)
            for path, cell in sums.cells().items():
                g = gradients[path]
                cell.write(cell.read() + astype(share, g.dtype) * g)
            return E

        def update(model: Module, optimizer: Optimizer, sums: Sums, share: Array) -> None:
            cells = sums.cells().items()
            optimizer.update(model, {path: cell.read() * astype(share, cell.read().dtype) for path, cell in cells})
            for _, cell in cells:
                cell.write(zeros_like(cell.read()))

        return {"step": step, "gather": gather, "update": update}

    @property
    def loops(self) -> bool:
        """Whether several steps are one native call."""
        return self._gathers and self.native is not None

    def __call__(self, batch: Batch) -> float:
        """Return the loss of the batch before the update that it leads to, perhaps with those after it."""
        if self.loops and batch.rows is not None:
            return self.loop(batch.rows[None])[0]
        arrays = [asarray(batch.x, copy=False), asarray(batch.t, copy=False)]
        if self.weights is not None:
            arrays.append(asarray(self.weights.of(batch.t), copy=False))
        if self.accumulate == 1:
            return float(self._run("step", self.model, self.optimizer, *arrays))
        count = self.weigh(batch.t) if self.mean else 1
        E = float(self._run("gather", self.model, self.sums, _number(count), *arrays))
        self._gathered(1, count)
        return E

    def loop(self, rows: Indices) -> list[float]:
        """Do a step with each of ``rows`` of the data, (steps, batch), and return their losses; at most one update of several."""
        assert self.native is not None
        try:
            if self.accumulate == 1:
                return list(self.native["step"].loop(self.model, self.optimizer, rows).tolist())
            counts = self.weights_of(rows) if self.mean else [1] * len(rows)
            losses = self.native["gather"].loop(self.model, self.sums, np.array(counts, np.float64), rows).tolist()
        except (CompileError, TracedValueError) as error:
            self._give_up(error)
            assert self.data is not None
            return [self(self.data.batch(one)) for one in rows]
        self._gathered(len(rows), sum(counts))
        return list(losses)

    def weights_of(self, rows: Indices) -> list[float]:
        """Return what each of several batches of the data weighs in the mean over them."""
        assert self.data is not None
        if self.weigh.even:
            return [self.weigh(self.data.t[rows[0]])] * len(rows)
        return [self.weigh(self.data.t[one]) for one in rows]

    def _gathered(self, batches: int, count: float) -> None:
        self.pending += batches
        self._examples += count
        if self.pending == self.accumulate:
            self.finish()

    def finish(self) -> None:
        """Make the update that is due: at the end of an epoch there may be fewer batches for it."""
        if self.pending:
            share = 1 / self._examples if self.mean and self._examples else 1.0
            self._run("update", self.model, self.optimizer, self.sums, _number(share))
            self.forget()

    def forget(self) -> None:
        """Count no batch as waiting for its update."""
        self.pending, self._examples = 0, 0.0

    def _run(self, name: str, *arguments: Any) -> Any:
        if self.native is not None:
            try:
                return self.native[name](*arguments)
            except (CompileError, TracedValueError) as error:  # raised before any cell has changed
                self._give_up(error)
        return self._eager[name](*arguments)

    def _give_up(self, error: Exception) -> None:
        self.native = None
        self.say(f"no native code for this step, so it runs op by op, more slowly: {error}")


def _number(value: float) -> Array:
    return asarray(np.float64(value))


class State:
    """The cells that training changes, by name, and their arrays at an earlier moment to which one can return."""

    def __init__(self, **holders: Any) -> None:
        self.holders = {name: one for name, one in holders.items() if is_holder(one)}
        self.cells: dict[str, Cell] = {}
        seen: set[int] = set()
        for name, one in self.holders.items():
            for path, cell in one.cells().items():
                if id(cell) not in seen:  # a loss may share a parameter with the model
                    seen.add(id(cell))
                    self.cells[f"{name}/{path}"] = cell
        self._watched = [cell for name, cell in self.cells.items() if name.startswith(("model/", "loss/"))]
        self.names = {cell: name.partition("/")[2] for name, cell in self.cells.items()}
        self.remember()

    def remember(self) -> None:
        """Keep the arrays as they are now."""
        self.arrays = self.now()

    def now(self) -> list[Array]:
        """Return the arrays of all cells; steps from now on write elsewhere."""
        return [cell.read() for cell in self.cells.values()]

    def restore(self, arrays: list[Array] | None = None) -> None:
        """Return to ``arrays``, or to what is remembered."""
        for cell, array in zip(self.cells.values(), self.arrays if arrays is None else arrays, strict=True):
            cell.write(array)

    def wrong(self) -> str | None:
        """Return the path of a parameter or state that is not finite."""
        for cell in self._watched:
            if cell.array.dtype.kind == "f" and not np.isfinite(cell.array.data).all():
                return self.names[cell]
        return None

    def part(self, prefix: str) -> dict[str, NDArray[Any]]:
        """Return the numbers of the cells whose names begin so, for reading at once: the next step may change them."""
        return {name: cell.array.data for name, cell in self.cells.items() if name.startswith(prefix)}
