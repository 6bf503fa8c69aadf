"""Ops that hold a function. Each file gives one of them its meaning under every interpretation."""

from .checkpoint import checkpoint
from .custom import custom
from .scan import scan

__all__ = ["checkpoint", "custom", "scan"]
