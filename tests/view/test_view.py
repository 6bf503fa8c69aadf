"""`view`: every value and every gradient beside every node."""

import numpy as np
import pytest

import bprop
from bprop import nn


def energy(w, x, t):
    y = 1 / (1 + np.exp(-(x @ w)))
    return 0.5 * np.sum((t - y) ** 2)


W, X, T = np.array([0.3, -0.2]), np.array([[1.0, 2.0], [0.5, -1.0], [3.0, 0.0]]), np.array([1.0, 0.0, 1.0])


def by_name(view):
    return {row.name: row for row in view.rows}


def test_values_are_numpys_and_gradients_are_derived_by_hand():
    view = bprop.view(energy, W, X, T)
    rows = by_name(view)
    z = X @ W
    y = 1 / (1 + np.exp(-z))
    np.testing.assert_allclose(rows["a"].value.numpy(), z)
    np.testing.assert_allclose(rows["e"].value.numpy(), y)
    np.testing.assert_allclose(rows["e"].gradient.numpy(), y - T)
    np.testing.assert_allclose(rows["a"].gradient.numpy(), (y - T) * y * (1 - y))
    np.testing.assert_allclose(rows["w"].gradient.numpy(), X.T @ ((y - T) * y * (1 - y)))
    np.testing.assert_allclose(rows["t"].gradient.numpy(), T - y)
    assert [row.formula for row in view.rows][3:] == [
        "x @ w", "-a", "exp(b)", "1 + c", "1 / d", "t - e", "f ** 2", "sum(g)", "0.5 * h",
    ]  # fmt: skip
    assert view.text == "0.5 * sum((t - 1 / (1 + exp(-x @ w))) ** 2)"


def test_the_table_is_aligned_and_marks_the_result():
    lines = str(bprop.view(energy, W, X, T)).splitlines()
    assert lines[0] == "energy(w, x, t)"
    column = lines[1].index("computed as")
    assert lines[5][column:].startswith("x @ w")
    assert all(line[column - 2 : column] == "  " for line in lines[1:])
    assert [line for line in lines if line.startswith("→")] == [lines[-1]]
    assert all(line == line.rstrip() for line in lines)


def test_notebook_table_escapes():
    html = bprop.view(lambda x: bprop.where(x < 1, x, 0.0), 0.5)._repr_html_()
    assert "x &lt; 1" in html
    assert html.count("<tr>") == html.count("</tr>") == 1 + 3


def test_gradient_of_a_branch_not_taken_is_absent_not_nan():
    rows = by_name(bprop.view(lambda x: bprop.where(x > 0, bprop.sqrt(bprop.where(x > 0, x, 0)), 0), 0.0))
    assert rows["x"].gradient.item() == 0.0
    assert all(np.isfinite(row.gradient.item()) for row in rows.values() if row.gradient is not None)


def test_python_if_follows_the_numbers():
    def f(x):
        return x * x if x > 0 else -x

    assert by_name(bprop.view(f, 3.0))["x"].gradient.item() == 6.0
    assert by_name(bprop.view(f, -3.0))["x"].gradient.item() == -1.0


def test_results_that_are_no_scalar_have_values_only():
    view = bprop.view(lambda x: (x * 2, {"b": x + 1}), np.ones(2))
    assert all(row.gradient is None for row in view.rows)
    assert str(view).count("→") == 2
    assert "gradient" not in str(view)


def test_modules_show_parameters_and_handwritten_rules():
    model = nn.Sequential(nn.Linear(2, 3, dtype="float64"), nn.Tanh(), nn.Linear(3, 1, dtype="float64"))
    view = bprop.view(lambda m, x: bprop.sum(m(x) ** 2), model, X)
    gradient = bprop.grad(lambda m: bprop.sum(m(X) ** 2))(model)
    rows = by_name(view)
    for path, value in gradient.items():
        np.testing.assert_allclose(rows[f"m.{path}"].gradient.numpy(), value.numpy(), rtol=1e-12)


def test_a_view_leaves_no_trace_in_cells():
    generator = bprop.Generator(3)
    before = repr(generator)
    bprop.view(lambda g, x: x * bprop.sum(g.uniform((2,))), generator, 1.0)
    assert repr(generator) == before


@pytest.mark.parametrize("transform", [bprop.grad, lambda f: lambda x: bprop.jvp(f, (x,), (1.0,))[1]])
def test_derivatives_can_be_viewed(transform):
    rows = by_name(bprop.view(transform(lambda x: x**3), 2.0))
    assert rows["x"].gradient.item() == pytest.approx(12.0)


def test_long_arrays_and_formulas_are_shortened():
    view = bprop.view(lambda x: bprop.sum(x), np.arange(1000.0))
    assert "[0, 1, 2, … 999]" in view._repr_html_()
    assert max(map(len, str(view).splitlines())) <= 60


def test_one_of_several_results_is_called_alike_everywhere():
    """In a listing, in a table and its formulas, and along a path."""

    def f(x):
        q, r = bprop.linalg.qr(x)
        return bprop.sum(q @ r)

    x = np.eye(2) + 1
    table = bprop.view(f, x)
    assert [row.name for row in table.rows] == ["x", "a[0]", "a[1]", "b", "c"]
    assert "a[0] @ a[1]" in [row.formula for row in table.rows]
    assert "b = a[0] @ a[1] " in str(table.graph)
    assert "x[0, 0] → a[1][0, 1] → b[1, 1] → y" in {str(path).split(":")[0] for path in bprop.paths(f)(x).enumerate()}
    assert [line.split()[1] for line in str(bprop.view(bprop.linalg.qr, x)).splitlines() if line[0] == "→"] == [
        "a[0]",
        "a[1]",
    ]
