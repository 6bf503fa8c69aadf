"""One update of the parameters, and what it changes."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compile import compile
from ..core.error import CompileError, TracedValueError
from ..core.interpreter import Cell
from ..core.tree import is_holder
from ..core.value import Array, asarray
from ..gradients import value_and_grad
from ..nn import Module
from ..ops import astype, zeros_like
from ..optim import Optimizer
from .balance import ClassWeights, weighted
from .evaluation import Weigher
from .source import Batch


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
    their examples would make.
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
    ) -> None:
        self.model, self.optimizer, self.say = model, optimizer, say
        self.accumulate, self.weights = accumulate, weights
        self.weigh = Weigher(loss)
        self.mean = self.weigh.mean
        self.sums = Sums(model) if accumulate > 1 else None
        self.pending = 0
        """Batches since the last update."""
        self._examples = 0.0
        objective = loss if weights is None else weighted(loss)

        def step(model: Module, optimizer: Optimizer, x: Array, *rest: Array) -> Array:
            E, gradients = value_and_grad(lambda m: objective(m(x), *rest))(model)
            optimizer.update(model, gradients)
            return E

        def gather(model: Module, sums: Sums, share: Array, x: Array, *rest: Array) -> Array:
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

        self._eager: dict[str, Callable[..., Any]] = {"step": step, "gather": gather, "update": update}
        self.native: dict[str, Callable[..., Any]] | None = None
        if compiled:
            self.native = {name: compile(f) for name, f in self._eager.items()}

    def __call__(self, batch: Batch) -> float:
        """Return the loss of the batch before the update that it leads to, perhaps with those after it."""
        arrays = [asarray(batch.x, copy=False), asarray(batch.t, copy=False)]
        if self.weights is not None:
            arrays.append(asarray(self.weights.of(batch.t), copy=False))
        if self.accumulate == 1:
            return float(self._run("step", self.model, self.optimizer, *arrays))
        count = self.weigh(batch.t) if self.mean else 1
        E = float(self._run("gather", self.model, self.sums, _number(count), *arrays))
        self.pending += 1
        self._examples += count
        if self.pending == self.accumulate:
            self.finish()
        return E

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
                self.native = None
                self.say(f"no native code for this step, so it runs op by op, more slowly: {error}")
        return self._eager[name](*arguments)


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
