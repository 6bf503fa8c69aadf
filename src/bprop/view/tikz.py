"""A drawing as TikZ, for LaTeX: a file that compiles by itself, or the picture in it."""

from itertools import pairwise

from .drawing import Drawing

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "_": r"\_", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "−": "$-$", "∞": r"$\infty$", "∅": r"$\emptyset$", "∂": r"$\partial$",
    "…": r"\dots{}", "×": r"$\times$", "·": r"$\cdot$", "<": "$<$", ">": "$>$", "|": "$|$",
}  # fmt: skip
_HEAD = r"""\documentclass[tikz]{standalone}
\usepackage[utf8]{inputenc}
\usepackage[T1]{fontenc}
\usetikzlibrary{arrows.meta}
\definecolor{value}{HTML}{0072B2}
\definecolor{gradient}{HTML}{C04F00}
\begin{document}
\begin{tikzpicture}[x=1bp, y=-1bp, font=\ttfamily\scriptsize, box/.style={draw, align=center, inner sep=0pt}]"""


def tikz(drawing: Drawing) -> str:
    """Return the drawing as a LaTeX document."""
    lines = [_HEAD]
    for box, number in zip(drawing.boxes, range(len(drawing.boxes)), strict=True):
        style = {"input": "rounded corners=8bp, draw=value", "capture": "densely dotted"}.get(
            box.kind, "rounded corners=2bp"
        )
        style += ", very thick" * (number in drawing.results)
        rows = [escaped(box.title)]
        rows += [rf"\textcolor{{value}}{{{escaped(text)}}}" for text in box.values]
        rows += [rf"\textcolor{{gradient}}{{{escaped(text)}}}" for text in box.gradients]
        size = f"minimum width={box.width:g}bp, minimum height={box.height:g}bp"
        text = r" \\ ".join(rows)
        lines.append(rf"  \node[box, {style}, {size}] at ({box.x:g}, {box.y:g}) {{{text}}};")
    for arrow in drawing.arrows:
        shift = 3 * arrow.has_gradient
        lines.append(rf"  \draw[value, -{{Stealth}}] {_curve([(x - shift, y) for x, y in arrow.points])};")
        if arrow.has_gradient:
            back = [(x + 4, y) for x, y in reversed(arrow.points)]
            lines.append(rf"  \draw[gradient, dashed, -{{Stealth}}] {_curve(back)};")
    return "\n".join([*lines, r"\end{tikzpicture}", r"\end{document}", ""])


def _curve(points: list[tuple[float, float]]) -> str:
    parts = [f"({points[0][0]:g}, {points[0][1]:g})"]
    for (x0, y0), (x1, y1) in pairwise(points):
        middle = (y0 + y1) / 2
        parts.append(f".. controls ({x0:g}, {middle:g}) and ({x1:g}, {middle:g}) .. ({x1:g}, {y1:g})")
    return " ".join(parts)


def escaped(text: str) -> str:
    """Return a text as LaTeX prints it.

    >>> from bprop.view.tikz import escaped
    >>> escaped("a_1 = x ** 2")
    'a\\\\_1 = x ** 2'
    """
    return "".join(_SPECIAL.get(character, character) for character in text)


__all__ = ["escaped", "tikz"]
