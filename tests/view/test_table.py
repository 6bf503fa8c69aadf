"""The table of a view: names that differ, closed-over arrays, gradients that are not there, 60 columns."""

import numpy as np
import pytest

import bprop
from bprop import nn
from bprop.core.error import ArgumentError


def by_name(view):
    return {row.name: row for row in view.rows}


def test_no_node_takes_the_name_of_an_input():
    view = bprop.view(lambda a, b, c0: a * b + np.exp(c0) * np.ones(2)[0], 2.0, 3.0, 0.0)
    names = [row.name for row in view.rows]
    assert len(names) == len(set(names))
    assert names[:3] == ["a", "b", "c0"]
    paths = repr(bprop.paths(lambda a, b: np.exp(a) * b)(2.0, 3.0))
    assert "c = exp(a)" in paths
    assert "a = exp(a)" not in paths


def test_closed_over_arrays_have_their_names_and_a_gradient():
    weights, model = np.array([1.0, 2.0]), nn.Linear(2, 1, dtype="float64")

    def f(x):
        return bprop.sum(model(x) * weights)

    rows = by_name(bprop.view(f, np.array([0.5, -1.0])))
    expected = bprop.grad(lambda m: bprop.sum(m(np.array([0.5, -1.0])) * weights))(model)
    np.testing.assert_allclose(rows["model.W"].gradient.numpy(), expected["W"].numpy())
    np.testing.assert_allclose(rows["model.b"].gradient.numpy(), expected["b"].numpy())
    np.testing.assert_allclose(rows["weights"].gradient.numpy(), model(np.array([0.5, -1.0])).numpy().repeat(2))


def test_an_absent_gradient_is_no_zero():
    text = str(bprop.view(lambda x, y, z: np.maximum(x, y) * 0.0 + np.sum(z[:1]), 1.0, 2.0, np.array([1.0, 2.0])))
    x, y, z = (line.split() for line in text.splitlines()[2:5])
    assert x[-1] == "∅"
    assert y[-1] == "0"
    assert z[-2:] == ["[1,", "∅]"]
    assert bprop.view(lambda x, y: x * 1.0, 1.0, 2.0).rows[1].gradient is None
    assert "∅" in str(bprop.view(lambda x, y: x * 1.0, 1.0, 2.0))


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_table_fits_sixty_columns(size):
    def f(a_rather_long_name, x):
        return bprop.sum(bprop.tanh(a_rather_long_name * x + 123456.789) ** 2 / (1 + bprop.exp(-x)))

    lines = str(bprop.view(f, np.linspace(0.1, 1.0, size), np.ones(size))).splitlines()
    assert max(map(len, lines)) <= 60
    assert "computed as" in lines[1]


def g(x, y):
    return x * y


@pytest.mark.parametrize("look", [bprop.view, bprop.check, bprop.compare, bprop.trace, bprop.expression])
def test_function_and_arguments_go_together_or_apart(look):
    def without_time(text):
        return [line.split("  ")[0] for line in text.splitlines()]

    assert without_time(repr(look(g, 2.0, 3.0))) == without_time(repr(look(g)(2.0, 3.0)))


@pytest.mark.parametrize(
    "transform",
    [bprop.grad, bprop.value_and_grad, bprop.symbolic, bprop.paths, bprop.jacobian, bprop.hessian, bprop.numerical],
)
@pytest.mark.parametrize("x", [2.0, np.ones(2), bprop.ones(2), [1.0, 2.0], {"w": 1.0}])
def test_arguments_in_the_place_of_argnums_are_told_where_they_belong(transform, x):
    with pytest.raises(ArgumentError, match=r"write bprop\.\w+\(f\)\(x\), not bprop\.\w+\(f, x\)"):
        transform(g, x)


def test_options_go_along():
    assert bprop.check(g, argnums=1)(2.0, 3.0).entries[0].reverse == 2.0
    assert bprop.view(lambda: bprop.ones(2) * 2).rows[0].value.shape == (2,)
