"""A training as a page: curves over the epochs, every layer's gradients and updates, and for two inputs the decision boundary."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from math import isfinite, nan
from typing import Any

from ..core.printable import printable
from ..view.chart import histogram, line_chart
from ..view.document import whole_page

LAYERS = 12
"""Layers that get a curve each; of more the first, the last and those between at equal distances."""


def training_page(
    title: str, history: Sequence[Mapping[str, Any]], epochs: Sequence[Mapping[str, Any]] = (), live: bool = False
) -> str:
    """Return the page of a training.

    Parameters
    ----------
    title
        What was learned.
    history
        A record for every epoch, as in `Run.history`.
    epochs
        What `LayerRecord` kept; without it there are no curves of layers.
    live
        Whether the page asks its server for news every two seconds.

    >>> from bprop.train import training_page
    >>> page = training_page("digits", [{"epoch": 1, "train_loss": 0.5}])
    >>> "loss" in page and page.startswith("<!doctype html>")
    True
    """
    scripts = ["theme", *(["plane"] if any("plane" in row for row in epochs) else []), *(["live"] if live else [])]
    return whole_page(title, content(title, history, epochs), ("page", "network", "chart"), scripts, live=live)


def content(title: str, history: Sequence[Mapping[str, Any]], epochs: Sequence[Mapping[str, Any]]) -> str:
    """Return what stands on the page: what is asked for again while it trains."""
    if not history:
        return f"<h2>{_text(title)}</h2><p>The first epoch is not over yet.</p>"
    parts = [f"<h2>{_text(title)}</h2>", f'<p class="quiet">after epoch {history[-1]["epoch"]}</p>']
    parts.append(f'<div class="charts">{"".join(_curves(history))}</div>')
    if epochs:
        if "plane" in epochs[-1]:
            parts.append(_plane(epochs))
        parts += [
            "<h3>Layers</h3>",
            f'<div class="charts">{"".join(_layers(epochs))}</div>',
            "<h3>Weights after the last epoch</h3>",
            f'<div class="charts">{"".join(_weights(epochs[-1]))}</div>',
        ]
    return "\n".join(parts)


def _curves(history: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the losses as one chart and every other number by its kind."""
    x = [entry["epoch"] for entry in history]
    names = [name for name in history[-1] if name not in ("epoch", "seconds", "learning_rate")]
    kinds: dict[str, list[str]] = {}
    for name in names:
        kinds.setdefault("loss" if name.endswith("loss") else name.partition("_")[2] or name, []).append(name)
    charts = []
    for kind, group in kinds.items():
        series = {name: [_number(entry.get(name)) for entry in history] for name in group}
        positive = [y for ys in series.values() for y in ys if isfinite(y)]
        log = kind == "loss" and bool(positive) and min(positive) > 0 and max(positive) > 10 * min(positive)
        charts.append(line_chart(kind.replace("_", " "), x, series, log=log))
    return charts


def _number(value: Any) -> float:
    return nan if value is None else float(value)


def _layers(epochs: Sequence[Mapping[str, Any]]) -> list[str]:
    x = [row["epoch"] for row in epochs]
    last = epochs[-1]["layers"]
    charts = []
    for key, title, log in (
        ("gradient_norm", "‖∂E/∂W‖ by layer", True),
        ("update_ratio", "update ‖ΔW‖ / ‖W‖ of an epoch", True),
        ("y_std", "spread of the activations y", False),
        ("saturated", "share of saturated entries", False),
    ):
        shown = _spread([layer for layer in last if layer[key] is not None])
        series = {f"{layer['path']} {layer['kind']}": _over_epochs(epochs, layer["path"], key) for layer in shown}
        if series:
            charts.append(line_chart(title, x, series, log=log))
    return charts


def _spread(layers: list[Any]) -> list[Any]:
    if len(layers) <= LAYERS:
        return layers
    return [layers[round(i * (len(layers) - 1) / (LAYERS - 1))] for i in range(LAYERS)]


def _over_epochs(epochs: Sequence[Mapping[str, Any]], path: str, key: str) -> list[float]:
    rows = [next((layer for layer in row["layers"] if layer["path"] == path), None) for row in epochs]
    return [nan if layer is None else _number(layer[key]) for layer in rows]


def _weights(row: Mapping[str, Any]) -> list[str]:
    layers = _spread([layer for layer in row["layers"] if layer["weights"]])
    return [
        histogram(
            f"{layer['path']} {layer['kind']}",
            layer["weights"]["edges"],
            [int(count) for count in layer["weights"]["counts"]],
        )
        for layer in layers
    ]


def _plane(epochs: Sequence[Mapping[str, Any]]) -> str:
    """Return two canvases with a slider over the epochs: inputs with the decision boundary, and the hidden units' space."""
    frames = [{"epoch": row["epoch"], **row["plane"]} for row in epochs if "plane" in row]
    fixed = {"points": frames[-1]["points"], "labels": frames[-1]["labels"]}
    for frame in frames:
        del frame["points"], frame["labels"]
    data = json.dumps({"frames": frames, **fixed}, allow_nan=False).replace("<", "\\u003c")
    hidden = any(frame["features"] for frame in frames)
    second = (
        '<figure class="chart"><figcaption>what the hidden layer of two units makes of the examples</figcaption>'
        '<canvas data-part="features" width="400" height="400" role="img" aria-label="hidden units"></canvas></figure>'
        if hidden
        else ""
    )
    return (
        '<h3>Decision boundary</h3><section data-part="plane"><p><label>epoch '
        f'<input type="range" min="0" max="{len(frames) - 1}" value="{len(frames) - 1}" step="1" data-part="epoch"></label> '
        '<output data-part="shown"></output></p><div class="charts"><figure class="chart"><figcaption>inputs: circles and squares are the '
        'classes, the ground is what the network says</figcaption><canvas data-part="inputs" width="400" height="400" role="img" '
        f'aria-label="decision boundary"></canvas></figure>{second}</div>'
        f'<script type="application/json" data-part="plane-data">{data}</script></section>'
    )


def _text(text: str) -> str:
    return escape(printable(text))


__all__ = ["content", "training_page"]
