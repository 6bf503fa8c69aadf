"""A NumPy array that a function changes in place keeps, at every use, the numbers that it had there, compiled as eager.

Planted: `Sharing.array` that never looks again, `settle` that does nothing, a snapshot that shares the memory.
"""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import bprop

X = np.array([1.0, 2.0])


def matrix(x):
    M = np.zeros((2, 2))
    M[0, 1] = 1.0
    first = M @ x
    M[1, 0] = 1.0
    return first @ (M @ x)


def counter(x):
    t, total = np.zeros(2), 0.0
    for _ in range(3):
        t += 1
        total = total + (x * t).sum()
    return total


def unit_vectors(x):
    q, out = np.zeros(2), []
    for i in range(2):
        q[i] = 1
        out.append(x @ q)
        q[i] = 0
    return out[0] + 2 * out[1]


def index(x):
    i = np.array([0])
    first = x[i]
    i += 1
    return (first * x[i]).sum()


def not_a_number(x):
    c = np.array([np.nan, 1.0])
    y = np.nansum(x * c)
    c[0] = 2.0
    return y + np.sum(x * c)


def in_a_branch(x):
    c = np.ones(2)
    y = bprop.cond(x[0] > 0, lambda x: (x * c).sum(), lambda x: x[0], x)
    c[:] = 5
    return y + (x * c).sum()


@pytest.mark.parametrize("f", [matrix, counter, unit_vectors, index, not_a_number, in_a_branch])
def test_every_use_keeps_the_numbers_that_it_saw(f):
    compiled, gradient = bprop.compile(f), bprop.compile(bprop.grad(f))
    for x in (X, 3 * X):
        assert_array_equal(np.asarray(compiled(x)), np.asarray(f(x)))
        assert_array_equal(np.asarray(gradient(x)), np.asarray(bprop.grad(f)(x)))


def test_what_changes_between_calls_is_seen_still():
    w = np.ones(2)
    f = bprop.compile(lambda x: (x * w).sum())
    assert f(X).item() == 3
    w[:] = 3
    assert f(X).item() == 9
