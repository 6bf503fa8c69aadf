"""Ops that hold a function. Each file gives one of them its meaning under every interpretation.

What they share, in the order in which one reads it:

- `closure`: a function becomes a closed graph (closure conversion), with its captured values as inputs;
- `interpretation`: a body under one interpreter: recorded, with tangents, batched, or with masks;
- `cotangent`: lists in which some cotangents are missing;
- `split`: a body becomes a forward pass that saves residuals and a backward pass that reads them;
- `presence` and `fixpoint`: what is fixed of a loop's carry while its body is traced, found by iteration;
- `weak`: the dtype of a carry that starts as a Python scalar;
- `check`: messages about functions, trees and shapes.

The derivative of `scan` and `while_loop` in reverse mode, and the batch of `while_loop`, have files beside theirs.
"""

from .. import gradients  # noqa: F401 - whole rooms first: see core/lazy.py
from .callback import callback
from .checkpoint import checkpoint
from .cond import cond
from .custom import custom
from .scan import scan
from .while_loop import while_loop

__all__ = ["callback", "checkpoint", "cond", "custom", "scan", "while_loop"]
