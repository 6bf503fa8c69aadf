"""Explanations: every line is the chain rule with the library's numbers, and the last one is the gradient."""

import re

import numpy as np
import pytest

import bprop
from bprop import nn
from bprop.core.error import ArgumentError

RNG = np.random.default_rng(2)
X, T = RNG.normal(size=(2, 3)), RNG.normal(size=(2, 2))


def energy(model, x, t):
    return np.sum((model(x) - t) ** 2)


def network(activation=nn.Tanh):
    return nn.Sequential(
        nn.Linear(3, 4, seed=0, dtype="float64"), activation(), nn.Linear(4, 2, seed=1, dtype="float64")
    )


def checked(explanation):
    """Every unit's cotangent is the sum of its terms', each of which is the cotangent of the unit it leads to."""
    bars = {unit.name: unit.bar for unit in explanation.units}
    for unit in explanation.units:
        if unit.terms:
            assert unit.bar == pytest.approx(sum(term.product for term in unit.terms), rel=1e-12)
            for term in unit.terms:
                assert bars.get(term.target, term.bar) == term.bar
    return explanation


@pytest.mark.parametrize("activation", [nn.Tanh, nn.Sigmoid, nn.Softplus])
@pytest.mark.parametrize("key", ["layers.0.W", "layers.0.b", "layers.2.W", "layers.2.b"])
def test_every_parameter_of_a_network(activation, key):
    model = network(activation)
    gradient = bprop.grad(energy)(model, X, T)[key].numpy()
    for index in list(np.ndindex(gradient.shape))[:5]:
        name = f"{key}[{', '.join(map(str, index))}]"
        explanation = checked(bprop.explain(energy, model, X, T, parameter=name))
        assert explanation.value == pytest.approx(gradient[index], rel=1e-12)
        assert explanation.variable == name


def test_paths_are_counted_as_paths_does():
    def f(x):
        return np.sum(np.outer(x, x) @ x)

    x = np.array([0.5, -1.5, 2.0])
    for entry in range(3):
        explanation = checked(bprop.explain(f, x, parameter=f"x[{entry}]"))
        assert explanation.path_count == bprop.paths(f)(x).counts[entry]
        assert explanation.value == pytest.approx(bprop.grad(f)(x).numpy()[entry], rel=1e-12)


def test_what_is_shown():
    shown = str(bprop.explain(lambda w, x: np.tanh(w[0] * x + w[1]), np.array([0.5, 0.1]), 2.0, parameter="w[1]"))
    assert shown.splitlines()[0].startswith("∂E/∂w[1] = 0.359201: the sum over 1 path")
    assert "  b = a + w[1]" in shown
    assert "reshape" not in shown
    explanation = bprop.explain(energy, network(), X, T, parameter="layers.0.W[1,2]")
    assert "with\n  a = x @ layers.0.W.T\n" in explanation.text
    assert all(len(line) < 160 for line in explanation.text.splitlines())
    assert explanation.latex.count("{") == explanation.latex.count("}")
    assert re.search(r"\\frac\{\\partial E\}\{\\partial .*W, 1, 2\}\}", explanation.latex)


def test_many_units_are_grouped():
    w = RNG.normal(size=(3, 30))
    explanation = checked(bprop.explain(lambda x: np.sum(np.sin(x @ w) ** 2), X[0], parameter="x[1]"))
    assert explanation.path_count == 30
    assert explanation.value == pytest.approx(
        bprop.grad(lambda x: np.sum(np.sin(x @ w) ** 2))(X[0]).numpy()[1], rel=1e-12
    )
    assert "26 more" in explanation.text
    assert len(explanation.text.splitlines()) < 60
    assert r"\cdots" in explanation.latex


def test_a_dead_unit_has_no_path():
    model = nn.Sequential(nn.Linear(2, 1, dtype="float64"), nn.ReLU())
    model.layers[0].W, model.layers[0].b = np.ones((1, 2)), np.array([-9.0])
    shown = bprop.explain(lambda model, x: np.sum(model(x)), model, np.ones(2), parameter="layers.0.W[0,1]")
    assert shown.value == 0
    assert "no path leads from layers.0.W[0, 1] to E" in str(shown)


def test_a_module_is_its_own_function():
    model = nn.Sequential(nn.Linear(2, 1, seed=0, dtype="float64"), nn.Lambda(lambda y: np.sum(y**2)))
    explanation = checked(bprop.explain(model, np.ones(2), parameter="layers.0.b[0]"))
    assert explanation.value == pytest.approx(2 * np.sum(model.layers[0](np.ones(2)).numpy()), rel=1e-12)


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ("layers.0.W", r"layers.0.W has shape \(4, 3\): name one of its entries, as in layers.0.W\[0, 0\], not \[\]"),
        ("layers.0.W[4,0]", r"not \[4, 0\]"),
        ("layers.0.W[0]", r"not \[0\]"),
        ("V[0]", r"there is no parameter 'V\[0\]': there are model.layers.0.W"),
        ("W[0,0]", r"there is no parameter 'W\[0,0\]'"),
    ],
)
def test_names_that_are_not_there(parameter, message):
    with pytest.raises(ArgumentError, match=message):
        bprop.explain(energy, network(), X, T, parameter=parameter)
