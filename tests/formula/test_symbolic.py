"""Way 1: the derivative as a formula. Oracles: textbooks, mpmath.diff, and reverse mode over the registry."""

import mpmath
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import bprop
from bprop.core.simplify import simplify
from bprop.formula.canonical_order import canonical_order
from support.op_call import every_differentiable_op, scalar_calls
from support.profile import examples

X = np.array([0.7, -1.3, 2.1])


@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (lambda x: x, "1"),
        (lambda x: x * 0 + 3, "0"),
        (lambda x: 3 * x, "3"),
        (lambda x: x**2, "2 * x"),
        (lambda x: x * x, "2 * x"),
        (lambda x: x**3, "3 * x ** 2"),
        (lambda x: x * x * x, "3 * x ** 2"),
        (lambda x: x**2 + 5 * x + 7, "2 * x + 5"),
        (lambda x: (x + 1) * (x - 1), "2 * x"),
        (lambda x: 1 / x, "-1 / x ** 2"),
        (lambda x: x / (x + 1), "1 / (x + 1) - x / (x + 1) ** 2"),
        (bprop.exp, "exp(x)"),
        (bprop.log, "1 / x"),
        (lambda x: x * bprop.log(x), "log(x) + 1"),
        (lambda x: x**2 * bprop.exp(x), "2 * x * exp(x) + x ** 2 * exp(x)"),
        (lambda x: bprop.exp(x**2), "2 * x * exp(x ** 2)"),
        (lambda x: bprop.exp(-x * x / 2), "-x * exp(-x ** 2 / 2)"),
        (lambda x: bprop.sqrt(1 - x**2), "-x / sqrt(1 - x ** 2)"),
        (lambda x: bprop.log(1 + bprop.exp(x)), "exp(x) / (1 + exp(x))"),
        (lambda x: 1 / (1 + bprop.exp(-x)), "exp(-x) / (1 + exp(-x)) ** 2"),
        (lambda x: bprop.exp(bprop.exp(bprop.exp(x))), "exp(x) * exp(exp(x)) * exp(exp(exp(x)))"),
        (lambda x: bprop.where(x > 0, x**2, -x), "where(x > 0, 2 * x, -1)"),
    ],
)
def test_scalars_as_in_a_textbook(f, expected):
    assert bprop.symbolic(f)(0.5).text == expected


@pytest.mark.parametrize(
    ("f", "argnums", "expected"),
    [
        (lambda w, x, t: bprop.sum((x @ w - t) ** 2), 0, "x.T @ (2 * (x @ w - t))"),
        (lambda w, x, t: bprop.sum((x @ w - t) ** 2), 1, "outer(2 * (x @ w - t), w)"),
        (lambda w, x, t: 0.5 * bprop.sum((x @ w - t) ** 2), 2, "-(x @ w - t)"),
        (lambda w, x, t: w @ w, 0, "2 * w"),
        (lambda w, x, t: bprop.sum(bprop.exp(w)), 0, "exp(w)"),
        (lambda w, x, t: bprop.logsumexp(w), 0, None),
        (lambda w, x, t: t @ (x @ w), 1, "outer(t, w)"),
    ],
)
def test_arrays_as_in_matrix_calculus(f, argnums, expected):
    args = np.array([0.3, -0.2]), np.arange(6.0).reshape(3, 2) / 3, np.array([1.0, 0.5, -1.0])
    formula = bprop.symbolic(f, argnums)(*args)
    if expected is not None:
        assert formula.text == expected
    np.testing.assert_allclose(formula(*args).numpy(), bprop.grad(f, argnums)(*args).numpy(), rtol=1e-14)


SCALARS = [
    (lambda x: bprop.exp(-x * x) * bprop.tanh(x), lambda x: mpmath.exp(-x * x) * mpmath.tanh(x)),
    (lambda x: bprop.sqrt(x) / (1 + x**3), lambda x: mpmath.sqrt(x) / (1 + x**3)),
    (lambda x: bprop.log1p(bprop.exp(x * x)) ** 3, lambda x: mpmath.log(1 + mpmath.exp(x * x)) ** 3),
    (lambda x: bprop.sigmoid(x) ** x, lambda x: (1 / (1 + mpmath.exp(-x))) ** x),
    (lambda x: abs(x - 1) * x - bprop.maximum(x, 0.2), lambda x: abs(x - 1) * x - max(x, mpmath.mpf("0.2"))),
]


@pytest.mark.parametrize(("f", "g"), SCALARS)
@pytest.mark.parametrize("x", [0.3, 0.7, 2.5])
def test_formulas_against_mpmath(f, g, x):
    with mpmath.workdps(30):
        first, second = (float(mpmath.diff(g, mpmath.mpf(x), n)) for n in (1, 2))
    assert bprop.symbolic(f)(x)(x).item() == pytest.approx(first, rel=1e-12)
    assert bprop.symbolic(bprop.grad(f))(x)(x).item() == pytest.approx(second, rel=1e-11)


@every_differentiable_op
def test_symbolic_equals_reverse_for_every_op(op):
    for f, xs, _ in scalar_calls(op):
        operands = tuple(range(len(xs)))
        formulas = bprop.symbolic(f, operands)(*xs)
        gradients = bprop.grad(f, operands, unreached="zeros")(*xs)
        for formula, gradient in zip(formulas, gradients, strict=True):
            np.testing.assert_allclose(formula(*xs).numpy(), gradient.numpy(), rtol=1e-9, atol=1e-12)


