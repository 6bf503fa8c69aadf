"""The only place an op is declared, in files by the Array API's categories."""

from ..core.value import asarray
from . import random
from .activation import hard_tanh, log_softmax, relu, softmax
from .arithmetic import abs, add, divide, multiply, negative, pow, sign, sqrt, square, subtract
from .comparison import (
    equal,
    greater,
    greater_equal,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    not_equal,
)
from .creation import arange, full, ones, ones_like, zeros, zeros_like
from .exponential import exp, expm1, log, log1p, sigmoid, softplus, tanh
from .indexing import take
from .linear_algebra import cholesky, dot, einsum, matmul, solve
from .manipulation import astype, broadcast_to, matrix_transpose, moveaxis, permute_dims, reshape
from .random import Generator
from .reduction import logsumexp, max, mean, sum
from .selection import maximum, minimum, stop_gradient, where

__all__ = [
    "Generator", "abs", "add", "arange", "asarray", "astype", "broadcast_to", "cholesky", "divide", "dot", "einsum",
    "equal", "exp", "expm1", "full", "greater", "greater_equal", "hard_tanh", "less", "less_equal", "log", "log1p",
    "log_softmax", "logical_and", "logical_not", "logical_or", "logsumexp", "matmul", "matrix_transpose", "max",
    "maximum", "mean", "minimum", "moveaxis", "multiply", "negative", "not_equal", "ones", "ones_like", "permute_dims",
    "pow", "random", "relu", "reshape", "sigmoid", "sign", "softmax", "softplus", "solve", "sqrt", "square",
    "stop_gradient", "subtract", "sum", "take", "tanh", "where", "zeros", "zeros_like",
]  # fmt: skip
