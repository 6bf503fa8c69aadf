"""Formulas as MathML, which browsers show without any program: made from LaTeX, so that there is one way of writing them.

**Source:** W3C, MathML Core (2025); the package latex2mathml.
"""

from collections.abc import Sequence
from html import escape

from ..core.printable import printable


def mathml(latex: str) -> str:
    """Return LaTeX of mathematics mode as a MathML element.

    >>> from bprop.formula.mathml import mathml
    >>> mathml("x^{2}")
    '<math xmlns="http://www.w3.org/1998/Math/MathML" display="inline"><mrow><msup><mi>x</mi><mrow><mn>2</mn></mrow></msup></mrow></math>'
    """
    from latex2mathml.converter import convert  # loaded where it is used: bprop itself loads NumPy alone

    return str(convert(_shown(latex)))


def aligned(rows: Sequence[tuple[str, str, str]]) -> str:
    """Return equations as a MathML table: left-hand side, right-hand side, and a remark, which is text."""
    lines = []
    for left, right, remark in rows:
        cells = (
            f'<mtd columnalign="right">{_inner(left)}</mtd>',
            f'<mtd columnalign="left">{_inner("=" + right)}</mtd>',
        )
        lines.append(
            f"<mtr>{''.join(cells)}<mtd>{f'<mtext>{escape(printable(remark))}</mtext>' if remark else ''}</mtd></mtr>"
        )
    return f'<math xmlns="http://www.w3.org/1998/Math/MathML" display="block"><mtable>{"".join(lines)}</mtable></math>'


def _shown(latex: str) -> str:
    """Return LaTeX whose names cannot be read as tags."""
    return latex.replace("<", r"\lt ").replace(">", r"\gt ")


def _inner(latex: str) -> str:
    """Return what stands inside of the element."""
    written = mathml(latex)
    return written[written.index(">") + 1 : written.rindex("<")]


__all__ = ["aligned", "mathml"]
