"""Random programs over the registry on which every interpretation must agree.

Hypothesis draws a program: a list of steps, each one op of the registry (elementwise, selection, reduction, contraction,
re-indexing) or a transform around earlier steps, applied to earlier values. Operands pass through ``tame``, which keeps
numbers in [0.4, 1.7]: away from kinks and poles, so that central differences are an oracle.
"""

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import bprop
from bprop.compile import native
from bprop.core.family import Elementwise, NoDerivative
from bprop.core.op import REGISTRY
from bprop.diagnose.case import cases
from support.profile import examples

ROWS, COLUMNS = 2, 3
X = np.array([[0.3, -0.7, 1.1], [-0.2, 0.9, 0.5]])
V = np.array([[0.5, -1.0, 0.25], [1.0, 0.75, -0.5]])

ELEMENTWISE = sorted(
    op.name
    for op in REGISTRY.values()
    if isinstance(op, Elementwise) and op.differentiable and op.kind in ("same", "float")
    if not any(isinstance(partial, NoDerivative) for partial in op.partials)  # orders, which are constants
)
STEPS = ("elementwise", "selection", "reduction", "contraction", "index", "nest", "batch", "region")
step = st.tuples(st.sampled_from(STEPS), st.integers(0, 999), st.integers(0, 7), st.integers(0, 7))
programs = st.lists(step, min_size=1, max_size=7)


def tame(x, low=0.4, width=1.3):
    return low + width * bprop.sigmoid(x)


def inside(x, domain):
    """Bring ``x`` into an op's domain, where all of its derivatives are moderate."""
    low, high = domain
    if np.isfinite(low) and np.isfinite(high):
        return low + (high - low) * (0.2 + 0.6 * bprop.sigmoid(x))
    return tame(x) + low if np.isfinite(low) else high - tame(x) if np.isfinite(high) else tame(x)


def elementwise(number, a, b):
    op = REGISTRY[ELEMENTWISE[number % len(ELEMENTWISE)]]
    domains = op.domain if isinstance(op.domain[0], tuple) else (op.domain,) * len(op.partials)
    _, params = next(iter(cases(op, np.float64)))
    return op(*(inside(x, domain) for x, domain in zip((a, b, a), domains, strict=False)), **params)


def selection(number, a, b):
    choices = [
        lambda: bprop.where(X > 0, a, b), lambda: bprop.where(X > 0.4, bprop.sqrt(tame(a)), 0),
        # ties cannot happen: the operands are more than 0.3 apart
        lambda: bprop.maximum(tame(a), tame(b, 2.0)), lambda: bprop.minimum(tame(a, -3), a * 0 + tame(b)),
        lambda: bprop.relu(tame(a)), lambda: bprop.abs(tame(a, -2.5)) * b,
        lambda: bprop.where(X > 0, a, bprop.log(bprop.where(X > 0, 0, tame(b)))),
    ]  # fmt: skip
    return choices[number % len(choices)]()


def reduction(number, a, b):
    choices = [
        lambda: a - bprop.mean(a, axis=1, keepdims=True), lambda: bprop.softmax(a, axis=number % 2),
        lambda: bprop.log_softmax(a) * b, lambda: a * bprop.sum(tame(b), axis=0), lambda: bprop.logsumexp(a) + b,
        lambda: bprop.max(tame(a) + np.arange(6).reshape(2, 3) * 2.0, axis=1, keepdims=True) * b,
        lambda: bprop.sum(tame(a) * tame(b)) * a,
    ]  # fmt: skip
    return choices[number % len(choices)]()


def contraction(number, a, b):
    choices = [
        lambda: (a @ b.T) @ a / 4, lambda: bprop.einsum("ij,kj,kl->il", a, b, b) / 4, lambda: a * (a @ np.ones(3))[:, None],
        lambda: bprop.einsum("ij,kj->ij", a, b), lambda: bprop.solve(np.eye(2) * 3 + bprop.tanh(a @ b.T), b),
        lambda: bprop.cholesky(np.eye(2) + tame(a) @ tame(a).T) @ b, lambda: bprop.einsum("ij,ij->i", a, b)[:, None] * a,
    ]  # fmt: skip
    return choices[number % len(choices)]()


def index(number, a, b):
    a, b = bprop.asarray(a), bprop.asarray(b)  # a first step may meet NumPy arrays, which have no `at`
    choices = [
        lambda: a[::-1, ::-1] + b, lambda: a.reshape(3, 2).T, lambda: bprop.take(a, np.array([2, 0, 2]), axis=1),
        lambda: bprop.broadcast_to(a[0], (2, 3)) * b, lambda: a[:, 1:2] * b[1:], lambda: bprop.moveaxis(a, 0, 1).reshape(2, 3),
        lambda: bprop.take(bprop.sqrt(tame(a)), np.array([1, 1]), axis=0), lambda: a[1, None] + b[None, 0, ::-1],
        lambda: bprop.concat((a[:1], b * a))[1:], lambda: bprop.roll(a, 1, axis=1) * bprop.stack((b[1], b[0])),
        lambda: a.at[[0, 0, 1], [1, 1, 2]].set(b[0]), lambda: a.at[:, 1:].add(b[:, [0, 0]]), lambda: a[[1, 0]][:, [2, 2, 0]],
    ]  # fmt: skip
    return choices[number % len(choices)]()


