"""Formulas as text: Python reads the printed text the same way as the graph computes it."""

import ast

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given
from hypothesis import strategies as st

import bprop
from bprop.formula.formula import LIMIT
from support.formula import evaluated
from support.profile import examples

X, Y, A = np.array([0.7, -1.3, 2.1]), np.array([-0.4, 1.9, 0.3]), np.arange(9.0).reshape(3, 3) / 5 - 0.6


def text(f, *args):
    return bprop.expression(f)(*args).text


@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (lambda x, y: x - (y - x), "x - (y - x)"),
        (lambda x, y: (x - y) - x, "x - y - x"),
        (lambda x, y: x - (y + x), "x - (y + x)"),
        (lambda x, y: x + (y - x), "x + y - x"),
        (lambda x, y: x + (y + x), "x + y + x"),
        (lambda x, y: x / (y * x), "x / (y * x)"),
        (lambda x, y: x / (y / x), "x / (y / x)"),
        (lambda x, y: x / y / x, "x / y / x"),
        (lambda x, y: x * (y / x), "x * y / x"),
        (lambda x, y: x * (y + x), "x * (y + x)"),
        (lambda x, y: (x + y) * x, "(x + y) * x"),
        (lambda x, y: (x * y) ** 2, "(x * y) ** 2"),
        (lambda x, y: (x**y) ** 2, "(x ** y) ** 2"),
        (lambda x, y: x ** (y**2), "x ** y ** 2"),
        (lambda x, y: x**-y, "x ** -y"),
        (lambda x, y: x ** (y + 1), "x ** (y + 1)"),
        (lambda x, y: x**-2, "x ** -2"),
        (lambda x, y: (-x) ** 2, "(-x) ** 2"),
        (lambda x, y: -(x**2), "-x ** 2"),
        (lambda x, y: -x * y, "-x * y"),
        (lambda x, y: -(x * y), "-x * y"),
        (lambda x, y: -(x + y), "-(x + y)"),
        (lambda x, y: -bprop.negative(x), "-(-x)"),
        (lambda x, y: x * (-y), "x * (-y)"),
        (lambda x, y: x - (-y), "x - (-y)"),
        (lambda x, y: x - (-y * x), "x - (-y * x)"),
        (lambda x, y: x * -2, "x * (-2)"),
        (lambda x, y: bprop.exp(x + y) ** 2, "exp(x + y) ** 2"),
        (lambda x, y: bprop.where((x < y) & (y > 0), x, -y), "where((x < y) & (y > 0), x, -y)"),
        (lambda x, y: bprop.where(~(x < y), x, 0), "where(~(x < y), x, 0)"),
        (lambda x, y: x * 0.1 + 3.0, "x * 0.1 + 3"),
        (lambda x, y: x * 1e-20, "x * 1e-20"),
        (lambda x, y: bprop.full((), -2.0) ** x, "(-2) ** x"),
        (lambda x, y: x @ y * x, "x @ y * x"),
        (lambda x, y: x * (x @ y), "x * (x @ y)"),
        (lambda x, y: bprop.sum(x, axis=0) + bprop.max(y, keepdims=True), "sum(x) + max(y, keepdims=True)"),
        (lambda x, y: x[1:] - y[:-1], "x[1:3] - y[0:2]"),
        (lambda x, y: x[1] * y[::2][0], "x[1] * y[0:4:2][0]"),
        (lambda x, y: (x + y)[1], "(x + y)[1]"),
        (lambda x, y: (-x)[1] ** 2, "(-x)[1] ** 2"),
        (lambda x, y: bprop.reshape(x, (3, 1)), "x[:, None]"),
        (lambda x, y: bprop.take(x, [2, 0]), "x[c0]"),
        (lambda x, y: x * bprop.asarray(2.5), "x * 2.5"),
    ],
)
def test_parentheses_exactly_where_needed(f, expected):
    assert text(f, X, Y) == expected


@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (lambda a: a.T, "a.T"),
        (lambda a: (a + a).T, "(a + a).T"),
        (lambda a: a.T.T @ a, "a.T.T @ a"),
        (lambda a: a[1], "a[1]"),
        (lambda a: a[:, 1], "a[:, 1]"),
        (lambda a: a[1, 2], "a[1, 2]"),
        (lambda a: a[0:2, 1:], "a[0:2, 1:3]"),
        (lambda a: bprop.sum(a, axis=1), "sum(a, axis=1)"),
        (lambda a: bprop.einsum("ij,ik->jk", a, a), "a.T @ a"),
        (lambda a: bprop.einsum("ij,kj->ki", a, a * 2), "a * 2 @ a.T"),
        (lambda a: bprop.einsum("ij,jk->ki", a, a), "a.T @ a.T"),
        (lambda a: bprop.einsum("ij,i->j", a, a[0]), "a.T @ a[0]"),
        (lambda a: bprop.einsum("i,j->ij", a[0], a[1]), "outer(a[0], a[1])"),
        (lambda a: bprop.einsum("ij,ij->", a, a), "einsum('ij,ij->', a, a)"),
    ],
)
def test_matrices_read_like_matrices(f, expected):
    expression = bprop.expression(f)(A)
    assert expression.text == expected
    np.testing.assert_allclose(evaluated(expected, a=A), expression(A).numpy(), rtol=1e-14)


