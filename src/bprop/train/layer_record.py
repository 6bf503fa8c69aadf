"""What happens in every layer over the epochs: gradients, updates, weights, activations; of two inputs the decision boundary."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..core.value import asarray
from ..view.module_statistics import ModuleStatistics, statistics
from .callback import Callback
from .record import Field, read_json
from .storage import write_whole

if TYPE_CHECKING:
    from .run import Run

FILE = "layers.json"
EXAMPLES = 256
"""Of the training examples the first so many are looked at after every epoch."""
BINS = 24
GRID = 40
"""Points of the decision boundary's grid, each way."""


class LayerRecord(Callback):
    """Keep, after every epoch, what every layer did with the first training examples; a page shows it (`training_page`).

    The norm of the gradient, ‖ΔW‖ / ‖W‖ of the epoch, a histogram of the weights, mean and spread of the activations, the share that is
    saturated, dead units. If the inputs are two numbers, also what the network says on a grid around them, and what the last layer with
    two units makes of the examples. Written to ``layers.json`` in the run's folder; a resumed run goes on in it.

    Parameters
    ----------
    x, t
        Inputs and targets, from which the first 256 are taken.
    loss
        A function of the network's value and the targets.

    >>> from bprop.train import LayerRecord
    >>> callable(LayerRecord.on_epoch)
    True
    """

    def __init__(self, x: Any, t: Any, loss: Any) -> None:
        self.x, self.t, self.loss = asarray(x)[:EXAMPLES], asarray(t)[:EXAMPLES], loss
        self.epochs: list[dict[str, Any]] = []
        self._before: dict[str, NDArray[Any]] = {}

    def on_start(self, run: "Run") -> None:
        """Keep the weights before the first epoch; of a resumed run the epochs that it has had."""
        if run.folder is not None and run.history and (run.folder / FILE).exists():
            self.epochs = read_layers(run.folder)[: len(run.history)]
        self._before = _weights(run.model)

    def on_epoch(self, run: "Run", entry: dict[str, Any]) -> None:
        """Look at every layer, and write what all epochs gave."""
        (tree,) = statistics(lambda model, x, t: self.loss(model(x), t), run.model, self.x, self.t)
        weights = _weights(run.model)
        layers = [
            _layer(module, weights, self._before)
            for module in tree.walk()
            if module.parameters or module.saturated is not None
        ]
        self._before = weights
        row: dict[str, Any] = {"epoch": entry["epoch"], "layers": layers}
        if self.x.ndim == 2 and self.x.shape[1] == 2:
            row["plane"] = _plane(run.model, self.x.numpy(), self.t.numpy())
        self.epochs.append(row)
        if run.folder is not None:
            text = json.dumps({"epochs": self.epochs}, allow_nan=False)
            write_whole(run.folder / FILE, text.encode())


def _weights(model: Any) -> dict[str, NDArray[Any]]:
    return {path: cell.array.numpy().copy() for path, cell in model.cells().items() if cell.trainable}


def _layer(
    module: ModuleStatistics, weights: Mapping[str, NDArray[Any]], before: Mapping[str, NDArray[Any]]
) -> dict[str, Any]:
    names = [f"{module.path}.{p.name}".lstrip(".") for p in module.parameters]
    new = [weights[name] for name in names if name in weights]
    change = [weights[name] - before[name] for name in names if name in weights and name in before]
    row: dict[str, Any] = {"path": module.path, "kind": module.kind}
    own = [p.gradient_norm for p in module.parameters if p.gradient_norm is not None]
    row["gradient_norm"] = _finite(float(np.linalg.norm(own))) if own else None
    row["update_ratio"] = _finite(_norm(change) / _norm(new)) if change and _norm(new) > 0 else None
    row["weights"] = _histogram(new) if new else None
    row["y_mean"], row["y_std"] = _finite(module.y.mean), _finite(module.y.std)
    row["saturated"], row["dead"], row["units"] = module.saturated, module.dead, module.units
    return row


