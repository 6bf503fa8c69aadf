"""What bprop computes, to be looked at: formulas as text and LaTeX, graphs as DOT, tables of values and gradients."""

from ..gradients.formula import Expression
from .dot import dot
from .table import Row, View, view

__all__ = ["Expression", "Row", "View", "dot", "view"]
