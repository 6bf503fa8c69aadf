"""Gradients by entries: written one by one where matrix calculus has no sign for them, and the same numbers."""

import numpy as np
import pytest

import bprop
from support.formula import evaluated

W = np.array([0.7, -1.2, 0.4, 1.9])
M = np.array([[0.3, -0.5, 1.1], [0.9, 0.2, -0.8]])
TABLE = np.arange(1.0, 7.0).reshape(3, 2) / 3

WRITTEN = {
    "[w[1] ** 2, 2 * w[0] * w[1]]": (lambda w: w[0] * w[1] ** 2, W[:2]),
    "[-2 * w[0], 1 - 2 * w[1], 1 - 2 * w[2], 1]": (lambda w: np.sum(w[1:] - w[:-1] ** 2), W),
    "[[0, w[1, 0], 0], [w[0, 1], 0, exp(w[1, 2])]]": (lambda w: w[0, 1] * w[1, 0] + np.exp(w[1, 2]), M),
    "[w[1] * w[2], w[0] * w[2], w[0] * w[1]]": (lambda w: np.prod(w), W[:3]),
    "[4 * w[0], 0, 2 * w[2], 0]": (lambda w: np.sum(w[[0, 0, 2]] ** 2), W),
    "[2 * (w[0] + w[1] + w[2]), 2 * (w[0] + w[1] + w[2]), 2 * (w[0] + w[1] + w[2])]": (
        lambda w: np.cumsum(w)[2] ** 2,
        W[:3],
    ),
    "[sum(x * (1 - tanh(w[0] * x + w[1]) ** 2)), sum(1 - tanh(w[0] * x + w[1]) ** 2)]": (
        lambda w: (lambda x: np.sum(np.tanh(w[0] * x + w[1])))(bprop.asarray(np.linspace(-1, 1, 9))),
        W[:2],
    ),
    "[-2 * (1 - w[0]) - 400 * w[0] * (w[1] - w[0] ** 2), 200 * (w[1] - w[0] ** 2)]": (
        lambda w: 100 * (w[1] - w[0] ** 2) ** 2 + (1 - w[0]) ** 2,
        W[:2],
    ),
    "w / vector_norm(w)": (lambda w: np.linalg.norm(w), W),
    "exp(w) / sum(exp(w))": (lambda w: np.log(np.sum(np.exp(w))), W),
    "softmax(w)": (lambda w: bprop.logsumexp(w), W),
}


@pytest.mark.parametrize("text", WRITTEN)
def test_what_is_written(text):
    f, w = WRITTEN[text]
    derivative = bprop.symbolic(f)(w)
    assert derivative.text.replace("c0", "x") == text
    np.testing.assert_allclose(evaluated(text, w=w, x=np.linspace(-1, 1, 9)), bprop.grad(f)(w).numpy(), rtol=1e-14)
    np.testing.assert_allclose(derivative(w).numpy(), bprop.grad(f)(w).numpy(), rtol=1e-14)


FUNCTIONS = {
    "product of a slice and a table": (lambda w: np.sum((TABLE @ w[1:3]) ** 2), W),
    "joined": (lambda w: np.sum(np.sin(np.concatenate([w[:2], w[3:], w[1:3] * 2]))), W),
    "rows": (lambda w: np.sum(w[0] * np.exp(w[1])) + w[1, 2], M),
    "strides": (lambda w: np.sum(w[::2] ** 3) + w[-1], W),
    "reversed": (lambda w: np.sum(w[::-1][:2] ** 2 * w[:2]), W),
    "diagonal": (lambda w: np.trace(w[:, :2] @ w[:, 1:]), M),
    "branches": (lambda w: np.sum(np.where(w[:2] > 0, w[:2] ** 2, np.sin(w[2:]))), W),
    "rolled": (lambda w: np.sum(np.roll(w, 1) * w**2) + w[0], W),
    "a constant": (lambda w: np.sum(w[:1]) * 3, W),
    "repeated": (lambda w: np.sum(np.repeat(w[:2], 3) ** 2), W),
    "accumulated": (lambda w: np.sum(np.cumprod(w[:3]) ** 2), W),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_text_evaluates_to_the_gradient(name):
    f, w = FUNCTIONS[name]
    derivative = bprop.symbolic(f)(w)
    assert derivative.text.startswith("[")
    np.testing.assert_allclose(np.array(evaluated(derivative.text, w=w)), bprop.grad(f)(w).numpy(), rtol=1e-13)
    assert "pad" not in derivative.text
    assert "embed" not in derivative.text


def test_a_long_gradient_says_where_it_stands():
    w = np.arange(40.0)
    derivative = bprop.symbolic(lambda w: np.sum((w[1:] - w[:-1]) ** 2))(w)
    assert derivative.text == "pad(-2 * (w[1:40] - w[0:39]), (0, 1)) + pad(2 * (w[1:40] - w[0:39]), (1, 0))"
    np.testing.assert_array_equal(evaluated(derivative.text, w=w), derivative(w).numpy())


def test_latex_of_entries():
    assert bprop.symbolic(lambda w: w[0] * w[1] ** 2)(W[:2]).latex == (
        r"\begin{pmatrix} w_{1}^{2} \\ 2 \, w_{0} \, w_{1} \end{pmatrix}"
    )
    assert bprop.symbolic(lambda w: w[0, 1] * w[1, 0])(np.ones((2, 2))).latex == (
        r"\begin{pmatrix} 0 & w_{1, 0} \\ w_{0, 1} & 0 \end{pmatrix}"
    )
