"""bprop: gradients you can see, trust, and compute fast.

>>> import bprop, numpy as np
>>> bprop.grad(lambda x: np.sum(x**2))(np.array([1.0, 2.0]))
Array([2., 4.])
"""

from . import data, linalg, nn, ops, optim, train
from .compile import Compiled, compile, get_threads, set_threads
from .core.error import (
    ArgumentError,
    BpropError,
    CompileError,
    CompileWarning,
    DerivativeError,
    DTypeError,
    EscapedError,
    IndexingError,
    NonFiniteError,
    NumPyFunctionError,
    ShapeError,
    StateError,
    TracedValueError,
    UnreachedError,
    UnreachedWarning,
    VerificationError,
)
from .core.graph import Graph
from .core.interpreter import Cell
from .core.value import Array
from .diagnose import check, compare
from .gradients import (
    derivative,
    expression,
    grad,
    hessian,
    hvp,
    jacobian,
    jvp,
    linearize,
    numerical,
    paths,
    symbolic,
    trace,
    value_and_grad,
    vjp,
    vmap,
)
from .ops import *
from .region import (
    callback,
    checkpoint,
    cond,
    custom,
    scan,
    while_loop,
)
from .view import view

__version__ = "0.3.0"

__all__ = [
    "ArgumentError",
    "Array",
    "BpropError",
    "Cell",
    "CompileError",
    "CompileWarning",
    "Compiled",
    "DTypeError",
    "DerivativeError",
    "EscapedError",
    "Graph",
    "IndexingError",
    "NonFiniteError",
    "NumPyFunctionError",
    "ShapeError",
    "StateError",
    "TracedValueError",
    "UnreachedError",
    "UnreachedWarning",
    "VerificationError",
    "callback",
    "check",
    "checkpoint",
    "compare",
    "compile",
    "cond",
    "custom",
    "data",
    "derivative",
    "expression",
    "get_threads",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "linalg",
    "linearize",
    "nn",
    "numerical",
    "optim",
    "paths",
    "scan",
    "set_threads",
    "symbolic",
    "trace",
    "train",
    "value_and_grad",
    "view",
    "vjp",
    "vmap",
    "while_loop",
]
__all__ += ops.__all__
