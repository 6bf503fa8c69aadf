"""Curves of a training as a picture: losses on the left, the other metrics on the right."""

import io
import warnings
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from ..core.printable import printable
from .storage import write_whole

_SKIPPED = ("epoch", "seconds", "learning_rate")
_COLOURS = {"train": "#1f6fb4", "validation": "#d1601f", "test": "#d1601f"}
_OTHER_COLOURS = ("#3a8f5b", "#7a5ea8", "#8c6d3f", "#444444")


def draw(history: Sequence[Mapping[str, Any]], path: Path, title: str = "") -> None:
    """Draw every number in ``history`` over the epochs as a PNG at ``path``; losses spanning a decade on a log axis."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # never a window, whatever the user has set
    from matplotlib.figure import Figure

    names = [name for name in history[0] if name not in _SKIPPED]
    losses = [name for name in names if name.endswith("loss")]
    metrics = [name for name in names if name not in losses]
    panels = [(label, series) for label, series in (("loss", losses), ("", metrics)) if series]
    figure = Figure(figsize=(4.8 * len(panels), 3.6), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    for position, (label, series) in enumerate(panels):
        _draw_panel(figure.add_subplot(1, len(panels), position + 1), history, label, series)
    if title:
        verbatim(figure.suptitle(title, fontsize=11))
    write_picture(figure, path)


def _draw_panel(axes: Any, history: Sequence[Mapping[str, Any]], label: str, series: Sequence[str]) -> None:
    """Draw one curve per name in ``series``. ``label`` is "loss", or nothing for the metrics."""
    from matplotlib.ticker import MaxNLocator

    epochs = [entry["epoch"] for entry in history]
    other_colours = iter(_OTHER_COLOURS * (1 + len(series) // len(_OTHER_COLOURS)))
    colours = dict(_COLOURS)  # each is used once: two metrics of the validation data differ
    drawn: list[float] = []
    curves, labels = [], []
    for name in series:
        values = [entry.get(name) for entry in history]
        numbers = [float(v) if v is not None and isfinite(v) else float("nan") for v in values]
        drawn += [v for v in numbers if v == v]
        colour = colours.pop(name.partition("_")[0], None) or next(other_colours)
        marker = "o" if len(epochs) <= 15 else ""
        (curve,) = axes.plot(epochs, numbers, color=colour, marker=marker, markersize=3.5, lw=1.6)
        curves.append(curve)
        last = f"{numbers[-1]:.4g}" if label else f"{numbers[-1]:.4f}"
        labels.append(f"{_legend_name(name, label)}: {last}")
    if label and drawn and min(drawn) > 0 and max(drawn) / min(drawn) > 10:
        axes.set_yscale("log")
    kinds = {name.partition("_")[2] or name for name in series}
    verbatim(axes.set_title(label or (kinds.pop().replace("_", " ") if len(kinds) == 1 else "metrics"), fontsize=11))
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(True, color="#dddddd", lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    verbatim(*axes.legend(curves, labels, frameon=False, fontsize=9).get_texts())


def verbatim(*texts: Any) -> None:
    """Have the texts of a figure drawn as they are, not as mathematics: a metric or a column may be called $x or \\frac{."""
    for text in texts:
        text.set_parse_math(False)
        text.set_usetex(False)
        text.set_text(printable(text.get_text()))


def write_picture(figure: Any, path: Path) -> None:
    """Write a figure as a PNG; letters that the font lacks, in the name of a column say, are drawn as boxes."""
    picture = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        figure.savefig(picture, format="png")
    write_whole(path, picture.getvalue())


def _legend_name(name: str, label: str) -> str:
    return name.removesuffix(f"_{label}").replace("_", " ") if label else name.replace("_", " ")
