"""Polynomials by their coefficients, highest power first, as NumPy's older interface has them."""

from typing import Any

import numpy as np

from ..core.error import ArgumentError, ShapeError
from ..core.function import numpy_rule
from ..core.number import numpy_integer
from ..core.op import array
from ..core.value import Array
from ..linalg import inv, lstsq
from ..ops.arrangement import flip
from ..ops.concatenation import concat, stack
from ..ops.contraction import matmul
from ..ops.creation import ones, zeros
from ..ops.cumulative import cumulative_prod
from ..ops.data_type import astype
from ..ops.indexing import embed_along
from ..ops.manipulation import broadcast_to, expand_dims, matrix_transpose
from ..ops.polynomial import roots_op
from ..ops.power import sqrt
from ..ops.reduction import sum
from ..ops.search import concrete
from .numpy_argument import floating, real_where_known
from .numpy_shape import at_least_1d
from .numpy_signal import convolved


def _coefficients(name: str, p: Any) -> Array:
    p = at_least_1d(array(name, p))
    if p.ndim != 1:
        raise ShapeError(f"{name}: coefficients are a vector, not of shape {p.shape}")
    return p


def _leading(name: str, p: Array) -> Array:
    """Return the coefficients from the first on that is not 0: which that is is a question of numbers."""
    numbers = concrete(name, p, "write numpy.convolve(a, v) for a product of polynomials")
    positions = np.flatnonzero(numbers)
    if not p.size:
        return zeros((1,), dtype=p.dtype)
    return p[int(positions[0]) :] if positions.size else p[p.size - 1 :]


# --- arithmetic ---
@numpy_rule(np.polyval)
def _polyval(p: Any, x: Any) -> Array:
    coefficients, x = array("polyval", p), array("polyval", x)
    y: Any = zeros(x.shape, dtype=x.dtype)
    for coefficient in coefficients:
        y = y * x + coefficient
    return y if isinstance(y, Array) else array("polyval", y)


def _padded(name: str, a1: Any, a2: Any) -> tuple[Array, Array]:
    a1, a2 = _coefficients(name, a1), _coefficients(name, a2)
    size = max(a1.size, a2.size)
    return tuple(embed_along(a, 0, size - a.size, size) if a.size < size else a for a in (a1, a2))


@numpy_rule(np.polyadd)
def _polyadd(a1: Any, a2: Any) -> Array:
    first, second = _padded("polyadd", a1, a2)
    return first + second


@numpy_rule(np.polysub)
def _polysub(a1: Any, a2: Any) -> Array:
    first, second = _padded("polysub", a1, a2)
    return first - second


@numpy_rule(np.polymul)
def _polymul(a1: Any, a2: Any) -> Array:
    first, second = (_leading("polymul", _coefficients("polymul", a)) for a in (a1, a2))
    return convolved(first, second)


@numpy_rule(np.polydiv)
def _polydiv(u: Any, v: Any) -> tuple[Array, Array]:
    u, v = floating(_coefficients("polydiv", u)), floating(_coefficients("polydiv", v))
    steps = max(u.size - v.size + 1, 1)
    quotient, rest = [], u
    scale = 1.0 / v[0]
    if u.size < v.size:
        quotient = [u[0] * 0.0]
    else:
        for k in range(steps):
            factor = scale * rest[k]
            quotient.append(factor)
            rest = rest - embed_along(factor * v, 0, k, u.size)
    numbers = concrete("polydiv", rest, "divide step by step, with the number of coefficients that the rest is to have")
    start = 0
    while start < rest.size - 1 and np.allclose(numbers[start], 0, rtol=1e-14):
        start += 1
    return stack(quotient), rest[start:]


# --- derivatives and integrals ---
def _falling(powers: Any, m: int) -> Any:
    """Return what m derivatives put in front of x^power."""
    factor = np.ones(np.shape(powers), np.int64)
    for k in range(m):
        factor = factor * (powers - k)
    return factor


@numpy_rule(np.polyder)
def _polyder(p: Any, m: int = 1) -> Array:
    p, m = _coefficients("polyder", p), numpy_integer("polyder: m", m)
    if m < 0:
        raise ArgumentError(f"polyder: m is how many derivatives to take, not {m}")
    powers = np.arange(p.size - 1, m - 1, -1)
    return p if m == 0 else p[: max(p.size - m, 0)] * _falling(powers, m)