def _norm(arrays: list[NDArray[Any]]) -> float:
    return float(np.sqrt(sum(float(np.sum(np.square(array, dtype=np.float64))) for array in arrays)))


def _finite(number: float) -> float | None:
    return number if np.isfinite(number) else None  # JSON has no NaN


def _histogram(arrays: list[NDArray[Any]]) -> dict[str, Any] | None:
    flat = np.concatenate([np.ravel(array).astype(np.float64) for array in arrays])
    flat = flat[np.isfinite(flat)]
    if not flat.size:
        return None
    counts, edges = np.histogram(flat, BINS)
    return {"edges": [float(f"{edge:.5g}") for edge in edges], "counts": counts.tolist()}


def _plane(model: Any, x: NDArray[Any], t: NDArray[Any]) -> dict[str, Any]:
    """Return what the network says on a grid, and what the last layer with two units makes of the examples."""
    low, high = x.min(axis=0), x.max(axis=0)
    margin = 0.15 * (high - low) + 1e-9
    sides = [np.linspace(a - m, b + m, GRID) for a, b, m in zip(low, high, margin, strict=True)]
    points = np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, 2).astype(x.dtype)
    hidden: list[NDArray[Any]] = []

    def look(_: Any, y: Any) -> None:
        data = y.concrete()
        if data is not None and data.ndim == 2 and data.shape[1] == 2:
            hidden.append(data)

    modules = [module for path, module in model.modules() if path and not list(module.children())]
    hooks = [module.hook(y=look) for module in modules[:-1]]
    try:
        model(x)
    finally:
        for hook in hooks:
            hook.remove()
    said = np.asarray(model(points).numpy(), np.float64)
    said = said.argmax(axis=1) if said.ndim == 2 and said.shape[1] > 1 else said.reshape(-1)
    labels = t.argmax(axis=1) if t.ndim == 2 and t.shape[1] > 1 else t.reshape(-1)
    return {
        "low": [float(side[0]) for side in sides],
        "high": [float(side[-1]) for side in sides],
        "said": [float(f"{number:.4g}") for number in np.nan_to_num(said)],
        "points": np.round(x.astype(np.float64), 5).tolist(),
        "labels": [float(label) for label in labels],
        "features": np.round(np.nan_to_num(hidden[-1]).astype(np.float64), 5).tolist() if hidden else None,
    }


def read_layers(folder: Path) -> list[dict[str, Any]]:
    """Return the epochs that a run recorded, checked as far as a page uses them; raises `StorageError` naming what is wrong."""
    record = read_json(folder / FILE)
    return [_checked_epoch(row) for row in record["epochs"].items()]


def _checked_epoch(row: Field) -> dict[str, Any]:
    epoch: dict[str, Any] = {
        "epoch": row["epoch"].integer(),
        "layers": [_checked_layer(x) for x in row["layers"].items()],
    }
    if "plane" in row:
        plane = row["plane"]
        epoch["plane"] = {name: _numbers(plane[name]) for name in ("low", "high", "said", "labels")}
        epoch["plane"]["points"] = [_numbers(point) for point in plane["points"].items()]
        features = plane["features"].optional(lambda field: [_numbers(point) for point in field.items()])
        epoch["plane"]["features"] = features
    return epoch


def _checked_layer(layer: Field) -> dict[str, Any]:
    checked: dict[str, Any] = {"path": layer["path"].text(), "kind": layer["kind"].text()}
    for name in ("gradient_norm", "update_ratio", "y_mean", "y_std", "saturated", "dead", "units"):
        checked[name] = layer[name].optional(Field.number)
    checked["weights"] = layer["weights"].optional(
        lambda field: {key: _numbers(field[key]) for key in ("edges", "counts")}
    )
    return checked


def _numbers(field: Field) -> list[float]:
    return [item.number() for item in field.items()]


__all__ = ["LayerRecord", "read_layers"]
