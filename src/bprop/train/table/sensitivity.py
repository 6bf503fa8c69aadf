"""Sensitivity analysis: how strongly each column moves the output, from gradients of the network by its inputs.

Results and files call it the influence of a column.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...core.printable import printable
from ...core.value import asarray
from ...gradients import jacobian, vmap
from ...nn import Module
from ..curve import verbatim, write_picture

ROWS = 1000
"""At most so many rows are averaged over."""
_MAX_NUMBERS = 10**7  # of a Jacobian in memory
MEANING = (
    "How far the output moves, to first order, when a column moves by its standard deviation: the mean over rows of "
    "|∂y/∂x| × std. It describes this network, not the world: it is no cause and no effect, columns that go "
    "together share it or hide each other, and it says nothing about large moves."
)


def sensitivity(
    model: Module, x: NDArray[np.float64], groups: Mapping[str, slice], scale: float = 1.0
) -> dict[str, float]:
    """Return for every column how strongly it moves the outputs y of ``model``, the strongest first.

    I(column) = mean over rows of √(1/C Σ_c Σ_j (∂y_c/∂x_j · s_j)²): j goes through the inputs that the column became,
    s_j is the standard deviation of input j. The mean of several outputs (logits) is subtracted first, since only their
    differences matter.

    Parameters
    ----------
    model
        The network.
    x
        Encoded rows (N, inputs); at most `ROWS` of them are used.
    groups
        The inputs of every column.
    scale
        The unit of y.

    **Source:** Dimopoulos, Bourret & Lek (1995), Use of some sensitivity criteria for choosing networks; Gevrey,
    Dimopoulos & Lek (2003), Review and comparison of methods to study the contribution of variables, "PaD".

    >>> import bprop, numpy as np
    >>> from bprop import nn
    >>> from bprop.train.table.sensitivity import sensitivity
    >>> model = nn.Linear(2, 1)
    >>> model.W = bprop.asarray([[3.0, -1.0]], dtype=np.float32)
    >>> sensitivity(model, np.array([[1.0, 0.0], [-1.0, 2.0]]), {"a": slice(0, 1), "b": slice(1, 2)})
    {'a': 3.0, 'b': 1.0}
    """
    dtype = next(iter(model.parameters().values())).dtype
    deviations = x.std(axis=0)
    slopes = vmap(jacobian(lambda row: model(row)))
    outputs = int(np.asarray(model(asarray(x[:1].astype(dtype)))).size)
    step = max(1, _MAX_NUMBERS // (outputs * x.shape[1]))
    rows = x[np.linspace(0, len(x) - 1, min(len(x), ROWS)).astype(int)].astype(dtype)
    total = np.zeros(len(groups))
    for start in range(0, len(rows), step):
        J = np.asarray(slopes(asarray(rows[start : start + step])), np.float64).reshape(-1, outputs, x.shape[1])
        if outputs > 1:
            J = J - J.mean(axis=1, keepdims=True)
        squares = np.mean((J * deviations) ** 2, axis=1)
        total += [float(np.sum(np.sqrt(squares[:, inputs].sum(axis=1)))) for inputs in groups.values()]
    influences = dict(zip(groups, (total / len(rows) * scale).tolist(), strict=True))
    return dict(sorted(influences.items(), key=lambda pair: -pair[1]))


def draw_influence(values: Mapping[str, float], path: Path, title: str, max_columns: int = 20) -> None:
    """Draw the strongest influences as bars, a PNG at ``path``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = list(values.items())[:max_columns]
    figure = Figure(figsize=(6.4, 1.3 + 0.26 * len(shown)), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    positions = range(len(shown))
    bars = axes.barh(positions, [value for _, value in shown], color="#1f6fb4", height=0.7)
    axes.bar_label(bars, fmt="%.3g", padding=3, fontsize=8)
    axes.set_yticks(positions, [_short(printable(name)) for name, _ in shown], fontsize=9)
    verbatim(*axes.get_yticklabels())
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("mean |∂y/∂x| × standard deviation of the column", fontsize=9)
    verbatim(axes.set_title(title, fontsize=11))
    write_picture(figure, path)


def _short(name: str, max_length: int = 28) -> str:
    return name if len(name) <= max_length else name[: max_length - 1] + "…"


def bars(values: Mapping[str, float], width: int = 80, max_columns: int = 15) -> list[str]:
    """Return the influences as lines of text with bars, none wider than ``width``.

    >>> from bprop.train.table.sensitivity import bars
    >>> print("\\n".join(bars({"age": 2.0, "size": 1.0}, width=30)))
    age   █████████████████████  2
    size  ██████████             1
    """
    shown = [(_short(name), value, f"{value:.3g}") for name, value in list(values.items())[:max_columns]]
    names = max((len(name) for name, _, _ in shown), default=0)
    numbers = max((len(number) for _, _, number in shown), default=0)
    bar_width = max(width - names - numbers - 4, 4)
    largest = max((value for _, value, _ in shown), default=0.0) or 1.0
    lines = [
        f"{name:<{names}}  {'█' * round(value / largest * bar_width):<{bar_width}}  {number:>{numbers}}"
        for name, value, number in shown
    ]
    hidden = len(values) - len(shown)
    return lines + ([f"… and {hidden} more"] if hidden > 0 else [])