def nest(number, a, b):
    energy = lambda y: bprop.sum(bprop.tanh(y * b) * y)
    choices = [
        lambda: bprop.grad(energy)(a), lambda: bprop.jvp(lambda y: bprop.tanh(y) * b, (a,), (b,))[1],
        lambda: bprop.vjp(lambda y: bprop.tanh(y) * y, a)[1](b)[0], lambda: bprop.hvp(energy, (a,), (b,)),
        lambda: bprop.linearize(lambda y: bprop.sigmoid(y) * a, a)[1](b),
        lambda: bprop.einsum("ijkl,kl->ij", bprop.jacobian(lambda y: bprop.softmax(y) * b)(a), b),
    ]  # fmt: skip
    return choices[number % len(choices)]()


def batch(number, a, b):
    choices = [
        lambda: bprop.vmap(lambda x, y: x * bprop.sum(tame(y)))(a, b), lambda: bprop.vmap(bprop.softmax, 1, 1)(a),
        lambda: bprop.vmap(bprop.grad(lambda x: bprop.logsumexp(x) ** 2))(a), lambda: bprop.vmap(lambda x: x @ b.T @ b)(a) / 4,
        lambda: bprop.vmap(lambda x, y: bprop.where(y > 5, x, bprop.sqrt(tame(y))), (1, None), 1)(a, b[:, 0]),
    ]  # fmt: skip
    return choices[number % len(choices)]()


def region(number, a, b):
    plain = lambda x, y: bprop.tanh(x) * y + x
    choices = [
        lambda: bprop.checkpoint(plain)(a, b),
        lambda: bprop.custom(plain, jvp=lambda dots, y, x, z: bprop.jvp(plain, (x, z), dots)[1])(a, b),
        lambda: bprop.custom(plain, vjp=lambda bar, y, x, z: bprop.vjp(plain, x, z)[1](bar))(a, b),
        lambda: bprop.scan(lambda h, x: (bprop.tanh(h + x), h * x), b[0], a)[1] + b,
    ]
    return choices[number % len(choices)]()


MAKE = {f.__name__: f for f in (elementwise, selection, reduction, contraction, index, nest, batch, region)}


def compiled_from(program):
    def f(x):
        values = [x, bprop.tanh(x) + 0.5]
        for kind, number, first, second in program:
            y = MAKE[kind](number, values[first % len(values)], values[second % len(values)])
            # numbers stay moderate however long the program is
            values.append(bprop.tanh(bprop.broadcast_to(y, (ROWS, COLUMNS)) / 2) + 0.1 * values[-1])
        return bprop.sum(values[-1] * np.array([[1.0, -0.5, 0.25], [0.75, 1.5, -1.0]]))

    return f


def agree(program, numerical):
    f = compiled_from(program)
    value, gradient = bprop.value_and_grad(f)(X)
    pushed, slope = bprop.jvp(f, (X,), (V,))
    # reorderings of some hundred operations, each exact to a rounding of numbers below 10
    tight = {"rtol": 1e-10, "atol": 1e-10}
    assert_allclose(pushed, value, **tight)
    assert_allclose(np.sum(np.asarray(gradient) * V), slope, **tight)
    # the programs vary on a scale of 0.3 at the steepest; see `slope` in tests/conftest.py
    assert_allclose(slope, numerical(lambda t: [np.asarray(f(X + t * V))], step=0.004)[0], rtol=1e-6, atol=1e-7)
    graph = bprop.trace(f)(X)
    assert_allclose(graph(X)[0], value, **tight)
    backward = bprop.trace(bprop.grad(f))(X)
    assert_allclose(backward(X)[0], gradient, **tight)
    assert_allclose(bprop.vmap(bprop.grad(f))(np.stack([X, V]))[0], gradient, **tight)
    assert_allclose(bprop.linearize(f, X)[1](V), slope, **tight)
    assert_allclose(native(graph)(X)[0], value, **tight)
    assert_allclose(native(backward)(X)[0], gradient, **tight)


OPTIONS = {"suppress_health_check": list(HealthCheck)}


@examples(60, **OPTIONS)
@given(program=programs)
def test_every_interpretation_agrees(program, numerical):
    agree(program, numerical)


@pytest.mark.exhaustive
@examples(600, **OPTIONS)
@given(program=programs)
def test_every_interpretation_agrees_on_many(program, numerical):
    agree(program, numerical)


@examples(20, **OPTIONS)
@given(program=st.lists(step, min_size=1, max_size=4))
def test_second_derivatives_agree(program, numerical):
    f = compiled_from(program)
    product = bprop.hvp(f, (X,), (V,))
    over = bprop.grad(lambda x: bprop.sum(bprop.grad(f)(x) * V))(X)
    assert_allclose(over, product, rtol=1e-8, atol=1e-8)
    differences = numerical(lambda t: [np.asarray(bprop.grad(f)(X + t * V))], step=0.004)[0]
    assert_allclose(product, differences, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", STEPS)
@pytest.mark.parametrize("number", range(8))
def test_each_step_alone(kind, number, numerical):
    """Every step of every kind is met at least once, whatever Hypothesis draws."""
    agree([(kind, number, 0, 1), (kind, number, 2, 0)], numerical)


def test_every_elementwise_op_alone(numerical):
    for number in range(len(ELEMENTWISE)):
        agree([("elementwise", number, 0, 1)], numerical)
