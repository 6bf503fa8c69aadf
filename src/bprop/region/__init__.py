"""Ops that hold a function. Each file gives one of them its meaning under every interpretation."""

from .callback import callback
from .checkpoint import checkpoint
from .cond import cond
from .custom import custom
from .scan import scan
from .while_loop import while_loop

__all__ = ["callback", "checkpoint", "cond", "custom", "scan", "while_loop"]
