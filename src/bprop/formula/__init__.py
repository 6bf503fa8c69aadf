"""Graphs as formulas that people read: text, LaTeX, equations of named values, derivatives by the rules of calculus."""

from .. import gradients  # noqa: F401 - whole rooms first: see core/lazy.py
from .export import export
from .symbolic import expression, symbolic

__all__ = ["export", "expression", "symbolic"]
