"""Outside oracles for the values of ops: plain NumPy in extended precision, SciPy and Python's integers."""

import operator

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


def chosen(first):
    return lambda x1, x2: np.where(np.isnan(x1) | np.isnan(x2), np.nan, np.where(first(x1, x2), x1, x2))


# By hand where NumPy and SciPy have no function of the op's name, or where the op itself calls it.
REFERENCE = {
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul, "divide": operator.truediv,
    "negative": operator.neg, "pow": operator.pow, "abs": lambda x: np.copysign(x, 1), "square": lambda x: x * x,
    "sign": lambda x: np.where(np.isnan(x), x, (x > 0) * 1 - (x < 0) * 1), "sqrt": lambda x: x**0.5,
    "less": operator.lt, "less_equal": operator.le, "greater": operator.gt, "greater_equal": operator.ge,
    "equal": operator.eq, "not_equal": operator.ne,
    "logical_and": lambda x1, x2: (x1 != 0) & (x2 != 0), "logical_or": lambda x1, x2: (x1 != 0) | (x2 != 0),
    "logical_not": lambda x: x == 0,
    "where": lambda c, x1, x2: np.choose(np.asarray(c).astype(int), [x2, x1]),
    "maximum": chosen(operator.gt), "minimum": chosen(operator.lt),
    "astype": lambda x, dtype: x, "stop_gradient": lambda x: x,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "softplus": lambda x: np.where(x > 0, x, 0) + np.log1p(np.exp(-np.abs(x))),
    "logsumexp": lambda x, axis, keepdims: np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims)),
    "max": lambda x, axis, keepdims: np.amax(x, axis=axis, keepdims=keepdims),
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
    "cholesky": cholesky, "solve": lambda a, b: np.linalg.inv(a.astype(float)) @ b,
}  # fmt: skip


@pytest.fixture(scope="session")
def reference():
    """The outside function of an op's name, to be called with extended precision; None if there is none."""

    def find(name):
        return REFERENCE.get(name) or getattr(np, name, None) or getattr(scipy.special, name, None)

    return find


@pytest.fixture(scope="session")
def philox_words():
    return philox
