"""Tools that find out what is wrong: the gradient check."""

from .check import check

__all__ = ["check"]