@numpy_rule(np.polyint)
def _polyint(p: Any, m: int = 1, k: Any = None) -> Array:
    p, m = _coefficients("polyint", p), numpy_integer("polyint: m", m)
    if m < 0:
        raise ArgumentError(f"polyint: m is how many integrals to take, not {m}")
    constants = floating(at_least_1d(array("polyint", 0.0 if k is None else k)))
    constants = broadcast_to(constants, (m,)) if constants.size == 1 and m > 1 else constants
    if constants.ndim != 1 or constants.size < m:
        raise ArgumentError(f"polyint: k is a number, or {m} of them, not of shape {constants.shape}")
    for step in range(m):
        y = p / np.arange(p.size, 0, -1)
        p = concat([y, constants[step : step + 1]])
    return p


# --- by zeros and points ---
@numpy_rule(np.poly)
def _poly(seq_of_zeros: Any) -> Array:
    roots = at_least_1d(array("poly", seq_of_zeros))
    if roots.ndim != 1:
        raise ShapeError(
            f"poly: shape {roots.shape}: the characteristic polynomial of a matrix needs its eigenvalues: give them"
        )
    roots = roots if roots.dtype.kind in "fc" and roots.dtype != np.float16 else astype(roots, np.float64)
    y = ones((1,), dtype=roots.dtype)
    for root in roots:
        y = convolved(y, stack([root * 0 + 1, -root]))
    return y


@numpy_rule(np.roots)
def _roots(p: Any) -> Array:
    p = _coefficients("roots", p)
    numbers = p.concrete()
    if numbers is not None and p.decides():
        p = _leading("roots", p)
        if p.size < 2:
            return zeros((0,), dtype=np.float64)
    y: Array = roots_op(p)
    return y if p.dtype.kind == "c" else real_where_known(y)[0]


@numpy_rule(np.vander)
def _vander(x: Any, N: Any = None, increasing: bool = False) -> Array:
    x = array("vander", x)
    if x.ndim != 1:
        raise ShapeError(f"vander: shape {x.shape}: the points are a vector")
    count = x.size if N is None else numpy_integer("vander: N", N)
    if count < 0:
        raise ArgumentError(f"vander: N is how many powers there are, not {count}")
    x = astype(x, np.result_type(x.dtype, np.int64))
    first = ones((x.size, min(count, 1)), dtype=x.dtype)
    powers = first
    if count > 1:
        rest = cumulative_prod(broadcast_to(expand_dims(x, 1), (x.size, count - 1)), axis=1)
        powers = concat([first, rest], axis=1)
    return powers if increasing else flip(powers, 1)


@numpy_rule(np.polyfit)
def _polyfit(x: Any, y: Any, deg: int, rcond: Any = None, full: bool = False, w: Any = None, cov: Any = False) -> Any:
    order = numpy_integer("polyfit: deg", deg) + 1
    x, y = (array("polyfit", operand) + 0.0 for operand in (x, y))
    if order < 1:
        raise ArgumentError(f"polyfit: deg is not negative, not {deg}")
    if x.ndim != 1 or x.size == 0 or y.ndim not in (1, 2) or y.shape[0] != x.size:
        raise ShapeError(f"polyfit: shapes {x.shape} and {y.shape}: points are a vector, values (n,) or (n, k)")
    left, right = _vander(x, order), y
    if w is not None:
        w = array("polyfit", w) + 0.0
        if w.shape != x.shape:
            raise ShapeError(f"polyfit: weights of shape {w.shape} for points of shape {x.shape}")
        left = left * expand_dims(w, 1)
        right = right * (expand_dims(w, 1) if y.ndim == 2 else w)
    scale = sqrt(sum(left * left, axis=0))
    rcond = x.size * np.finfo(x.dtype).eps if rcond is None else rcond
    solution, residuals, rank, singular_values = lstsq(left / scale, right, rtol=float(rcond))
    c = matrix_transpose(matrix_transpose(solution) / scale) if y.ndim == 2 else solution / scale
    if full:
        return c, residuals, rank, singular_values, rcond
    if not cov:
        return c
    scaled = left / scale
    base = inv(matmul(matrix_transpose(scaled), scaled)) / expand_dims(scale, 1) / scale
    if isinstance(cov, str) and cov == "unscaled":
        return c, base
    if x.size <= order:
        raise ArgumentError(f"polyfit: {x.size} points determine no covariance of {order} coefficients")
    error = right - matmul(left, c)
    factor = sum(error * error, axis=0) / (x.size - order)
    return (c, base * factor) if y.ndim == 1 else (c, expand_dims(base, 2) * factor)
