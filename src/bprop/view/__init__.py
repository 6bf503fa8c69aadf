"""What bprop computes, to be looked at: formulas as text and LaTeX, graphs as DOT, tables of values and gradients."""

from typing import TYPE_CHECKING

from ..core.lazy import lazy_attributes

if TYPE_CHECKING:
    from ..formula.formula import Expression as Expression
    from .figure import Row as Row
    from .graphviz import dot as dot
    from .table import View as View
    from .table import view as view
else:  # since this package is loaded with `bprop`, whose `view` is the function
    __getattr__, __dir__ = lazy_attributes(
        __name__, {"graphviz": ("dot",), "figure": ("Expression", "Row"), "table": ("View", "view")}
    )

__all__ = ["Expression", "Row", "View", "dot", "view"]
