"""Products with the sparse matrices of SciPy: their values are constants, the other factor has a derivative.

Y = A X sums the products a_ij x_j of the entries that A holds, row by row, so X_bar = Aᵀ Y_bar follows from the ops of which
it is made, and any interpretation of it.

**Source:** SciPy, ``scipy.sparse``; the coordinate format.
"""

from typing import Any

import numpy as np

from ..core.error import ArgumentError, ShapeError
from ..core.function import function
from ..core.op import array
from ..core.operator import is_sparse
from ..core.value import Array, asarray
from ..ops import matrix_transpose, take, zeros


@function(namespace="sparse")
def matmul(x1: Any, x2: Any, /) -> Array:
    """y = x1 @ x2, where one factor is a sparse matrix of SciPy and the other a vector or matrix."""
    if is_sparse(x1):
        return _product(x1, x2, f"{x1.shape} and {np.shape(x2)}")
    x1 = array("matmul", x1)
    y = _product(x2.T, x1 if x1.ndim == 1 else matrix_transpose(x1), f"{x1.shape} and {x2.shape}")
    return y if y.ndim == 1 else matrix_transpose(y)


def _product(matrix: Any, x: Any, shapes: str) -> Array:
    x = array("matmul", x)
    if len(matrix.shape) != 2 or x.ndim not in (1, 2):
        raise ArgumentError(
            f"matmul: shapes {shapes}: of a sparse matrix there is the product with a vector or matrix; write A.toarray()"
        )
    if x.shape[0] != matrix.shape[1]:
        raise ShapeError(
            f"matmul: shapes {shapes} with a sparse matrix: sizes {matrix.shape[1]} and {x.shape[0]} differ"
        )
    entries = matrix.tocoo()
    rows, columns = (asarray(position.astype(np.int64)) for position in (entries.row, entries.col))
    values = asarray(np.asarray(entries.data))
    terms = take(x, columns, axis=0) * (values if x.ndim == 1 else values[:, None])
    return zeros((matrix.shape[0], *x.shape[1:]), dtype=terms.dtype).at[rows].add(terms)


__all__: list[str] = []
