"""Tools that find out what is wrong: the gradient check."""

from .check import check
from .compare import compare

__all__ = ["check", "compare"]