def test_trees_give_trees_of_formulas():
    def f(p, x):
        return bprop.sum(p["w"][0] * x) + p["b"]

    formulas = bprop.symbolic(f)({"w": [X], "b": 1.0}, X)
    assert formulas["w"][0].text == "x"
    assert formulas["b"].text == "1"
    both = bprop.symbolic(f, (1, 0))({"w": [X], "b": 1.0}, X)
    assert both[0].text == "p['w'][0]"


def test_the_formula_does_not_depend_on_the_numbers():
    formula = bprop.symbolic(lambda x: x**2 * bprop.exp(x))(1.0)
    for x in (-2.0, 0.5, 3.0):
        assert formula(x).item() == pytest.approx((2 * x + x * x) * np.exp(x), rel=1e-14)


def test_expression_swell():
    """The logistic map, iterated: the example of Baydin, Pearlmutter, Radul & Siskind (2018), table 1."""

    def iterated(n):
        def f(x):
            for _ in range(n):
                x = 4 * x * (1 - x)
            return x

        return bprop.symbolic(f)(0.1)

    small, large = iterated(2), iterated(12)
    assert small.size < 100
    assert large.size > 2**12
    assert large.shared_size < 20 * 12


def test_regions_stand_by_their_names():
    @bprop.custom(vjp=lambda y_bar, y, x: 3 * x * y_bar)
    def odd(x):
        return x * x

    formula = bprop.symbolic(lambda x: odd(x) ** 2)(2.0)
    assert "odd(x)" in formula.text
    assert formula(2.0).item() == bprop.grad(lambda x: odd(x) ** 2)(2.0).item() == 2 * 4 * 6


def test_nested_in_other_transforms():
    def f(x):
        return bprop.sum(x**3)

    def slope(x):
        return bprop.symbolic(f)(x)(x)

    np.testing.assert_allclose(bprop.grad(lambda x: bprop.sum(slope(x)))(X).numpy(), 6 * X)
    np.testing.assert_allclose(bprop.vmap(slope)(X[:, None]).numpy(), 3 * X[:, None] ** 2)
    np.testing.assert_allclose(bprop.jvp(slope, (X,), (np.ones(3),))[1].numpy(), 6 * X)


def test_branches_not_taken_are_left_out_of_the_value():
    def f(x):
        return bprop.sqrt(bprop.where(x > 0, x, 0)) * x

    assert bprop.symbolic(f)(-1.0)(-1.0).item() == bprop.grad(f)(-1.0).item() == 0
    first = bprop.symbolic(lambda x: bprop.sqrt(x)[0])(np.ones(2))
    assert "where" not in first.text
    assert first(np.array([4.0, 0.0])).tolist() == [0.25, 0]
    slope = bprop.vmap(lambda x: first(x))(np.array([[4.0, 0.0], [0.0, 1.0]])).numpy()
    assert slope.tolist() == [[0.25, 0], [np.inf, 0]]


def test_only_the_two_sides_of_one_choice_are_written_as_one():
    def f(x, y):
        return bprop.where(x > 0, x, 0) + bprop.where(~(y > 0), x, 0)

    formula = bprop.symbolic(lambda x, y: bprop.sum(f(x, y)))(X, -X)
    assert formula(X, X).tolist() == [1, 1, 1]
    assert formula(X, -X).tolist() == [2, 0, 2]
    assert bprop.symbolic(f)(1.0, 2.0).text == "where(x > 0, 1, 0) + where(~(y > 0), 1, 0)"


def test_errors():
    with pytest.raises(bprop.ShapeError, match="returned shape \\(3,\\), not a scalar"):
        bprop.symbolic(lambda x: x * 2)(X)
    with pytest.raises(bprop.DTypeError, match="no derivative"):
        bprop.symbolic(lambda x: x > 0)(1.0)
    with pytest.raises(bprop.DTypeError, match=r"write 1\.0"):
        bprop.symbolic(lambda x: x * 2.0)(1)
    with pytest.raises(bprop.TracedValueError, match="Python `if`"):
        bprop.symbolic(lambda x: x if x > 0 else -x)(1.0)


# --- the order of a textbook changes no value ---
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 6), st.integers(0, 6)), min_size=3, max_size=9))
@examples(200)
def test_textbook_order_keeps_values(program):
    def f(x, y):
        values = [x, y, 2.0, -1, x * y]
        for kind, i, j in program:
            a, b = values[i % len(values)], values[j % len(values)]
            values.append([a + b, a - b, a * b, a / b, -a, a**2][kind])
        return values[-1] * x + y

    args = np.array([0.7, -1.3]), np.array([1.9, 0.4])
    graph = bprop.trace(f)(*args)
    expected = graph(*map(bprop.asarray, args))[0].numpy()
    assume(np.all(np.isfinite(expected)) and np.max(np.abs(expected)) < 1e6)
    rows = bprop.view(f, *args).rows
    largest = max(float(np.max(np.abs(row.value.numpy()))) for row in rows)
    assume(largest < 1e6)
    arranged = simplify(canonical_order(simplify(graph, algebraic=True)), algebraic=True)
    assert arranged.specs == graph.specs
    np.testing.assert_allclose(arranged(*map(bprop.asarray, args))[0].numpy(), expected, rtol=1e-8, atol=1e-9 * largest)
