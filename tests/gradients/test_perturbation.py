"""Perturbation confusion: a nested derivative never takes the outer one's tangent for its own.

Planted: `Forward.tangent` reading any Dual, whoever owns it (Siskind & Pearlmutter's example gives 2 instead of 1).

**Source:** Siskind & Pearlmutter (2005), Perturbation confusion and referential transparency.
"""

from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose

import bprop


def forward(f):
    return lambda x: bprop.jvp(f, (x,), (1.0,))[1]


def linear(f):
    return lambda x: bprop.linearize(f, x)[1](1.0)


def pulled(f):
    return lambda x: bprop.vjp(f, x)[1](1.0)[0]


def mapped(f):
    return lambda x: bprop.vmap(bprop.grad(f))(bprop.reshape(x, (1,)))[0]


WAYS = {"grad": bprop.grad, "jvp": forward, "linearize": linear, "vjp": pulled, "vmap of grad": mapped,
        "jacobian": bprop.jacobian, "jacobian forward": lambda f: bprop.jacobian(f, mode="forward")}  # fmt: skip
PAIRS = [pytest.param(a, b, id=f"{one}-{other}") for (one, a), (other, b) in product(WAYS.items(), repeat=2)]


@pytest.mark.parametrize(("outer", "inner"), PAIRS)
def test_the_classic_example(outer, inner):
    # d/dx [x · d/dy (x + y)] at x = 1, y = 1 is 1, and 2 where the two are confused
    slope = outer(lambda x: x * inner(lambda y: x + y)(x * 0 + 1.0))(1.0)
    assert slope.item() == 1.0


@pytest.mark.parametrize(("outer", "inner"), PAIRS)
def test_derivatives_of_every_pair_of_ways(outer, inner):
    # d/dx [x · d/dy sin-like(x y) at y = 2] with f(u) = tanh u: x · x · f'(2x)
    slope = outer(lambda x: x * inner(lambda y: bprop.tanh(x * y))(x * 0 + 2.0))(0.3)
    u = 0.6
    first = 1 / np.cosh(u) ** 2
    assert_allclose(slope, 2 * 0.3 * first + 0.3**2 * 2 * (-2 * np.tanh(u) * first), rtol=1e-13)


@pytest.mark.parametrize(("outer", "inner"), PAIRS)
def test_second_derivatives_of_every_pair_of_ways(outer, inner):
    assert_allclose(outer(inner(lambda x: x**4))(3.0), 12 * 9, rtol=1e-13)


@pytest.mark.parametrize("way", WAYS)
def test_three_levels(way):
    d = WAYS[way]
    assert_allclose(d(d(d(lambda x: bprop.exp(2 * x))))(0.1), 8 * np.exp(0.2), rtol=1e-13)


def test_the_same_function_inside_itself():
    def f(x, depth):
        return x**3 if depth == 0 else x * bprop.grad(lambda y: f(y, depth - 1))(x)

    assert_allclose(f(bprop.asarray(2.0), 1), 3 * 8)
    assert_allclose(f(bprop.asarray(2.0), 2), 9 * 8)
    assert_allclose(bprop.grad(lambda x: f(x, 2))(2.0), 27 * 4)


def test_outer_value_in_an_inner_closure_is_constant_there():
    assert bprop.grad(lambda x: bprop.grad(lambda y: x * x * y)(5.0))(3.0).item() == 6.0
