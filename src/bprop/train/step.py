"""One update of the parameters from one or several batches, as native code where possible."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..compile import compile
from ..core.cell import Cell
from ..core.error import CompileError, TracedValueError
from ..core.value import Array, asarray
from ..gradients import value_and_grad
from ..nn import Module
from ..ops import astype, zeros_like
from ..optim import Optimizer
from .balance import ClassWeights, weighted
from .data import Indices
from .evaluation import BatchWeight
from .source import ArraySource, MiniBatch, RowGather, row_gather


class GradientAccumulator:
    """The sum of the gradients of several batches, for one update with all of them."""

    def __init__(self, model: Module) -> None:
        self._cells = {
            path: Cell(Array(np.zeros(cell.array.shape, cell.array.dtype)), f"{path} summed")
            for path, cell in model.cells().items()
            if cell.trainable
        }

    def cells(self) -> dict[str, Cell]:
        """Return the sums by path of the parameter."""
        return self._cells


class TrainingStep:
    """Forward pass, backward pass and update on batches, as native code where possible.

    With ``accumulate`` = k the gradients of k batches are summed before an update, which is the same as with one batch of all
    their examples. If the data are arrays, native code gathers the rows of a batch itself and makes several steps per call.

    Parameters
    ----------
    model, loss, optimizer
        What is trained; ``loss(outputs, targets)`` is a scalar.
    compiled
        Whether to make native code.
    notify
        Is called with a text, where there is no native code.
    accumulate
        How many batches make one update.
    weights
        Class weights of the examples, or ``None``.
    data
        The arrays whose rows native code can gather, or ``None``.

    Attributes
    ----------
    native
        The compiled functions by name, or ``None`` where steps run op by op.
    pending
        Batches since the last update.
    """

    def __init__(
        self,
        model: Module,
        loss: Any,
        optimizer: Optimizer,
        compiled: bool,
        notify: Callable[[str], None],
        accumulate: int = 1,
        weights: ClassWeights | None = None,
        data: ArraySource | None = None,
    ) -> None:
        self.model, self.optimizer, self.notify = model, optimizer, notify
        self.accumulate, self.weights, self.data = accumulate, weights, data
        self.batch_weight = BatchWeight(loss)
        self.is_mean = self.batch_weight.is_mean
        self.accumulator = GradientAccumulator(model) if accumulate > 1 else None
        self.pending = 0
        self._pending_weight = 0.0
        self._objective = loss if weights is None else weighted(loss)
        self._eager = self._functions(None)
        self.native: dict[str, Any] | None = None
        gathers = None
        if compiled:
            gathers = None if data is None else data.row_gathers()
            if data is not None and gathers is not None and weights is not None:
                gathers.append(row_gather(weights.of(data.t), data.dtype))
            self.native = {name: compile(f) for name, f in self._functions(gathers).items()}
        self._gathers_rows = gathers is not None

    def _functions(self, gathers: Sequence[RowGather] | None) -> dict[str, Callable[..., Any]]:
        """Return the functions of a step. They take the arrays of a batch, or row indices if there are ``gathers``."""
        objective = self._objective

        def step(model: Module, optimizer: Optimizer, *batch: Array) -> Array:
            x, *targets = batch if gathers is None else [gather(*batch) for gather in gathers]
            E, gradients = value_and_grad(lambda m: objective(m(x), *targets))(model)
            optimizer.update(model, gradients)
            return E

        def accumulate(model: Module, accumulator: GradientAccumulator, weight: Array, *batch: Array) -> Array:
            x, *targets = batch if gathers is None else [gather(*batch) for gather in gathers]
            E, gradients = value_and_grad(lambda m: objective(m(x), *targets))(model)
            for path, cell in accumulator.cells().items():
                g = gradients[path]
                cell.write(cell.read() + astype(weight, g.dtype) * g)
            return E

        def update(model: Module, optimizer: Optimizer, accumulator: GradientAccumulator, scale: Array) -> None:
            cells = accumulator.cells().items()
            optimizer.update(model, {path: cell.read() * astype(scale, cell.read().dtype) for path, cell in cells})
            for _, cell in cells:
                cell.write(zeros_like(cell.read()))

        return {"step": step, "accumulate": accumulate, "update": update}

    @property
    def loops(self) -> bool:
        """Whether one native call makes several steps."""
        return self._gathers_rows and self.native is not None

    def __call__(self, batch: MiniBatch) -> float:
        """Make a step with one batch, and the update if it is due. Returns the loss before that update."""
        if self.loops and batch.rows is not None:
            return self.loop(batch.rows[None])[0]
        arrays = [asarray(batch.x, copy=False), asarray(batch.t, copy=False)]
        if self.weights is not None:
            arrays.append(asarray(self.weights.of(batch.t), copy=False))
        if self.accumulate == 1:
            return float(self._run("step", self.model, self.optimizer, *arrays))
        weight = self.batch_weight(batch.t) if self.is_mean else 1
        E = float(self._run("accumulate", self.model, self.accumulator, _scalar(weight), *arrays))
        self._add_pending(1, weight)
        return E

    def loop(self, rows: Indices) -> list[float]:
        """Make a step with each of several batches in one native call.

        If gradients accumulate, an update can follow the last of them only.

        Parameters
        ----------
        rows
            Rows of the data, (steps, batch).

        Returns
        -------
        The losses, one per step.
        """
        assert self.native is not None
        try:
            if self.accumulate == 1:
                return list(self.native["step"].loop(self.model, self.optimizer, rows).tolist())
            weights = self.weights_of(rows) if self.is_mean else [1] * len(rows)
            accumulate = self.native["accumulate"]
            losses = accumulate.loop(self.model, self.accumulator, np.array(weights, np.float64), rows).tolist()
        except (CompileError, TracedValueError) as error:
            self._fall_back(error)
            assert self.data is not None
            return [self(self.data.batch(batch_rows)) for batch_rows in rows]
        self._add_pending(len(rows), sum(weights))
        return list(losses)

    def weights_of(self, rows: Indices) -> list[float]:
        """Return the weight of each of several batches in the mean over them; ``rows``: (steps, batch)."""
        assert self.data is not None
        if self.batch_weight.is_uniform:
            return [self.batch_weight(self.data.t[rows[0]])] * len(rows)
        return [self.batch_weight(self.data.t[batch_rows]) for batch_rows in rows]

    def _add_pending(self, batches: int, weight: float) -> None:
        self.pending += batches
        self._pending_weight += weight
        if self.pending == self.accumulate:
            self.finish()

    def finish(self) -> None:
        """Make the update that is due. At the end of an epoch it may have fewer batches."""
        if self.pending:
            scale = 1 / self._pending_weight if self.is_mean and self._pending_weight else 1.0
            self._run("update", self.model, self.optimizer, self.accumulator, _scalar(scale))
            self.discard_pending()

    def discard_pending(self) -> None:
        """Count no batch as waiting for its update."""
        self.pending, self._pending_weight = 0, 0.0

    def _run(self, name: str, *arguments: Any) -> Any:
        if self.native is not None:
            try:
                return self.native[name](*arguments)
            except (CompileError, TracedValueError) as error:  # raised before any cell has changed
                self._fall_back(error)
        return self._eager[name](*arguments)

    def _fall_back(self, error: Exception) -> None:
        self.native = None
        self.notify(f"no native code for this step, so it runs op by op, more slowly: {error}")


def _scalar(value: float) -> Array:
    return asarray(np.float64(value))
