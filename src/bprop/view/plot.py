"""A drawing as PNG or PDF, by matplotlib."""

import io
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..core.file import write_whole
from .drawing import LINE, Arrow, Box, Drawing

VALUE, GRADIENT, INK = "#0072B2", "#C04F00", "#222222"


def plot(drawing: Drawing, path: Path) -> None:
    """Write the drawing to ``path``, in the format of its ending."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    layout = drawing.layout
    figure = Figure(figsize=(layout.width / 72, layout.height / 72))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, layout.width)
    axes.set_ylim(layout.height, 0)
    axes.axis("off")
    for arrow in drawing.arrows:
        _arrow(axes, arrow)
    for number, box in enumerate(drawing.boxes):
        _box(axes, box, number in drawing.results)
    picture = io.BytesIO()
    figure.savefig(picture, format=path.suffix[1:].lower(), dpi=144)
    write_whole(path, picture.getvalue(), lasting=False)


def _arrow(axes: Any, arrow: Arrow) -> None:
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path as Curve

    def draw(points: list[tuple[float, float]], colour: str, style: Any) -> None:
        vertices, codes = [points[0]], [Curve.MOVETO]
        for (x0, y0), (x1, y1) in pairwise(points):
            middle = (y0 + y1) / 2
            vertices += [(x0, middle), (x1, middle), (x1, y1)]
            codes += [Curve.CURVE4] * 3
        patch = FancyArrowPatch(path=Curve(vertices, codes), arrowstyle="-|>", mutation_scale=7, color=colour, ls=style)
        patch.set_linewidth(1)
        axes.add_patch(patch)

    draw([(x - 3 * arrow.has_gradient, y) for x, y in arrow.points], VALUE, "-")
    if arrow.has_gradient:
        draw([(x + 4, y) for x, y in reversed(arrow.points)], GRADIENT, (0, (4, 3)))


def _box(axes: Any, box: Box, is_result: bool) -> None:
    from matplotlib.patches import FancyBboxPatch

    left, top = box.x - box.width / 2, box.y - box.height / 2
    colour = VALUE if box.kind == "input" else "#666666"
    style = f"round,pad=0,rounding_size={10 if box.kind == 'input' else 3}"
    patch = FancyBboxPatch((left, top), box.width, box.height, boxstyle=style, fc="white", ec=colour)
    patch.set_linewidth(2.2 if is_result else 1)
    patch.set_linestyle(":" if box.kind == "capture" else "-")
    axes.add_patch(patch)
    y = top + LINE - 4
    for colour, texts in ((INK, [box.title]), (VALUE, box.values), (GRADIENT, box.gradients)):
        for text in texts:
            axes.text(
                box.x, y, text, color=colour, ha="center", va="center", family="DejaVu Sans Mono", fontsize=8.5,
                parse_math=False,
            )  # fmt: skip
            y += LINE


__all__ = ["plot"]
