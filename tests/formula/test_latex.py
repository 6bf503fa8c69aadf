"""Formulas as LaTeX: what is printed, balanced, and rendered by matplotlib where it can."""

import io
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bprop
from bprop.core.op import REGISTRY
from bprop.diagnose.case import cases
from bprop.formula.formula import Expression
from support.profile import examples

X, A = np.array([0.7, -1.3, 2.1]), np.eye(3)


def latex(f, *args):
    return bprop.expression(f)(*args).latex


@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (lambda x, y: (x + y) / (x - y), r"\frac{x + y}{x - y}"),
        (lambda x, y: x / y * x, r"\frac{x}{y} \, x"),
        (lambda x, y: (x / y) ** 2, r"\left(\frac{x}{y}\right)^{2}"),
        (lambda x, y: -(x / y), r"-\frac{x}{y}"),
        (lambda x, y: x - y / x, r"x - \frac{y}{x}"),
        (lambda x, y: x * (-y), r"x \, \left(-y\right)"),
        (lambda x, y: x ** (y + 1), "x^{y + 1}"),
        (lambda x, y: (x**y) ** 2, r"\left(x^{y}\right)^{2}"),
        (lambda x, y: bprop.sqrt(x + y) ** 2, r"\sqrt{x + y}^{2}"),
        (lambda x, y: bprop.exp(x + y), "e^{x + y}"),
        (lambda x, y: bprop.exp(x) ** 2, r"\left(e^{x}\right)^{2}"),
        (lambda x, y: bprop.tanh(x) ** 2, r"\tanh(x)^{2}"),
        (lambda x, y: abs(x - y), r"\left|x - y\right|"),
        (lambda x, y: 2 * (3 * x), r"2 \cdot 3 \, x"),
        (lambda x, y: x * 1e-20, r"x \, \left(1 \cdot 10^{-20}\right)"),
        (lambda x, y: (x - y) - (x - y), r"x - y - \left(x - y\right)"),
        (lambda x, y: bprop.log(x * y), r"\log(x \, y)"),
        (lambda x, y: bprop.where(x < y, x, y), r"\begin{cases} x & x < y \\ y & \text{otherwise} \end{cases}"),
    ],
)
def test_scalars(f, expected):
    assert latex(f, 1.5, 2.5) == expected


@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (lambda x, W: W @ x, r"W \, x"),
        (lambda x, W: W.T @ x, r"W^{T} \, x"),
        (lambda x, W: (W + W).T @ x, r"\left(W + W\right)^{T} \, x"),
        (lambda x, W: x * x, r"x \odot x"),
        (lambda x, W: 2 * x, r"2 \, x"),
        (lambda x, W: bprop.sum(x * x), r"\sum x \odot x"),
        (lambda x, W: bprop.sum(x + x), r"\sum \left(x + x\right)"),
        (lambda x, W: bprop.sum(x) * x, r"\left(\sum x\right) \, x"),
        (lambda x, W: 0.5 * bprop.sum(x), r"0.5 \, \sum x"),
        (lambda x, W: x * (0.5 * bprop.sum(x)), r"x \cdot 0.5 \, \sum x"),
        (lambda x, W: (0.5 * bprop.sum(x)) * x, r"\left(0.5 \, \sum x\right) \, x"),
        (lambda x, W: -bprop.sum(x), r"-\sum x"),
        (lambda x, W: bprop.sum(x) ** 2, r"\left(\sum x\right)^{2}"),
        (lambda x, W: x[1] ** 2, "x_{1}^{2}"),
        (lambda x, W: (x + x)[1], r"\left(x + x\right)_{1}"),
        (lambda x, W: W[1][2] ** 2, r"\left(W_{1}\right)_{2}^{2}"),
    ],
)
def test_arrays(f, expected):
    assert latex(f, X, A) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x", "x"), ("x1", "x_{1}"), ("sigma", r"\sigma"), ("sigma_2", r"\sigma_{2}"), ("w_bar", r"\bar{w}"),
        ("x_dot", r"\dot{x}"), ("alpha_hat", r"\hat{\alpha}"), ("weight", r"\mathrm{weight}"),
        ("learning_rate", r"\mathrm{learning\_rate}"),
    ],
)  # fmt: skip
def test_names(name, expected):
    f = eval(f"lambda {name}: {name} + 1")
    assert latex(f, 1.0) == f"{expected} + 1"


def test_names_in_trees():
    assert latex(lambda p: p["w"][0] * p["b"], {"w": [1.0], "b": 2.0}) == r"p_{w, 0} \, p_{b}"


def balanced(text):
    """Whether braces, \\left and \\right, \\begin and \\end pair up."""
    plain = text.replace(r"\{", "").replace(r"\}", "")
    depth = 0
    for sign in plain:
        depth += {"{": 1, "}": -1}.get(sign, 0)
        if depth < 0:
            return False
    pairs = [(r"\\left(?![a-z])", r"\\right(?![a-z])"), (r"\\begin", r"\\end"), (r"\\lfloor", r"\\rfloor")]
    return depth == 0 and all(len(re.findall(a, text)) == len(re.findall(b, text)) for a, b in pairs)


def rendered(text):
    """The formula as a picture, by matplotlib's mathtext; False for what it does not know."""
    from matplotlib.mathtext import math_to_image

    if r"\begin" in text:
        return False
    math_to_image(f"${text}$", io.BytesIO(), dpi=50, format="png")
    return True


def calls():
    for op in REGISTRY.values():
        if not op.is_region:
            yield pytest.param(op, id=op.name)


@pytest.mark.parametrize("op", list(calls()))
def test_every_op_renders(op):
    seen = set()
    for args, params in cases(op):
        graph = bprop.trace(lambda *xs, params=params: op(*xs, **params)[0] if op.several else op(*xs, **params))(*args)
        names = [f"x{position}" for position in range(len(graph.inputs))]
        expression = Expression(graph, names)
        if expression.latex in seen:
            continue
        seen.add(expression.latex)
        assert balanced(expression.latex), expression.latex
        assert expression.latex
        rendered(expression.latex)
        assert expression.text.count("(") == expression.text.count(")")


@given(st.integers(0, 2**31))
@examples(40)
def test_derivatives_of_random_formulas_are_balanced_and_render(seed):
    random = np.random.default_rng(seed)
    ops = [bprop.exp, bprop.tanh, bprop.sqrt, lambda u: -u, lambda u: u**2, lambda u: 1 / u]

    def f(x, y):
        values = [x, y]
        for _ in range(5):
            a, b = (values[i] for i in random.integers(0, len(values), 2))
            kind = random.integers(0, 10)
            values.append([a + b, a - b, a * b, a / b][kind] if kind < 4 else ops[kind - 4](a))
        return values[-1]

    state = random.bit_generator.state
    for make in (bprop.expression, bprop.symbolic):
        random.bit_generator.state = state
        formula = make(f)(1.5, 2.5).latex
        assert balanced(formula)
        assert rendered(formula)


def test_a_notebook_shows_the_formula():
    assert bprop.expression(lambda x: x**2)(1.0)._repr_latex_() == r"$\displaystyle x^{2}$"


@pytest.mark.parametrize(
    ("number", "expected"),
    [(1e20, r"1 \cdot 10^{20}"), (-2.5e-7, r"-2.5 \cdot 10^{-7}"), (3.0, "3"), (np.inf, r"\infty")],
)
def test_a_constant_result_is_written_as_a_number(number, expected):
    """The braces of an exponent are no slots of a template."""
    assert bprop.expression(lambda x: bprop.full((), number))(1.0).latex == expected
