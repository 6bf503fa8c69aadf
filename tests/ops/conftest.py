"""Outside oracles for the values of ops: plain NumPy in extended precision, SciPy and Python's integers."""

import itertools
import math
import operator

import mpmath
import numpy as np
import pytest
import scipy.linalg
import scipy.special

WORD = 2**32 - 1


def philox(key, counter):
    """Philox4x32-10 with Python's integers, after Salmon et al. (2011), §3.3."""
    words, (k0, k1) = [counter & WORD, counter >> 32 & WORD, 0, 0], (key & WORD, key >> 32)
    for _ in range(10):
        p0, p1 = words[0] * 0xD2511F53, words[2] * 0xCD9E8D57
        words = [p1 >> 32 ^ words[1] ^ k0, p1 & WORD, p0 >> 32 ^ words[3] ^ k1, p0 & WORD]
        k0, k1 = k0 + 0x9E3779B9 & WORD, k1 + 0xBB67AE85 & WORD
    return words


def drawn(entry, per_block):
    """Entries of a random op, one at a time: ``entry(words, position in the block)``."""

    def reference(state, shape, dtype):
        result = np.empty((*state.shape[:-1], *shape), dtype)
        for lead in np.ndindex(state.shape[:-1]):
            key, counter = (int(word) for word in state[lead])
            flat = [entry(philox(key, counter + i // per_block(dtype)), i % per_block(dtype), dtype)
                    for i in range(int(np.prod(shape)))]  # fmt: skip
            result[lead] = np.reshape(flat, shape)
        return result

    return reference


def fraction(high, low):
    return ((high >> 5) * 2**26 + (low >> 6)) / 2**53


def uniform(words, position, dtype):
    if dtype == np.float32:
        return (words[position] >> 8) / 2**24
    return fraction(*words[2 * position : 2 * position + 2])


def normal(words, position, dtype):
    radius, angle = np.sqrt(-2 * np.log(1 - fraction(*words[:2]))), 2 * np.pi * fraction(*words[2:])
    return radius * (np.cos(angle), np.sin(angle))[position]


def permutation(state, shape, dtype):
    keys = drawn(lambda words, i, _: words[2 * i] << 32 | words[2 * i + 1], lambda _: 2)(state, shape, object)
    return np.argsort(keys, axis=-1, kind="stable").astype(dtype)


def by_python(f):
    """Entry by entry on Python's floats, whose arithmetic is not NumPy's."""
    return np.vectorize(lambda *xs: f(*map(float, xs)), otypes=[float])


def in_double(f):
    """SciPy's functions know no extended precision."""
    return lambda *xs: f(*(x.astype(float) if np.asarray(x).dtype == np.longdouble else x for x in xs))


def cut(slices):
    return np.ix_(*(start + step * np.arange(count) for start, count, step in slices))


def embedded(x, shape, slices):
    y = np.zeros(shape, x.dtype)
    y[cut(slices)] = x
    return y


def scattered(x, indices, size):
    y = np.zeros((size, *x.shape[indices.ndim :]), x.dtype)
    for position in np.ndindex(indices.shape):
        y[indices[position]] += x[position]
    return y


def running(step):
    """y_k from y_{k-1} and the operands, one entry at a time."""

    def reference(*xs, axis):
        *factors, last = (np.moveaxis(x, axis, 0) for x in xs)
        y = last.copy()
        for k in range(1, len(y)):
            y[k] = step(y[k - 1], *(x[k] for x in factors), last[k])
        return np.moveaxis(y, 0, axis)

    return reference


def argsorted(x, descending, stable):
    order = np.empty(x.shape, np.int64)
    for row in np.ndindex(x.shape[:-1]):
        order[row] = sorted(range(x.shape[-1]), key=lambda i: x[row][i], reverse=descending)
    return order


def extreme(first):
    return lambda x: np.reshape([list(row).index(first(row)) for row in x.reshape(-1, x.shape[-1])], x.shape[:-1])


def stands(x1, x2, side):
    below = np.less if side == "left" else np.less_equal
    return np.sum(below(x1[..., None, :], x2[..., :, None]), axis=-1)


def joined(*xs, axis):
    shape = list(xs[0].shape)
    shape[axis] = sum(x.shape[axis] for x in xs)
    y, start = np.empty(shape, np.result_type(*xs)), 0
    for x in xs:
        stop = start + x.shape[axis]
        y[(slice(None),) * axis + (slice(start, stop),)] = x
        start = stop
    return y


def last_writer(targets, n):
    y = np.full((*targets.shape[:-1], n), -1)
    for place in np.ndindex(targets.shape):
        y[(*place[:-1], targets[place])] = place[-1]
    return y


def previous_writer(targets):
    y = np.full(targets.shape, -1)
    for *lead, k in np.ndindex(targets.shape):
        earlier = [i for i in range(k) if targets[*lead, i] == targets[*lead, k]]
        y[*lead, k] = max(earlier, default=-1)
    return y


def cholesky(x):
    lowers = [scipy.linalg.cholesky(one, lower=True) for one in x.reshape(-1, *x.shape[-2:]).astype(float)]
    return np.reshape(lowers, x.shape)


def each(outside):
    """A function of one matrix (and right side), matrix by matrix, in float64."""

    def reference(*operands, **params):
        operands = [np.asarray(x, float) for x in operands]
        batch = np.broadcast_shapes(*(x.shape[:-2] for x in operands))
        full = [np.broadcast_to(x, batch + x.shape[-2:]) for x in operands]
        rows = [outside(*(x[place] for x in full), **params) for place in np.ndindex(batch)]
        if not rows:  # an empty batch: shapes alone, from one matrix of ones
            one = outside(*(np.eye(*x.shape[-2:]) for x in operands), **params)
            ys = [np.zeros(batch + np.shape(y)) for y in (one if isinstance(one, tuple) else (one,))]
            return tuple(ys) if isinstance(one, tuple) else ys[0]
        if not isinstance(rows[0], tuple):
            return np.reshape(rows, batch + np.shape(rows[0]))
        return tuple(np.reshape(column, batch + np.shape(column[0])) for column in zip(*rows, strict=True))

    return reference


def determinant(x):
    """The sum over the permutations."""
    n = len(x)
    signed = itertools.permutations(range(n))
    return math.fsum(
        (-1) ** sum(p[i] > p[j] for i, j in itertools.combinations(range(n), 2))
        * math.prod(x[i, p[i]] for i in range(n))
        for p in signed
    )


def cofactor(x):
    minor = lambda i, j: determinant(np.delete(np.delete(x, i, 0), j, 1))
    return np.array([[(-1) ** (i + j) * minor(i, j) for j in range(len(x))] for i in range(len(x))]).reshape(x.shape)


def cofactor_dot(x, z):
    """Cofactors are polynomials in t of x + t z, of degree n - 1: the slope at 0 from as many points."""
    t = np.cos(np.pi * (np.arange(len(x)) + 0.5) / max(len(x), 1))
    values = np.array([cofactor(x + one * z).ravel() for one in t])
    powers = np.linalg.solve(np.vander(t, increasing=True), values)
    return (powers[1] if len(x) > 1 else np.zeros(x.size)).reshape(x.shape)


def triangular(a, b, lower, transpose, unit_diagonal):
    return scipy.linalg.solve_triangular(a, b, trans=int(transpose), lower=lower, unit_diagonal=unit_diagonal)


def chosen(first):
    return lambda x1, x2: np.where(np.isnan(x1) | np.isnan(x2), np.nan, np.where(first(x1, x2), x1, x2))


def apart(x1, x2):
    """The difference, 0 of equal infinities."""
    return np.where(x1 == x2, 0, x1 - x2)


# By hand where NumPy and SciPy have no function of the op's name, or where the op itself calls it.
REFERENCE = {
    # SciPy's log B of two of the largest numbers is ∞ - ∞
    "betaln": lambda a, b: np.where((a == b) & (a > 1e308) & (a < np.inf), -np.inf, scipy.special.betaln(a.astype(float), b.astype(float))),
    "beta": lambda a, b: np.where((a == b) & (a > 1e308) & (a < np.inf), 0.0, scipy.special.beta(a.astype(float), b.astype(float))),
    "exponent": lambda x: np.vectorize(lambda t: math.frexp(t)[1], otypes=[np.int32])(x),
    "sinc": by_python(lambda x: float(mpmath.sincpi(x)) if math.isfinite(x) else math.nan),
    "sinc_derivative": lambda x, n: by_python(lambda t: float(mpmath.diff(mpmath.sincpi, t, n)))(x),
    "exp2_difference": lambda x1, x2: np.exp2(x1 - x2),
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul, "divide": operator.truediv,
    "negative": operator.neg, "pow": operator.pow, "abs": lambda x: np.copysign(x, 1), "square": lambda x: x * x,
    "sign": lambda x: np.where(np.isnan(x), x, (x > 0) * 1 - (x < 0) * 1), "sqrt": lambda x: x**0.5,
    "less": operator.lt, "less_equal": operator.le, "greater": operator.gt, "greater_equal": operator.ge,
    "equal": operator.eq, "not_equal": operator.ne,
    "logical_and": lambda x1, x2: (x1 != 0) & (x2 != 0), "logical_or": lambda x1, x2: (x1 != 0) | (x2 != 0),
    "logical_not": lambda x: x == 0,
    "where": lambda c, x1, x2: np.choose(np.asarray(c).astype(int), [x2, x1]),
    "clip": lambda x, low, high: chosen(operator.lt)(chosen(operator.gt)(x, low), high),
    "maximum": chosen(operator.gt), "minimum": chosen(operator.lt),
    "astype": lambda x, dtype: x, "stop_gradient": lambda x: x, "barrier": lambda x: x,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "softplus": lambda x: np.where(x > 0, x, 0) + np.log1p(np.exp(-np.abs(x))),
    "logsumexp": lambda x, axis, keepdims: np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims)),
    "softmax": lambda x, axis: np.exp(x) / np.sum(np.exp(x), axis=axis, keepdims=True),
    "rest_softmax": lambda x, axis: 1 - np.exp(x) / np.sum(np.exp(x), axis=axis, keepdims=True),
    "log_softmax": lambda x, axis: x - np.log(np.sum(np.exp(x), axis=axis, keepdims=True)),
    "sum_minus_one": lambda x, axis, keepdims: np.add.reduce(x, axis=axis, keepdims=keepdims) - 1,
    "exp_difference": lambda x1, x2: np.exp(x1 - x2), "sigmoid_difference": lambda x1, x2: 1 / (1 + np.exp(apart(x2, x1))),
    "density_difference": lambda x1, x2: 1 / (2 + np.exp(apart(x2, x1)) + np.exp(apart(x1, x2))),
    "max": lambda x, axis, keepdims: np.maximum.reduce(x, axis=axis, keepdims=keepdims),
    "min": lambda x, axis, keepdims: np.minimum.reduce(x, axis=axis, keepdims=keepdims),
    "prod": lambda x, axis, keepdims: np.multiply.reduce(x, axis=axis, keepdims=keepdims),
    "any": lambda x, axis, keepdims: np.sum(x != 0, axis=axis, keepdims=keepdims) > 0,
    "all": lambda x, axis, keepdims: np.sum(x == 0, axis=axis, keepdims=keepdims) == 0,
    "cumulative_sum": running(lambda y, x: y + x), "cumulative_prod": running(lambda y, x: y * x),
    "linear_recurrence": running(lambda y, a, b: a * y + b),
    "argsort": argsorted, "argmax": extreme(max), "argmin": extreme(min), "searchsorted": stands,
    "absent": lambda shape, value, dtype: np.array([value] * int(np.prod(shape)), dtype).reshape(shape),
    "full": lambda shape, value, dtype: np.array([value] * int(np.prod(shape)), dtype).reshape(shape),
    "arange": lambda shape, start, step, dtype: np.array([start + step * i for i in range(*shape)], dtype),
    "uniform": drawn(uniform, lambda dtype: 4 if dtype == np.float32 else 2),
    "normal": drawn(normal, lambda dtype: 2), "permutation": permutation,
    "reshape": lambda x, shape: np.array(x.flat).reshape(shape),
    "permute_dims": lambda x, axes: np.moveaxis(x, axes, range(len(axes))),
    "broadcast_to": lambda x, shape: x + np.zeros(shape, x.dtype),
    "slice": lambda x, slices: x[cut(slices)], "embed": embedded,
    "take": lambda x, indices: x[indices], "scatter_add": scattered, "concat": joined,
    "last_writer": last_writer, "previous_writer": previous_writer,
    "einsum": lambda x1, x2, labels: np.einsum("{},{}->{}".format(*labels), x1, x2),
    "floor_divide": by_python(lambda x1, x2: x1 // x2 if x2 else np.divide(x1, x2)),
    "remainder": by_python(lambda x1, x2: x1 % x2 if x2 else np.nan),
    "hypot": by_python(math.hypot), "atan2": by_python(math.atan2), "cbrt": lambda x: np.copysign(np.abs(x) ** (np.longdouble(1) / 3), x),
    "exp2": lambda x: 2**x, "silu": lambda x: np.where(x == -np.inf, 0, x) / (1 + np.exp(-x)),
    "gelu": lambda x: np.where(x == -np.inf, 0, x) * scipy.special.ndtr(x.astype(float)),
    "gammaln": by_python(lambda x: math.lgamma(x) if not x > 1e305 and (x > 0 or x % 1) else np.inf),
    "power_log": lambda x1, x2, n: np.where(x1**x2 == 0, 0, x1**x2 * np.log(x1) ** n),
    "polygamma": lambda x, n: scipy.special.polygamma(n, x.astype(float)),
    "round": lambda x: np.where(np.abs(x) % 1 == 0.5, 2 * np.trunc(x / 2 + np.copysign(0.25, x)), np.floor(x + 0.5)),
    "cholesky": cholesky, "solve": lambda a, b: np.linalg.inv(a.astype(float)) @ b,
    "triangular_solve": each(triangular), "inv": each(scipy.linalg.inv), "det": each(determinant),
    "cofactor": each(cofactor), "cofactor_dot": each(cofactor_dot),
    "slogdet": each(lambda x: (np.sign(determinant(x)), np.log(np.abs(determinant(x))))),
    # the same LAPACK routines, so that the signs are the same
    "qr": each(lambda x, mode: scipy.linalg.qr(x, mode="economic")),
    "eigh": each(lambda x, UPLO: scipy.linalg.eigh(x, lower=UPLO == "L", driver="evd")),
    "svd": each(lambda x, full_matrices: scipy.linalg.svd(x, full_matrices=full_matrices, lapack_driver="gesdd")),
    "solve_stein": each(lambda a, b, q: np.linalg.solve(np.eye(q.size) - np.kron(a, b.T), q.ravel()).reshape(q.shape)),
    "pinv": each(lambda x, rtol: scipy.linalg.pinv(x, rtol=rtol)),
    "lstsq": each(lambda a, b, rtol: scipy.linalg.lstsq(a, b, cond=rtol)[0]),
    "vector_norm": lambda x, axis, keepdims: np.sqrt(np.sum(x * x, axis=axis, keepdims=keepdims)),
}  # fmt: skip


# Where SciPy's function of the name is another at special values, or less accurate: against mpmath in tests/scipy.
ELSEWHERE = {
    "betainc", "betaincinv", "betainccinv", "erfcx", "expn", "iv", "ive", "jv", "kl_div", "kv", "kve", "lambertw",
    "spherical_in", "spherical_jn", "yv",
}  # fmt: skip


@pytest.fixture(scope="session")
def reference():
    """The outside function of an op's name, to be called with extended precision; None if there is none."""

    def find(name):
        if name in ELSEWHERE:
            return None
        theirs = getattr(scipy.special, name, None)
        return REFERENCE.get(name) or getattr(np, name, None) or (theirs and in_double(theirs))

    return find
