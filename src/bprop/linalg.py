"""Linear algebra, in the namespace of the Array API standard's extension and of ``numpy.linalg``.

>>> import bprop
>>> x = bprop.asarray([[2.0, 1.0], [1.0, 2.0]])
>>> bprop.grad(lambda x: bprop.linalg.slogdet(x).logabsdet)(x)
Array([[ 0.66666667, -0.33333333],
       [-0.33333333,  0.66666667]])
"""

from . import ops  # noqa: F401 - whole rooms first: see core/lazy.py
from .core.lazy import exported
from .ops.contraction import matmul
from .ops.determinant import SlogdetResult, det, slogdet
from .ops.eigendecomposition import EigResult, eig, eigvals
from .ops.factorisation import (
    EighResult,
    QRResult,
    cholesky,
    eigh,
    eigvalsh,
    qr,
)
from .ops.least_squares import LstsqResult, lstsq, pinv
from .ops.linear_algebra import cross, diagonal, kron, multi_dot, outer, tensordot, trace, vecdot
from .ops.linear_system import inv, matrix_power, solve, triangular_solve
from .ops.manipulation import matrix_transpose
from .ops.norm import matrix_norm, norm, vector_norm
from .ops.singular_value import SVDResult, matrix_rank, svd, svdvals

__all__ = [
    "EigResult",
    "EighResult",
    "LstsqResult",
    "QRResult",
    "SVDResult",
    "SlogdetResult",
    "cholesky",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "inv",
    "kron",
    "lstsq",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "multi_dot",
    "norm",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "svd",
    "svdvals",
    "tensordot",
    "trace",
    "triangular_solve",
    "vecdot",
    "vector_norm",
]
__dir__ = exported(__name__)
