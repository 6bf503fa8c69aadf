"""Tools that find out what is wrong: the gradient check."""

from .. import gradients  # noqa: F401 - whole rooms first: see core/lazy.py
from .check import check
from .compare import compare

__all__ = ["check", "compare"]
