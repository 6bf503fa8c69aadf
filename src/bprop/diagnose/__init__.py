"""Tools that find out what is wrong: the gradient check, and one gradient by any of the ways or by all of them."""

from .. import formula, gradients  # noqa: F401 - whole rooms first: see core/lazy.py
from .check import check
from .compare import compare
from .derivative import derivative
from .explain import explain

__all__ = ["check", "compare", "derivative", "explain"]