def test_transpose_of_a_stack():
    stack = np.ones((2, 3, 4))
    assert text(lambda a: bprop.matrix_transpose(a), stack) == "a.mT"
    assert text(lambda a: bprop.permute_dims(a, (1, 2, 0)), stack) == "permute_dims(a, (1, 2, 0))"


def test_inputs_are_called_as_the_user_calls_them():
    def f(p, *rest, scale):
        return p["w"][0] * rest[0] + p["b"] * scale

    assert text(lambda w, b: w * b, 1.0, 2.0) == "w * b"
    assert bprop.expression(f)({"w": [1.0], "b": 2.0}, 3.0, scale=4.0).text == "p['w'][0] * x2 + p['b'] * scale"
    assert text(bprop.exp, 1.0) == "exp(x)"
    module = bprop.nn.Linear(3, 2, dtype="float64")
    assert "m.W" in text(lambda m, x: x @ m.W, module, np.ones((2, 2)))


def test_regions_are_called_by_name():
    @bprop.custom(vjp=lambda y_bar, y, x: 2 * y_bar)
    def twice(x):
        return 2 * x

    assert text(lambda x: twice(x) + 1, 3.0) == "twice(x)[0] + 1" or text(lambda x: twice(x) + 1, 3.0) == "twice(x) + 1"
    cumulated = text(lambda x: bprop.scan(lambda c, r: (c + r, c), 0.0, x)[1], X)
    assert cumulated.startswith("scan(")
    assert cumulated.endswith("[1]")


def test_formula_swells_and_is_not_written_out_beyond_the_limit():
    def f(x):
        for _ in range(200):
            x = x * x
        return x

    expression = bprop.expression(f)(1.0)
    assert expression.size == 2**201 - 1
    assert expression.shared_size == 201
    with pytest.raises(bprop.BpropError, match=f"{2**201 - 1} nodes and is written out up to {LIMIT}"):
        _ = expression.text
    assert "too long to write out" in str(expression)
    assert expression._repr_latex_() is None
    assert expression(1.0).item() == 1.0


def test_wrong_number_of_arguments_is_named():
    with pytest.raises(bprop.ArgumentError, match="expression of x, y: 1 arrays given"):
        bprop.expression(lambda x, y: x + y)(1.0, 2.0)(1.0)


# --- the round trip ---
def unary(f):
    return st.one_of(
        f.map(lambda u: lambda *v: -u(*v)),
        f.map(lambda u: lambda *v: bprop.tanh(u(*v))),
        f.map(lambda u: lambda *v: bprop.exp(-abs(u(*v)))),
        f.map(lambda u: lambda *v: abs(u(*v)) ** 0.5),
        f.map(lambda u: lambda *v: u(*v) ** 2),
        f.map(lambda u: lambda *v: bprop.square(u(*v))),
        f.map(lambda u: lambda *v: bprop.sum(u(*v) * v[0], axis=0)),
        f.map(lambda u: lambda *v: v[2] @ (u(*v) + 0 * v[0])),
        f.map(lambda u: lambda *v: v[2].T @ (u(*v) - v[1])),
        f.map(lambda u: lambda *v: (u(*v) * v[1])[1]),
        f.map(lambda u: lambda *v: (u(*v) + v[1])[::-1]),
    )


def binary(f):
    pair = st.tuples(f, f)
    return st.one_of(
        pair.map(lambda p: lambda *v: p[0](*v) + p[1](*v)),
        pair.map(lambda p: lambda *v: p[0](*v) - p[1](*v)),
        pair.map(lambda p: lambda *v: p[0](*v) * p[1](*v)),
        pair.map(lambda p: lambda *v: p[0](*v) / (p[1](*v) ** 2 + 1)),
        pair.map(lambda p: lambda *v: p[0](*v) / p[1](*v)),
        pair.map(lambda p: lambda *v: (1 + p[0](*v) ** 2) ** bprop.tanh(p[1](*v))),
        pair.map(lambda p: lambda *v: bprop.maximum(p[0](*v), p[1](*v))),
        pair.map(lambda p: lambda *v: bprop.where(p[0](*v) < p[1](*v), p[0](*v), -p[1](*v))),
        pair.map(lambda p: lambda *v: bprop.where((p[0](*v) < 0) & ~(p[1](*v) >= 1), p[1](*v), p[0](*v))),
    )


leaf = st.one_of(
    st.just(lambda x, y, a: x),
    st.just(lambda x, y, a: y),
    st.sampled_from([-2, -1, 2, 3, 0.5, -1.5]).map(lambda c: lambda x, y, a: x * 0 + c),
    st.sampled_from([-2, 2, 0.5]).map(lambda c: lambda x, y, a: c * y),
)
formulas = st.recursive(leaf, lambda f: st.one_of(unary(f), binary(f)), max_leaves=12)


@given(formulas)
@examples(300, suppress_health_check=[HealthCheck.filter_too_much])
def test_python_reads_a_formula_as_the_graph_computes_it(f):
    expression = bprop.expression(f)(X, Y, A)
    assume(expression.size < 400)
    values = bprop.view(f, X, Y, A).rows
    largest = max(float(np.max(np.abs(row.value.numpy()), initial=0)) for row in values if row.value.dtype.kind == "f")
    assume(np.isfinite(largest) and largest < 1e6)
    names = dict(zip(expression.names, (X, Y, A), strict=True))
    ast.parse(expression.text, mode="eval")
    found = evaluated(expression.text, **names)
    np.testing.assert_allclose(found, expression(X, Y, A).numpy(), rtol=1e-7, atol=1e-9 * largest)
