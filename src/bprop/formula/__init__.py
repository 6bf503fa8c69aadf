"""Graphs as formulas that people read: text, LaTeX, equations of named values, derivatives by the rules of calculus."""

from .. import gradients  # noqa: F401 - whole rooms first: see core/lazy.py
from .symbolic import expression, symbolic

__all__ = ["expression", "symbolic"]
