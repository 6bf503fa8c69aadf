"""Systems whose matrix is zero but for some diagonals, stored as LAPACK stores them: ab[u + i - j, j] = a[i, j]."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.error import ShapeError
from ..core.family import General
from ..core.op import array
from ..core.value import Array
from .concatenation import concat, stack
from .creation import zeros
from .linear_system import in_float
from .reduction import sum
from .selection import where

__all__: list[str] = []


def _shifted(x: Any, d: int, axis: int = -2) -> Any:
    """Return x moved on by d places along an axis, with zeros where nothing came."""
    n = x.shape[axis]
    if d == 0:
        return x
    size = min(abs(d), n)
    shape = list(x.shape)
    shape[axis] = size
    rest = slice(0, n - size) if d > 0 else slice(size, n)
    index = (Ellipsis, rest, slice(None)) if axis == -2 else (Ellipsis, rest)
    parts = [zeros(tuple(shape), dtype=x.dtype), x[index]]
    return concat(parts if d > 0 else parts[::-1], axis=axis)


def _product(ab: Any, x: Any, u: int) -> Any:
    """Return a x: the diagonal of row r is d = r - u below the main one."""
    y = None
    for r in range(ab.shape[-2]):
        term = _shifted(ab[..., r, :, None] * x, r - u)
        y = term if y is None else y + term
    return y


def _transposed(ab: Any, lower: int, upper: int) -> Any:
    """Return aᵀ in the same storage, with as many diagonals above as a has below."""
    rows = [_shifted(ab[..., upper - d, :], -d, axis=-1) for d in range(-lower, upper + 1)]
    return stack(rows, axis=-2)


def _value(ab: NDArray[Any], b: NDArray[Any], lower: int, upper: int) -> NDArray[Any]:
    from scipy import linalg

    ab, b = in_float(ab, b)
    batch = np.broadcast_shapes(ab.shape[:-2], b.shape[:-2])
    ab, b = np.broadcast_to(ab, batch + ab.shape[-2:]), np.broadcast_to(b, batch + b.shape[-2:])
    y = np.empty(b.shape, b.dtype)
    for entry in np.ndindex(batch):
        y[entry] = linalg.solve_banded((lower, upper), ab[entry], b[entry], check_finite=False)
    return y


def _jvp(y: Any, xs: Any, x_dots: Any, lower: int, upper: int) -> Any:
    ab_dot, b_dot = x_dots
    right = None if ab_dot is None else -_product(ab_dot, y, upper)
    right = b_dot if right is None else right if b_dot is None else b_dot + right
    return banded_op(xs[0], right, lower=lower, upper=upper)


def _vjp(y_bar: Any, y: Any, xs: Any, needs: Any, lower: int, upper: int) -> tuple[Any, Any]:
    b_bar = banded_op(_transposed(xs[0], lower, upper), y_bar, lower=upper, upper=lower)
    if not needs[0]:
        return None, b_bar
    rows = [-sum(_shifted(b_bar, upper - r) * y, axis=-1) for r in range(lower + upper + 1)]
    return stack(rows, axis=-2), b_bar


banded_op = General(
    "solve_banded",
    _value,
    signature="(r,n),(n,k)->(n,k)",
    columns="k",
    jvp=_jvp,
    vjp=_vjp,
    failure="the matrix is singular: no unique solution exists",
    takes_complex=True,
    complex_step=False,
    examples=lambda draw: [
        ((_bands(draw(*a), 4.0, main), draw(*b)), {"lower": a[-2] - main - 1, "upper": main})
        for a, b, main in (((3, 4), (4, 2), 1), ((2, 3, 4), (4, 1), 1), ((2, 3), (3, 1), 0))
    ],
    latex=r"\operatorname{{band}}({0})^{{-1}} {1}",
    doc="The op behind `bprop.scipy.linalg.solve_banded`.",
)


def _bands(ab: Any, diagonal: float, main: int) -> Any:
    ab[..., main, :] += np.copysign(diagonal, ab[..., main, :])
    return ab


def solve_banded(l_and_u: tuple[int, int], ab: Any, b: Any) -> Array:
    """Return the x with a x = b for a matrix a with ``l_and_u`` diagonals below and above the main one, in linear time.

    ``ab``: (…, l + u + 1, n) with ab[u + i - j, j] = a[i, j]; entries that stand for nothing do not count and get the derivative
    0. ``b``: (n,) or (…, n, k). Raises `ArgumentError` for a singular matrix, `ShapeError` where shapes do not fit.

    **Source:** SciPy, ``scipy.linalg.solve_banded``.

    >>> import bprop
    >>> ab = bprop.asarray([[0.0, 1.0, 1.0], [4.0, 4.0, 4.0], [1.0, 1.0, 0.0]])
    >>> bprop.scipy.linalg.solve_banded((1, 1), ab, bprop.asarray([5.0, 6.0, 5.0]))
    Array([1., 1., 1.])
    """
    lower, upper = l_and_u
    ab, b = array("solve_banded", ab), array("solve_banded", b)
    if ab.ndim < 2 or ab.shape[-2] != lower + upper + 1:
        raise ShapeError(f"solve_banded: ab has shape {ab.shape}, not (…, {lower + upper + 1}, n) as {l_and_u} says")
    n = ab.shape[-1]
    rows, columns = np.arange(lower + upper + 1)[:, None], np.arange(n)
    ab = where((rows - upper + columns >= 0) & (rows - upper + columns < n), ab, 0)
    y = banded_op(ab, b[..., None] if b.ndim == 1 else b, lower=int(lower), upper=int(upper))
    return y[..., 0] if b.ndim == 1 else y
